"""Records in, detections out: the windowed state of hosts, advanced by event time alone."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import polars as pl

from detectors.addresses import written
from detectors.contract import Detector, Need, Parameters
from detectors.finding import Detection
from detectors.route import shard
from detectors.span import Position, Span, unapplied
from detectors.statistics import baselines, contacts, directory
from detectors.statistics.baselines import HISTORY_PANES
from detectors.statistics.contacts import CONTACTS, PANE_SECONDS
from detectors.statistics.directory import HOSTS
from detectors.statistics.panes import Panes
from detectors.statistics.tables import TABLES
from detectors.table import Table
from detectors.verdicts import verdicts

END_OF_TIME: Final = 2**62
"""A watermark behind which nothing follows: every pane closes."""


@dataclass(frozen=True, slots=True)
class Partial:
    """A sum over one shard and pane of something that spans shards; the last one published wins."""

    name: str
    shard: int
    pane: int
    value: int


class Verdicts(NamedTuple):
    """What closing panes brought to light, in order of the panes."""

    detections: list[Detection]
    partials: list[Partial]


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of state to store: a name, and the bytes that `restore` takes."""

    name: str
    payload: bytes


class _ClosingPane:
    """The statistics of one closing pane, summed when first asked for."""

    def __init__(self, pane: int, watch: "Watch") -> None:
        self.pane = pane
        self._watch = watch
        self._windows: dict[int, pl.DataFrame] = {}
        self._tables: dict[Need, pl.DataFrame] = {}

    def table(self, need: Need) -> pl.DataFrame:
        if need not in self._tables:
            self._tables[need] = TABLES[need.table](self._window(need.panes))
        return self._tables[need]

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        return baselines.baseline(self._watch.history, column, keys, self.pane, panes)

    def hosts(self, keys: pl.Series) -> pl.DataFrame:
        end = self.pane + PANE_SECONDS
        known = self._watch.directory.between(end - self._watch.kept_seconds, end)
        wanted = known.lazy().join(keys.unique().to_frame("key").lazy(), on="key", how="semi")
        return directory.merged(wanted, by_pane=False)

    def addresses(self, keys: Iterable[int]) -> list[str]:
        wanted = pl.Series("key", list(keys), dtype=pl.UInt64)
        known = {key: written(high, low) for key, high, low in self.hosts(wanted).select("key", "high", "low").rows()}
        return [known[key] for key in wanted]

    def _window(self, panes: int) -> pl.DataFrame:
        if panes not in self._windows:
            end = self.pane + PANE_SECONDS
            parts = self._watch.contacts.between(end - panes * PANE_SECONDS, end)
            self._windows[panes] = contacts.merged(parts, by_pane=False)
        return self._windows[panes]


class Watch:
    """The state of every host, and the detectors that look at it whenever a pane closes.

    Everything follows from the records and the watermarks: batching and the order of arrival do not matter as
    long as no record is late. This first implementation keeps all shards in one table, without caps, and says
    nothing of panes that are still open.

    Parameters
    ----------
    detectors
        Detectors by kind.
    parameters
        The values of their parameters, by kind.
    """

    def __init__(self, detectors: Mapping[str, Detector], parameters: Mapping[str, Parameters]) -> None:
        self._detectors = detectors
        self._parameters = parameters
        self._applied: dict[str, Position] = {}
        self._closed_until = -END_OF_TIME
        self.kept_seconds = PANE_SECONDS * max(
            (need.panes for detector in detectors.values() for need in detector.needs), default=1
        )
        self.contacts = Panes(CONTACTS, lambda parts: contacts.merged(parts, by_pane=True))
        self.directory = Panes(HOSTS, lambda parts: directory.merged(parts.lazy(), by_pane=True))
        self.history: dict[int, pl.DataFrame] = {}

    @property
    def hosts(self) -> int:
        """How many hosts are known at the moment."""
        return self.directory.between(-END_OF_TIME, END_OF_TIME)["key"].n_unique()

    def apply(self, table: Table, span: Span) -> Table:
        """Count records.

        Parameters
        ----------
        table, span
            The records and the range they came from. What was applied before is skipped.

        Returns
        -------
        Table
            Records that came too late: they ended in a pane that is closed, and were not counted.

        Raises
        ------
        detectors.span.GapError
            When records are missing between this range and the one before it.
        """
        fresh = unapplied(table, span, self._applied.get(span.source))
        self._applied[span.source] = max(span.end, self._applied.get(span.source, span.end))
        late = fresh.frame["end"] < self._closed_until
        if late.any():
            self._count(Table(fresh.frame.filter(~late)))
            return Table(fresh.frame.filter(late))
        self._count(fresh)
        return fresh.rows(0, 0)

    def advance(self, watermark: int) -> Verdicts:
        """Close every pane that ends at or before a watermark, epoch seconds, and look at each."""
        found = Verdicts([], [])
        for pane in [each for each in self.contacts.panes if each + PANE_SECONDS <= watermark]:
            if pane >= self._closed_until:
                self._close(pane, found)
        self._closed_until = max(self._closed_until, watermark // PANE_SECONDS * PANE_SECONDS)
        self._forget()
        return found

    def changes(self) -> list[Change]:
        """Return the state to store. This first implementation returns all of it every time."""
        position = {"applied": self._applied, "closed_until": self._closed_until}
        frames = {
            "contacts": self.contacts.whole(),
            "directory": self.directory.whole(),
            **{f"history/{pane}": frame for pane, frame in self.history.items()},
        }
        return [
            Change("position", json.dumps(position).encode()),
            *(Change(name, _to_bytes(frame)) for name, frame in frames.items()),
        ]

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the state that `changes` returned, in a new watch."""
        for change in changes:
            if change.name == "position":
                position = json.loads(change.payload)
                self._applied = {source: Position(*each) for source, each in position["applied"].items()}
                self._closed_until = position["closed_until"]
            elif change.name == "contacts":
                self.contacts.add(pl.read_ipc(change.payload))
            elif change.name == "directory":
                self.directory.add(pl.read_ipc(change.payload))
            else:
                self.history[int(change.name.removeprefix("history/"))] = pl.read_ipc(change.payload)

    def _count(self, table: Table) -> None:
        flows = table.flows
        if flows.height:
            self.contacts.add(contacts.fold(flows))
            self.directory.add(directory.hosts(flows))

    def _close(self, pane: int, found: Verdicts) -> None:
        view = _ClosingPane(pane, self)
        for kind, detector in self._detectors.items():
            found.detections.extend(verdicts(detector, view, self._parameters[kind], view.hosts))
        hosts = view.table(Need("host", 1))
        self.history[pane] = hosts
        rejected = hosts.group_by(shard=shard(pl.col("key"))).agg(pl.col("rejected").sum())
        found.partials.extend(
            Partial("rejected", shard, pane, value) for shard, value in rejected.sort("shard").rows() if value
        )

    def _forget(self) -> None:
        oldest = self._closed_until - self.kept_seconds
        self.contacts.drop_before(oldest)
        self.directory.drop_before(oldest)
        for pane in [each for each in self.history if each < self._closed_until - HISTORY_PANES * PANE_SECONDS]:
            del self.history[pane]


def _to_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4")
    return buffer.getvalue()
