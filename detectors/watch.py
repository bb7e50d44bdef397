"""Records in, detections out: the windowed state of hosts, advanced by event time alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.addresses import Int64Array
from detectors.contract import Detector, Need, Parameters, View
from detectors.finding import Detection
from detectors.route import SHARD_SHIFT
from detectors.span import Position, Span, unapplied
from detectors.state import Change, below, prefixed
from detectors.statistics import contacts, conversations, directory, forwarders, login_windows, refusals, volumes
from detectors.statistics.baselines import Baselines
from detectors.statistics.caps import DEFAULT_CAPS, Bounded, Caps
from detectors.statistics.connections import LOGIN_PORTS
from detectors.statistics.contacts import CONTACTS, PANE_SECONDS
from detectors.statistics.conversations import CONVERSATIONS, REMEMBERED_SECONDS
from detectors.statistics.directory import HOSTS
from detectors.statistics.forwarders import FORWARDERS, true_ends
from detectors.statistics.frames import among
from detectors.statistics.login_windows import LoginWindows
from detectors.statistics.pane import Counted, Pane
from detectors.statistics.panes import Panes
from detectors.statistics.refusals import TARGET, Refusals
from detectors.statistics.rollup import BLOCK_SECONDS, HOUR_SECONDS, MARGIN_PANES, SHORT_PANES, Rollup
from detectors.statistics.volumes import SPREAD_SECONDS, VOLUMES
from detectors.statistics.window import Window
from detectors.table import SCHEMA, Table
from detectors.verdicts import verdicts
from detectors.view import PaneView

END_OF_TIME: Final = 2**62
"""A watermark behind which nothing follows: every pane closes."""

_LOOKED_AT: Final = 6
"""How many open panes are looked at in one go: records seldom come for more, and each look costs as much as a close."""

_CROSSING: Final = ("egress", "outflow")
"""Tables of what own hosts exchange with outside peers."""

_LEARNED_HOURS: Final = 20
"""How many hours back destinations are learned after a break: so many are kept, however time advances."""

_MERGES: Final[Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "contacts": partial(contacts.merged, by_pane=True),
    "volumes": volumes.merged,
    "conversations": conversations.merged,
    "directory": directory.merged,
    **login_windows.SUMS,
    "refusals": refusals.merged,
}


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


class Closed(NamedTuple):
    """A pane that has been judged, for who wants to look into it.

    Attributes
    ----------
    view
        The statistics that were judged.
    hosts
        Returns the rows of `detectors.statistics.directory.HOSTS` behind keys.
    parameters
        The values of parameters that were in force, by kind.
    detections
        What was said of it.
    """

    view: View
    hosts: Callable[[pl.Series], pl.DataFrame]
    parameters: Mapping[str, Parameters]
    detections: Sequence[Detection]


class Watch:
    """The state of every host, and the detectors that look at it whenever a pane closes.

    Everything follows from the records and the watermarks: batching and the order of arrival do not matter as
    long as no record is late and nothing is evicted.

    Parameters
    ----------
    detectors
        Detectors by kind.
    parameters
        The values of their parameters, by kind. A detector without is not asked.
    caps
        How many rows of each table a shard may keep of a pane, by name of the table.
    login_ports
        Ports at which people log in.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        parameters: Mapping[str, Parameters],
        caps: Mapping[str, Caps] = DEFAULT_CAPS,
        login_ports: Sequence[int] = LOGIN_PORTS,
    ) -> None:
        self._detectors = detectors
        self._parameters = parameters
        self._applied: dict[str, Position] = {}
        self._reached = -END_OF_TIME
        # Closed panes are kept as long as windows are summed from them, and until they are rolled up.
        needs = [need for detector in detectors.values() for need in detector.needs]
        rolled = BLOCK_SECONDS // PANE_SECONDS + 2 * MARGIN_PANES
        self.kept_seconds = PANE_SECONDS * max(rolled, *(each.panes for each in needs if each.panes <= SHORT_PANES), 0)
        self._bounded = {name: Bounded(name, merge, caps[name]) for name, merge in _MERGES.items()}
        self.contacts = Panes(CONTACTS, self._bounded["contacts"])
        self.volumes = Panes(VOLUMES, self._bounded["volumes"])
        self.conversations = Panes(CONVERSATIONS, self._bounded["conversations"])
        self.directory = Panes(HOSTS, self._bounded["directory"])
        drips = any(need.table in _CROSSING and need.panes > SHORT_PANES for need in needs)
        self.rollup = Rollup(self._bounded, egress=drips)
        self._crossing = all(need.table != "traffic" for need in needs)
        self.logins = LoginWindows(self._bounded, login_ports)
        self.refusals = Refusals(self._bounded["refusals"])
        self._rolled_until = -END_OF_TIME
        self._derived, self._open = dict[int, Pane](), dict[int, tuple[tuple[int, ...], Pane]]()
        self._added, self._unlearned = set[int](), set[int]()
        self.baselines = Baselines()
        self.forwarders = Panes(FORWARDERS, forwarders.merged)
        self.parts: Mapping[str, Panes | Rollup | LoginWindows | Refusals | Baselines] = {
            "contacts": self.contacts,
            "volumes": self.volumes,
            "conversations": self.conversations,
            "directory": self.directory,
            "rollup": self.rollup,
            "logins": self.logins,
            "refusals": self.refusals,
            "baselines": self.baselines,
            "forwarders": self.forwarders,
        }
        """What state consists of, by name."""
        self.judge = verdicts
        """Judges a pane; whoever measures how long that takes puts something else in its place."""
        self.observe: Callable[[Closed], None] | None = None
        """Is shown each pane once it is judged; changes nothing."""

    def applied(self, source: str) -> Position | None:
        """Return the end of what was counted of a source; None when nothing was."""
        return self._applied.get(source)

    @property
    def evicted(self) -> dict[str, int]:
        """How many rows went beyond the caps so far, by table."""
        return {name: each.evicted for name, each in self._bounded.items()} | {"baselines": self.baselines.evicted}

    @property
    def hosts(self) -> int:
        """How many hosts are known at the moment."""
        return self.directory.between(-END_OF_TIME, END_OF_TIME)["key"].n_unique()

    def apply(self, table: Table, span: Span, reached: Int64Array | None = None) -> Table:
        """Count records.

        Parameters
        ----------
        table, span
            The records and the range they came from. What was applied before is skipped.
        reached
            How far event time had come before each record, epoch seconds, ascending, int64, shape (records,), see
            `detectors.watermark.Watermarks.seen`; None where it moves between tables only.

        Returns
        -------
        Table
            Records that came too late: they ended in a pane that event time had passed, and were not counted.

        Raises
        ------
        detectors.span.GapError
            When records are missing between this range and the one before it.
        """
        fresh = unapplied(table, span, self._applied.get(span.source))
        self._applied[span.source] = max(span.end, self._applied.get(span.source, span.end))
        late = self._late(fresh, None if reached is None else reached[len(table) - len(fresh) :])
        if late.any():
            self._count(Table(fresh.frame.filter(~late)))
            return Table(fresh.frame.filter(late))
        self._count(fresh)
        return fresh.rows(0, 0)

    def set(self, parameters: Mapping[str, Parameters]) -> None:
        """Judge by other parameters from now on, by kind; what is kept of hosts stays the same."""
        self._parameters = parameters

    @property
    def closed_until(self) -> int:
        """Event time before which every pane is closed, epoch seconds."""
        return self._reached - SPREAD_SECONDS

    def advance(self, watermark: int) -> Verdicts:
        """Close panes and look at each, in their order.

        Parameters
        ----------
        watermark
            Records that end before it are late from now on, epoch seconds. Panes stay open for as long behind it
            as the bytes of a record are spread back.
        """
        found = Verdicts([], [])
        closed_before = self.closed_until
        self._reached = max(self._reached, watermark // PANE_SECONDS * PANE_SECONDS)
        for pane in sorted({*self.contacts.panes, *self.volumes.panes}):
            if closed_before <= pane < self.closed_until:
                self._roll(pane)
                self.logins.advance(pane, self.closed_until)
                self._close(pane, found)
        self._roll(self.closed_until)
        self.logins.advance(self.closed_until, self.closed_until)
        self._forget()
        return found

    def look(self) -> list[Detection]:
        """Say early what open panes show that records were added to since the last look, the newest panes first.

        Returns
        -------
        list of Detection
            Provisional ones. What they say follows from what has arrived so far; only closed panes are certain.
        """
        panes = sorted(self._added, reverse=True)[:_LOOKED_AT]
        self._added.difference_update(panes)
        found: list[Detection] = []
        for pane in sorted(panes):
            found += self._judged(PaneView(pane, self, closing=False), provisional=True)
        return found

    def window(self, pane: int, panes: int) -> Window:
        """Return the last `panes` panes up to and with one; long windows are rounded to blocks, see `Rollup`."""
        if panes > SHORT_PANES:
            return self.rollup.window(pane, panes)
        first, end = pane - (panes - 1) * PANE_SECONDS, pane + PANE_SECONDS

        def following() -> list[Pane]:
            return self._panes(end, end + SPREAD_SECONDS)

        return Window(self._panes(first, end), panes, following)

    def known(self, keys: pl.Series) -> pl.DataFrame:
        """Say who hosts are that anything is kept of, columns of `detectors.statistics.directory.HOSTS`."""
        wanted = np.unique(keys.drop_nulls().to_numpy())
        everything = self.directory.between(-END_OF_TIME, END_OF_TIME)
        recent = among(everything, everything["key"].to_numpy(), wanted)
        return directory.summed(pl.concat([recent, self.rollup.names(wanted)]))

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed since the last call, to be stored; or all there is, where that begins anew."""
        position = {
            "applied": self._applied,
            "reached": self._reached,
            "rolled_until": self._rolled_until,
            "unlearned": sorted(self._unlearned),
            "logins_rolled_until": self.logins.rolled_until,
        }
        return [
            Change.of_document("position", position),
            *chain.from_iterable(prefixed(name, each.changes(whole=whole)) for name, each in self.parts.items()),
        ]

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned, in a new watch."""
        for change in changes:
            if change.name == "position":
                position = change.document()
                self._applied = {source: Position(*each) for source, each in position["applied"].items()}
                self._reached = position["reached"]
                self._rolled_until = position["rolled_until"]
                self._unlearned = set(position["unlearned"])
                self.logins.settled(position["logins_rolled_until"], self.closed_until)
        for name, part in self.parts.items():
            part.restore(below(name, changes))
        # Nobody has looked at them in this process.
        self._added = {pane for pane in (*self.contacts.panes, *self.volumes.panes) if pane >= self.closed_until}

    def _late(self, table: Table, reached: Int64Array | None) -> pl.Series:
        """Say which records are late; what is left of the others lies in panes that are open."""
        ends = table.frame["end"]
        if reached is None or not len(reached) or ends.min() >= reached[-1]:
            return ends < self._reached
        passed = np.maximum(reached // PANE_SECONDS * PANE_SECONDS, self._reached)
        return pl.Series(ends.to_numpy() < passed)

    def _count(self, table: Table) -> None:
        every = true_ends(table.flows)
        flows = every.select(SCHEMA.names()).rechunk()
        if flows.height:
            self._added |= self.contacts.add(contacts.fold(flows))
            self._added |= self.volumes.add(volumes.fold(flows, crossing=self._crossing))
            self.conversations.add(conversations.fold(flows))
            self.directory.add(directory.hosts(flows))
            self.logins.add(flows)
            self.refusals.add(every)
            self.forwarders.add(forwarders.fold(every))

    def _panes(self, begin: int, end: int) -> list[Pane]:
        begins = range(begin, end, PANE_SECONDS)
        return [self._pane(each) for each in begins if each in self.contacts or each in self.volumes]

    def _pane(self, begin: int) -> Pane:
        """Work out the statistics of a pane; they are kept until something is added, to a closed one for good."""
        if begin in self._derived:
            return self._derived[begin]
        end, remembered = begin + PANE_SECONDS, begin - REMEMBERED_SECONDS
        counts = self.contacts.version(begin, end) + self.volumes.version(begin, end)
        version = counts + self.conversations.version(remembered, end)
        known, pane = self._open.pop(begin, (None, None))
        if pane is None or known != version:
            counted = Counted(
                self.contacts.summed(begin),
                self.volumes.summed(begin),
                self.conversations.summed(begin),
                self.conversations.between(remembered, end),
            )
            pane = Pane(begin, counted)
        if begin < self.closed_until:
            self._derived[begin] = pane
        else:
            self._open[begin] = version, pane
        return pane

    def _roll(self, until: int) -> None:
        """Roll up the blocks whose margin has closed, all panes before `until` being closed."""
        margin = MARGIN_PANES * PANE_SECONDS
        last = (until - margin) // BLOCK_SECONDS * BLOCK_SECONDS
        held = sorted({pane // BLOCK_SECONDS * BLOCK_SECONDS for pane in (*self.contacts.panes, *self.volumes.panes)})
        for begin in (each for each in held if self._rolled_until <= each < last):
            end = begin + BLOCK_SECONDS
            window = Window(self._panes(begin - margin, end + margin), (end - begin + 2 * margin) // PANE_SECONDS)
            self._learn_destinations(begin)
            known = self.directory.between(begin - margin, end + margin + SPREAD_SECONDS)
            self.rollup.add(begin, window, known)
        self._rolled_until = max(self._rolled_until, last)

    def _learn_destinations(self, block: int) -> None:
        """Learn the hours that are over for an hour when a block is about to be rolled up: none still goes on."""
        present = block // HOUR_SECONDS * HOUR_SECONDS
        over = sorted(hour for hour in self._unlearned if hour < present - HOUR_SECONDS)
        for hour in over:
            # Hours of long ago may be kept no more; whether they are depends on how time advanced.
            if hour >= present - _LEARNED_HOURS * HOUR_SECONDS:
                self.baselines.destinations.learn(self.rollup.hour(hour))
        self._unlearned.difference_update(over)
        self._unlearned.add(present)

    def _close(self, pane: int, found: Verdicts) -> None:
        view = PaneView(pane, self, closing=True)
        judged = list(self._judged(view, provisional=False))
        found.detections.extend(judged)
        if self.observe is not None:
            self.observe(Closed(view, view.hosts, self._parameters, judged))
        refused = view.table(Need("refused", 1))
        for each in refusals.learned(view.table(Need("host", 1)), refused):
            self.baselines.learn(pane, each)
        targets = np.flatnonzero(refused["level"].to_numpy() == TARGET)
        shards = (refused["key"].to_numpy()[targets] >> SHARD_SHIFT).view(np.int64)
        rejected = np.bincount(shards, refused["rejected"].to_numpy()[targets])
        found.partials.extend(
            Partial("rejected", int(shard), pane, int(rejected[shard])) for shard in np.flatnonzero(rejected)
        )

    def _judged(self, view: PaneView, *, provisional: bool) -> Iterator[Detection]:
        for kind, parameters in self._parameters.items():
            yield from self.judge(self._detectors[kind], view, parameters, view.hosts, provisional=provisional)

    def _forget(self) -> None:
        oldest = self.closed_until - self.kept_seconds
        for panes in (self.contacts, self.volumes, self.directory, self.forwarders):
            panes.drop_before(oldest)
        self.conversations.drop_before(oldest - REMEMBERED_SECONDS)
        self.rollup.drop_before(self.closed_until)
        self.logins.drop_before(oldest)
        self.refusals.drop_before(oldest)
        self._added = {pane for pane in self._added if pane >= self.closed_until}
        self._derived = {begin: pane for begin, pane in self._derived.items() if begin >= oldest}
        self._open = {begin: each for begin, each in self._open.items() if begin >= self.closed_until}
