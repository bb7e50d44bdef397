"""All stages in one object: messages in, findings out. The service and `flowhawk detect` both run this."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from detectors.catalogue import catalogue
from detectors.episodes import LONGEST_QUIET_SECONDS
from detectors.finding import Finding
from detectors.incidents import Incidents
from detectors.parameters import HostAddresses
from detectors.span import Int64Array, Position, Span
from detectors.state import Change, below, prefixed
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.table import Table
from detectors.watch import END_OF_TIME, Watch
from detectors.watermark import Watermarks
from streams import tuning
from streams.degraded import EVICTED, SLOW, Judge, cut_short
from streams.records import REFUSED, Decoded, Message, decode_all
from streams.records.contract import WATERMARK_HEADER
from streams.records.message_columns import MessageColumns, with_header
from streams.settings import Settings

STAGES: Final = ("decode", "count", "judge", "merge", "write")
"""What is done with a batch, in order: `merge` makes findings of detections."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive messages of one source.

    Attributes
    ----------
    source
        Name of the source, for example `flows/0`.
    messages
        The messages, in order.
    offsets
        Their offsets, ascending, int64, shape (messages,).
    begin, end
        The range of offsets that the messages stand for: what is missing in it does not exist.
    """

    source: str
    messages: Sequence[Message]
    offsets: Int64Array
    begin: int
    end: int

    @property
    def bytes(self) -> int:
        """Size of the messages' values."""
        if isinstance(self.messages, MessageColumns):
            return int(self.messages.records.sizes.sum())
        return sum(len(message.value) for message in self.messages)

    def since(self, offset: int) -> "Batch":
        """Leave out what lies before an offset."""
        if offset <= self.begin:
            return self
        first = int(np.searchsorted(self.offsets, offset))
        return Batch(self.source, self.messages[first:], self.offsets[first:], offset, max(offset, self.end))


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes
    ----------
    records
        Accepted records.
    coverage
        Accepted rows that tell of missing flows, by log status.
    refused
        Refused lines, columns of `streams.records.REFUSED`.
    late
        Records that came too late to count.
    findings
        Findings to publish, in order.
    suppressed
        Findings that are not published: as that begins (open), and as they end.
    detections
        How many detections there were.
    evicted
        Rows of statistics that went beyond their caps, by table.
    watermark
        Where event time has come to, epoch seconds.
    seconds
        How long each of `STAGES` took that was part of it.
    judging
        How long each detector took since the batch before, seconds by kind.
    degraded
        How often each did less than it should, by kind and one of `streams.degraded.REASONS`.
    """

    records: int = 0
    coverage: dict[str, int] = field(default_factory=dict)
    refused: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REFUSED))
    late: Table = field(default_factory=Table.empty)
    findings: list[Finding] = field(default_factory=list)
    suppressed: list[Finding] = field(default_factory=list)
    detections: int = 0
    evicted: Mapping[str, int] = field(default_factory=dict)
    watermark: int = -END_OF_TIME
    seconds: dict[str, float] = field(default_factory=dict)
    judging: Mapping[str, float] = field(default_factory=dict)
    degraded: dict[tuple[str, str], int] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long one of `STAGES` takes."""
        begun = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - begun


class Pipeline:
    """Decode, watch and incidents, one behind the other (topology `direct`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.watermarks = Watermarks(settings.time.allowed_lateness_seconds)
        self._detectors = catalogue()
        self.watch = Watch(self._detectors, {}, login_ports=settings.services.login_ports)
        self.incidents = Incidents(tuning.policy(settings))
        self.watch.set(tuning.parameters(settings, HostAddresses(self.watch.known)))
        self._judge = Judge()
        self.watch.judge = self._judge
        self._restored = False
        self._evicted: Mapping[str, int] = {}

    def retune(self, settings: Settings) -> Outcome:
        """Take other parameters, modes and suppressions, and bring what people were told into line with them.

        Nothing else of the settings is taken, and what is kept of hosts stays the same.
        """
        self.watch.set(tuning.parameters(settings, HostAddresses(self.watch.known)))
        findings = self.incidents.follow(tuning.policy(settings))
        self._settings = settings
        return Outcome(findings=findings, suppressed=self.incidents.kept_back())

    def process(self, batch: Batch, decoded: Decoded | None = None) -> Outcome:
        """Count a batch, and look at every pane that it closes.

        Parameters
        ----------
        batch
            What comes next of its source.
        decoded
            Its messages, where somebody has decoded them already.
        """
        outcome = Outcome()
        if decoded is None:
            with outcome.timed("decode"):
                decoded = decode_all(batch.messages, self._settings.records, self._settings.networks)
        with outcome.timed("count"):
            behind = np.cumsum(decoded.rows)
            span = Span(batch.source, Position(batch.begin), Position(batch.end), batch.offsets, behind - decoded.rows)
            late = self.watch.apply(decoded.table, span, self._reached(batch, decoded.table, behind))
        self._advance(self.watermarks.current, outcome)
        statuses = decoded.table.frame["log_status"].value_counts()
        outcome.coverage = {status: count for status, count in statuses.rows() if status != "OK"}
        outcome.records = len(decoded.table) - len(late)
        outcome.refused, outcome.late = decoded.refused, late
        return outcome

    def look(self) -> list[Finding]:
        """Look at open panes, and return the provisional findings that are worth publishing."""
        return self.incidents.apply(self.watch.look())

    def expected(self, source: str) -> int | None:
        """Return the offset that must come next from a source; None where nothing came yet."""
        applied = self.watch.applied(source)
        return None if applied is None else applied.offset

    def finish(self, source: str) -> Outcome:
        """Take note that a source has ended; when all have, every pane and every finding closes."""
        self.watermarks.finish(source)
        outcome = Outcome()
        self._advance(self.watermarks.current, outcome)
        return outcome

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed in any stage since the last call, or all there is."""
        return [
            *prefixed("watch", self.watch.changes(whole=whole)),
            *prefixed("incidents", self.incidents.changes()),
            *prefixed("time", self.watermarks.changes()),
        ]

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned, in a new pipeline."""
        self.watch.restore(below("watch", changes))
        self.incidents.restore(below("incidents", changes))
        self.watermarks.restore(below("time", changes))
        self._restored = True
        # What the process before had evicted was counted there.
        self._evicted = self.watch.evicted

    def _reached(self, batch: Batch, table: Table, behind: Int64Array) -> Int64Array:
        """Let the time of a source go on, and say how far it had come before each record; messages end at `behind`."""
        marks = with_header(batch.messages, WATERMARK_HEADER)
        first, *others = np.split(table.frame["end"].to_numpy(), behind[marks])
        reached = [self.watermarks.seen(batch.source, first)]
        for ends in others:
            self.watermarks.complete(batch.source, PANE_SECONDS + SPREAD_SECONDS + LONGEST_QUIET_SECONDS)
            reached.append(self.watermarks.seen(batch.source, ends))
        return np.concatenate(reached)

    def _advance(self, watermark: int, outcome: Outcome) -> None:
        """Close panes, and note what that brings to light."""
        with outcome.timed("judge"):
            found = self.watch.advance(watermark)
        with outcome.timed("merge"):
            # What was stored may have been told under other settings.
            findings = self.incidents.follow(tuning.policy(self._settings)) if self._restored else []
            self._restored = False
            findings += self.incidents.apply(found.detections, found.partials)
            findings += self.incidents.advance(self.watch.closed_until)
            outcome.findings, outcome.suppressed = findings, self.incidents.kept_back()
        before, self._evicted = self._evicted, self.watch.evicted
        outcome.evicted = {table: rows - before.get(table, 0) for table, rows in self._evicted.items()}
        outcome.detections, outcome.watermark = len(found.detections), watermark
        lost = [table for table, rows in outcome.evicted.items() if rows]
        outcome.judging, slow = self._judge.taken()
        outcome.degraded = {(kind, SLOW): panes for kind, panes in slow.items()}
        outcome.degraded |= dict.fromkeys(((kind, EVICTED) for kind in cut_short(self._detectors, lost)), 1)
