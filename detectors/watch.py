"""Records in, detections out: the windowed state of hosts, advanced by event time alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import Int64Array
from detectors.closed import Closed, Verdicts, partials
from detectors.contract import Detector, Need, Parameters
from detectors.finding import Detection
from detectors.looks import Looks
from detectors.route import Part
from detectors.span import Position, Span, unapplied
from detectors.state import Change, below, prefixed
from detectors.statistics import (
    contacts,
    conversations,
    directory,
    forwarders,
    login_windows,
    refusal_sums,
    refusals,
    volumes,
)
from detectors.statistics.baselines import Baselines
from detectors.statistics.caps import DEFAULT_CAPS, Bounded, Caps
from detectors.statistics.connections import LOGIN_PORTS
from detectors.statistics.contacts import CONTACTS, PANE_SECONDS
from detectors.statistics.conversations import CONVERSATIONS, REMEMBERED_SECONDS
from detectors.statistics.derived_panes import DerivedPanes
from detectors.statistics.directory import HOSTS
from detectors.statistics.forwarders import FORWARDERS, true_ends
from detectors.statistics.frames import among
from detectors.statistics.login_windows import LoginWindows
from detectors.statistics.panes import Panes
from detectors.statistics.refusal_sums import INTERFACE
from detectors.statistics.refusals import Refusals
from detectors.statistics.rollup import BLOCK_SECONDS, HOUR_SECONDS, MARGIN_PANES, SHORT_PANES, Rollup
from detectors.statistics.volumes import SPREAD_SECONDS, VOLUMES
from detectors.statistics.window import Window
from detectors.table import SCHEMA, Table
from detectors.verdicts import verdicts
from detectors.view import PaneView

END_OF_TIME: Final = 2**62
"""A watermark behind which nothing follows: every pane closes."""

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
    part
        The shards whose hosts are this one's own, where others watch the other shards; None for all.
    """

    def __init__(
        self,
        detectors: Mapping[str, Detector],
        parameters: Mapping[str, Parameters],
        caps: Mapping[str, Caps] = DEFAULT_CAPS,
        login_ports: Sequence[int] = LOGIN_PORTS,
        part: Part | None = None,
    ) -> None:
        self.part = part
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
        self.refusals = Refusals(self._bounded["refusals"], part)
        self._rolled_until = -END_OF_TIME
        self._derived = DerivedPanes(self.contacts, self.volumes, self.conversations)
        self._unlearned = set[int]()
        self._looks = Looks({kind: each.patience for kind, each in detectors.items()})
        self._learned, self._closing = -END_OF_TIME, set[int]()
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
        """How many hosts are known at the moment, those of other parts not counted."""
        keys = self.directory.between(-END_OF_TIME, END_OF_TIME)["key"].unique()
        return len(keys) if self.part is None else int(self.part.holds(keys.to_numpy()).sum())

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
        unread = None if reached is None else reached[len(table) - len(fresh) :]
        return self.take(fresh, {span.source: span.end}, unread)

    def take(self, fresh: Table, ends: Mapping[str, Position], reached: Int64Array | None = None) -> Table:
        """Count records that follow on those that were counted of their source: `apply`, where somebody has seen to it.

        Parameters
        ----------
        fresh
            The records, of one source or of several.
        ends
            The end of the range that was read, by source.
        reached
            How far event time of its source had come before each record, as of `apply`.
        """
        for source, end in ends.items():
            self._applied[source] = max(end, self._applied.get(source, end))
        late = self._late(fresh, reached)
        if late.any():
            self._count(Table(fresh.frame.filter(~late)))
            return Table(fresh.frame.filter(late))
        self._count(fresh)
        return fresh.rows(0, 0)

    def follow(self, applied: Mapping[str, Position], learned: int) -> None:
        """Begin where others stopped: behind what they counted of each source, and the pane that they closed last."""
        self._applied, self._learned = dict(applied), learned
        self._reached = max(self._reached, learned + PANE_SECONDS)

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
        for pane in self.reach(watermark):
            view = self.prepare(pane)
            judged = list(self._judged(view, self._parameters, provisional=False))
            found.detections.extend(judged)
            if self.observe is not None:
                self.observe(Closed(view, view.hosts, self._parameters, judged))
            found.partials.extend(partials(view))
            self.learn(view)
        self.settle()
        return found

    @property
    def learned(self) -> int:
        """Begin of the pane that was closed last, epoch seconds; -`END_OF_TIME` while there is none."""
        return self._learned

    @property
    def panes(self) -> list[int]:
        """Begins of the panes that anything is kept of and that nothing was learned from yet, ascending."""
        return sorted(each for each in {*self.contacts.panes, *self.volumes.panes} if each > self._learned)

    def reach(self, watermark: int) -> list[int]:
        """Let event time go on, and return the panes that are to be closed, in their order: `advance`, step by step."""
        self._reached = max(self._reached, watermark // PANE_SECONDS * PANE_SECONDS)
        return [pane for pane in self.panes if pane < self.closed_until]

    def prepare(self, pane: int) -> PaneView:
        """Bring the statistics of a pane that closes into their final shape, and show them."""
        self._closing.add(pane)
        self._roll(pane)
        self.logins.advance(pane, self.closed_until)
        return PaneView(pane, self, closing=True)

    def learn(self, view: PaneView) -> None:
        """Learn from a pane that was prepared and judged, each once, in their order."""
        refused = view.table(Need("refused", 1))
        if self.part is not None:
            # What spans the parts is learned where they are brought together.
            refused = refused.filter(pl.col("level") < INTERFACE)
        for each in refusal_sums.learned(view.table(Need("host", 1)), refused):
            self.baselines.learn(view.pane, each)
        self._learned = view.pane
        self._looks.discard(view.pane)

    def settle(self) -> None:
        """Go on to where event time was let go, all panes before it being learned, and forget what nobody reads."""
        self._roll(self.closed_until)
        self.logins.advance(self.closed_until, self.closed_until)
        self._forget()

    def look(self) -> list[Detection]:
        """Say early what open panes show that records were added to since the last look, the newest panes first.

        Returns
        -------
        list of Detection
            Provisional ones. What they say follows from what has arrived so far; only closed panes are certain.
        """
        found: list[Detection] = []
        for pane, kinds in self._looks.take().items():
            asked = {kind: self._parameters[kind] for kind in kinds if kind in self._parameters}
            found += self._judged(PaneView(pane, self, closing=False), asked, provisional=True)
        return found

    def window(self, pane: int, panes: int) -> Window:
        """Return the last `panes` panes up to and with one; long windows are rounded to blocks, see `Rollup`."""
        if panes > SHORT_PANES:
            return self.rollup.window(pane, panes)
        first, end, closed_until = pane - (panes - 1) * PANE_SECONDS, pane + PANE_SECONDS, self.closed_until
        following = partial(self._derived.between, end, end + SPREAD_SECONDS, closed_until)
        return Window(self._derived.between(first, end, closed_until), panes, following)

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
            "learned": self._learned,
            "closing": sorted(self._closing),
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
                self._learned = position.get("learned", self.closed_until - PANE_SECONDS)
                self._closing = set(position.get("closing", ()))
                self.logins.settled(position["logins_rolled_until"], self.closed_until)
        for name, part in self.parts.items():
            part.restore(below(name, changes))
        # Nobody has looked at them in this process.
        self._looks.add(pane for pane in (*self.contacts.panes, *self.volumes.panes) if pane >= self.closed_until)

    def _late(self, table: Table, reached: Int64Array | None) -> pl.Series:
        """Say which records are late; what is left of the others lies in panes that are open."""
        ends = table.frame["end"]
        if reached is None or not len(reached) or ends.min() >= reached.max():
            return ends < self._reached
        passed = np.maximum(reached // PANE_SECONDS * PANE_SECONDS, self._reached)
        return pl.Series(ends.to_numpy() < passed)

    def _count(self, table: Table) -> None:
        every = true_ends(table.flows)
        flows = every.select(SCHEMA.names()).rechunk()
        if flows.height:
            self._looks.add(self.contacts.add(contacts.fold(flows)))
            self._looks.add(self.volumes.add(volumes.fold(flows, crossing=self._crossing)))
            self.conversations.add(conversations.fold(flows))
            self.directory.add(directory.hosts(flows))
            self.logins.add(flows)
            self.refusals.add(every)
            self.forwarders.add(forwarders.fold(every))

    def _roll(self, until: int) -> None:
        """Roll up the blocks whose margin has closed, all panes before `until` being closed."""
        margin = MARGIN_PANES * PANE_SECONDS
        last = (until - margin) // BLOCK_SECONDS * BLOCK_SECONDS
        # Where others have something to close that this part has nothing of, the time passes for all.
        panes = {*self.contacts.panes, *self.volumes.panes, *self._closing}
        held = sorted({pane // BLOCK_SECONDS * BLOCK_SECONDS for pane in panes})
        for begin in (each for each in held if self._rolled_until <= each < last):
            end = begin + BLOCK_SECONDS
            around = self._derived.between(begin - margin, end + margin, self.closed_until)
            window = Window(around, (end - begin + 2 * margin) // PANE_SECONDS)
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
                sent = self.rollup.hour(hour)
                self.baselines.destinations.learn(sent if self.part is None else sent.of(self.part))
        self._unlearned.difference_update(over)
        self._unlearned.add(present)

    def _judged(self, view: PaneView, asked: Mapping[str, Parameters], *, provisional: bool) -> Iterator[Detection]:
        for kind, parameters in asked.items():
            yield from self.judge(self._detectors[kind], view, parameters, view.hosts, provisional=provisional)

    def _forget(self) -> None:
        oldest = self.closed_until - self.kept_seconds
        for panes in (self.contacts, self.volumes, self.directory, self.forwarders):
            panes.drop_before(oldest)
        self.conversations.drop_before(oldest - REMEMBERED_SECONDS)
        self.rollup.drop_before(self.closed_until)
        self.logins.drop_before(oldest)
        self.refusals.drop_before(oldest)
        self._looks.drop_before(self.closed_until)
        self._closing = {pane for pane in self._closing if pane >= oldest}
        self._derived.drop_before(oldest, self.closed_until)
