"""The watch stage of one partition of hosts: counts their records, and answers who judges them."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.catalogue import catalogue
from detectors.episodes import LONGEST_QUIET_SECONDS
from detectors.finding import Detection
from detectors.parameters import HostAddresses
from detectors.questions import answer
from detectors.route import Part
from detectors.span import GapError, Int64Array, Position
from detectors.state import Change, below, prefixed
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.table import Table
from detectors.view import PaneView
from detectors.watch import END_OF_TIME, Watch
from detectors.watermark import Watermarks
from streams import tuning
from streams.by_host.blocks import Block
from streams.by_host.commands import ASK, CLOSE, SETTLE, WHO, Answer, Command, Reached
from streams.errors import ServiceError
from streams.settings import Settings


class Shard:
    """The hosts of one partition: their statistics, and the order in which panes are closed.

    Records are counted as they come. Panes are closed as whoever judges them commands: each names the pane before it,
    so that none is passed over or closed twice, whatever is repeated, lost or told by somebody who should be dead.

    Parameters
    ----------
    settings
        All settings.
    part
        Which partition of how many.
    sources
        Names of all source partitions: event time is that of the slowest.
    """

    def __init__(self, settings: Settings, part: Part, sources: Iterable[str]) -> None:
        self.part = part
        self.watch = Watch(catalogue(), {}, login_ports=settings.services.login_ports, part=part)
        self.watermarks = Watermarks(settings.time.allowed_lateness_seconds)
        self._sources = tuple(sources)
        self._await_sources()
        self._commands: dict[tuple[str, str], Command] = {}
        self._view: PaneView | None = None
        self._stored: deque[tuple[int, int]] = deque()
        self._evicted: Mapping[str, int] = {}
        self._position: int | None = None
        self.retune(settings)

    def retune(self, settings: Settings) -> None:
        """Take other parameters, for what is said early."""
        self.watch.set(tuning.parameters(settings, HostAddresses(self.watch.known)))

    def expected(self, source: str) -> int | None:
        """Return the offset of the partition that must come next; None where nothing came yet."""
        del source
        return self._position

    def apply(self, blocks: Sequence[Block], end: int) -> Table:
        """Count the records of consecutive blocks, and return those that came too late.

        Parameters
        ----------
        blocks
            The blocks. What was counted of their sources before is passed over.
        end
            Offset of the partition behind them.

        Raises
        ------
        detectors.span.GapError
            When records are missing between a block and the one before it of its source; none are counted then.
        """
        self._check(blocks)
        ends: dict[str, Position] = {}
        taken = [each for each in (self._fresh(block, ends) for block in blocks) if each is not None]
        # What is done with few rows costs nearly as much as with many.
        rows = Table.concatenated([table for table, _ in taken])
        late = self.watch.take(rows, ends, np.concatenate([_NOTHING, *(reached for _, reached in taken)]))
        self._position = end
        return self._own(late)

    def follow(self, position: int | None, applied: Mapping[str, Position], learned: int) -> None:
        """Begin where other partitions stopped, among which hosts were divided differently, see `Watch.follow`.

        Parameters
        ----------
        position
            Offset to go on at; None for where the group says.
        applied, learned
            What they counted, by source, and the pane that they closed last.
        """
        self._position = position
        self.watch.follow(applied, learned)

    def look(self) -> list[Detection]:
        """Say early what open panes show of the hosts of this partition."""
        return [each for each in self.watch.look() if _within(each, self.part)]

    def obey(self, commands: Iterable[Command]) -> list[Answer]:
        """Answer questions and close panes, each command once its turn has come.

        A command waits until event time has come here to where it has to be, and until the pane before it is closed,
        in whatever order commands come. Where a later pane is closed already it was meant for somebody else.
        """
        # The same command given again, to somebody else or by somebody else, is to be done once.
        self._commands |= {(each.kind, each.name): each for each in commands if each.kind != WHO}
        answers: list[Answer] = []
        done = True
        while done:
            done = False
            # Each is looked at when those before it are done: a long row of them is gone through once.
            for of, command in list(self._commands.items()):
                if self._turn(command):
                    del self._commands[of]
                    answers += self._done(command, of[1])
                    done = True
        learned = self.watch.learned
        self._commands = {of: each for of, each in self._commands.items() if each.previous >= learned}
        return answers

    @property
    def reached(self) -> Reached:
        """How far this partition has come."""
        watermark = self.watermarks.current // PANE_SECONDS * PANE_SECONDS
        closed_until = watermark - SPREAD_SECONDS
        panes = [pane for pane in self.watch.panes if pane < closed_until]
        return Reached(self.part, watermark, self.watch.learned, panes)

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed since the last call, or all there is, which takes the place of what was stored.

        The first call is for all there is, also where the state was restored.
        """
        self._stored.append((self._position or 0, self.watch.learned))
        return [
            *prefixed("watch", self.watch.changes(whole=whole)),
            *prefixed("time", self.watermarks.changes()),
            Change.of_document("position", {"position": self._position, "part": list(self.part)}),
        ]

    def stored_until(self, position: int) -> int:
        """Return the pane that was closed last in the state that was stored with a position, or before it."""
        while len(self._stored) > 1 and self._stored[1][0] <= position:
            self._stored.popleft()
        held = bool(self._stored) and self._stored[0][0] <= position
        return self._stored[0][1] if held else NEVER

    def evicted(self) -> Mapping[str, int]:
        """Return how many rows went beyond the caps since the last call, by table."""
        before, self._evicted = self._evicted, self.watch.evicted
        return {table: rows - before.get(table, 0) for table, rows in self._evicted.items()}

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned, in a new one.

        Raises
        ------
        streams.errors.ServiceError
            When it is that of other hosts, because there were more or fewer partitions.
        """
        for change in changes:
            if change.name == "position":
                state = change.document()
                self._position = state["position"]
                if Part(*state["part"]) != self.part:
                    raise ServiceError(
                        f"this is partition {self.part.number} of {self.part.of}, and its state is that of partition "
                        f"{state['part'][0]} of {state['part'][1]}; "
                        "divide anew what was learned (docs/how-to/run-several-workers.md)"
                    )
        self.watch.restore(below("watch", changes))
        self.watermarks.restore(below("time", changes))
        self._stored.append((self._position or 0, self.watch.learned))
        # What the process before had evicted was counted there.
        self._evicted = self.watch.evicted
        # There may be more of them than there were.
        self._await_sources()

    def _await_sources(self) -> None:
        for source in self._sources:
            self.watermarks.add(source)

    def _check(self, blocks: Sequence[Block]) -> None:
        """See that every block begins where its source has come to, or before."""
        ends: dict[str, Position] = {}
        for block in blocks:
            end = ends.get(block.source, self.watch.applied(block.source))
            if end is not None and block.begin > end:
                raise GapError(
                    f"{block.source}: rows from {tuple(end)} up to {tuple(block.begin)} are missing; "
                    "nothing was counted, restart from the last checkpoint"
                )
            ends[block.source] = block.end if end is None else max(end, block.end)

    def _turn(self, command: Command) -> bool:
        """Say whether a command follows on what was closed here, and event time has come to it."""
        return command.previous == self.watch.learned and command.watermark <= self.watermarks.current

    def _fresh(self, block: Block, ends: dict[str, Position]) -> tuple[Table, Int64Array] | None:
        """Return the rows of a block that were not counted yet, and how far their source had come before each."""
        applied = ends.get(block.source, self.watch.applied(block.source))
        if block.idle and (applied is None or block.end == applied):
            self.watermarks.rest(block.source)
        if block.idle or (applied is not None and block.end <= applied):
            return None
        fresh = block if applied is None else block.since(applied)
        if fresh.complete:
            self.watermarks.complete(block.source, PANE_SECONDS + SPREAD_SECONDS + LONGEST_QUIET_SECONDS)
        ends[block.source] = block.end
        return fresh.table, self.watermarks.told(block.source, fresh.reached, fresh.newest)

    def _done(self, command: Command, name: str) -> list[Answer]:
        if command.kind == ASK and command.question is not None:
            return [Answer(name, answer(command.question, self._shown(command)))]
        if command.kind == CLOSE:
            self.watch.learn(self._shown(command))
            self._view = None
        # One of earlier, repeated for somebody else, would forget what the pane that is judged now is judged by.
        if command.kind == SETTLE and command.watermark - SPREAD_SECONDS >= self.watch.closed_until:
            self.watch.reach(command.watermark)
            self.watch.settle()
        return []

    def _shown(self, command: Command) -> PaneView:
        """Show a pane that closes; nothing of it changes any more."""
        if self._view is None or self._view.pane != command.pane:
            self.watch.reach(command.watermark)
            self._view = self.watch.prepare(command.pane)
        return self._view

    def _own(self, late: Table) -> Table:
        # What hosts of two partitions exchange is late in both, and told of by the sender's.
        keys = late.frame["source_key"].fill_null(0).to_numpy()
        return Table.sound(late.frame.filter(pl.Series(self.part.holds(keys), dtype=pl.Boolean)))


def _within(detection: Detection, part: Part) -> bool:
    """Say whether a detection is about a host of a part; what is about none is said once it is sure."""
    placed = detection.source is not None or detection.target is not None
    return placed and bool(part.holds(np.array([detection.shard << 56], np.uint64))[0])


_NOTHING: Final = np.zeros(0, np.int64)

NEVER: Final = -END_OF_TIME
"""Where event time, or the last closed pane, is while there is none."""
