"""Cuts: a batch of messages, divided into ranges that every partition of hosts gets a block of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from detectors.route import rows_by_partition
from detectors.span import Int64Array, Position
from detectors.watch import END_OF_TIME
from streams.by_host.blocks import headers
from streams.by_host.columns import Columns
from streams.pipeline import Batch
from streams.records import Decoded
from streams.records.contract import WATERMARK_HEADER
from streams.records.message_columns import with_header

MOST_BYTES: Final = 900_000
"""Size of a block's value at most; a broker takes a megabyte with all that is around it unless told otherwise."""

ROW_BYTES: Final = 30
"""What a row is reckoned at before it is written: about twice what one of ordinary traffic takes."""


class Outgoing(NamedTuple):
    """A block as a message to a partition of hosts."""

    partition: int
    value: bytes
    headers: dict[str, bytes]


class _Range(NamedTuple):
    """Rows `[first, last)` of a batch, and the range of the source that they and the marks before them stand for."""

    first: int
    last: int
    begin: Position
    end: Position
    complete: int


@dataclass(frozen=True, slots=True)
class _Routed:
    """A decoded batch and where its rows go.

    Attributes
    ----------
    source
        Name of the source partition.
    columns
        The rows.
    ends
        When they end, epoch seconds.
    offsets, rows
        The message that each row came from, and its number there.
    parts
        Numbers of the rows that each partition gets, ascending.
    """

    source: str
    columns: Columns
    ends: Int64Array
    offsets: Int64Array
    rows: Int64Array
    parts: Sequence[Int64Array]

    def fullest(self, each: _Range) -> int:
        """Return how many rows of a range the partition gets that most go to."""
        return max(len(self.of(each, part)) for part in range(len(self.parts)))

    def of(self, each: _Range, part: int) -> Int64Array:
        """Return the rows of a range that a partition gets."""
        first, last = np.searchsorted(self.parts[part], (each.first, each.last))
        return self.parts[part][first:last]

    def halves(self, each: _Range) -> tuple[_Range, _Range]:
        """Divide a range in the middle of its rows, be it inside a message."""
        middle = (each.first + each.last) // 2
        place = Position(int(self.offsets[middle]), int(self.rows[middle]))
        return each._replace(last=middle, end=place), each._replace(first=middle, begin=place, complete=0)

    def messages(self, each: _Range) -> Iterator[Outgoing]:
        """Yield what every partition gets of a range, in their order."""
        reached = np.maximum.accumulate(np.concatenate(([-END_OF_TIME], self.ends[each.first : each.last])))
        said = headers(self.source, each.begin, each.end, complete=each.complete, newest=int(reached[-1]))
        for part in range(len(self.parts)):
            rows = self.of(each, part)
            yield Outgoing(part, self.columns.content(rows, reached[rows - each.first]) if len(rows) else b"", said)


def write(
    batch: Batch,
    decoded: Decoded,
    partitions: int,
    *,
    most_bytes: int = MOST_BYTES,
    most_rows: int = MOST_BYTES // ROW_BYTES,
) -> Iterator[Outgoing]:
    """Divide a batch into messages.

    Parameters
    ----------
    batch, decoded
        Messages of a source partition, and their rows.
    partitions
        Among how many the hosts are divided.
    most_bytes
        Size of a value at most. Only a single row that takes more, with texts as long as a message, is written so.
    most_rows
        Rows in a block at most, from 1.

    Yields
    ------
    Outgoing
        For one range after the other, a message for each partition, in their order. The ranges follow on each other
        from the begin of the batch to its end. A range begins behind each message that says that its source is
        complete, at the place behind its last row, and elsewhere where a block would have too many rows or bytes.
    """
    routed = _routed(batch, decoded, partitions)
    for segment in _segments(batch, decoded):
        for each in _small(routed, segment, most_rows):
            yield from _written(routed, each, most_bytes)


def _written(routed: _Routed, each: _Range, most_bytes: int) -> Iterator[Outgoing]:
    messages: list[Outgoing] = []
    for message in routed.messages(each):
        messages.append(message)
        if len(message.value) > most_bytes and each.last - each.first > 1:
            # All partitions share the same ranges, so what is written of this one already is of no use.
            for half in routed.halves(each):
                yield from _written(routed, half, most_bytes)
            return
    yield from messages


def _routed(batch: Batch, decoded: Decoded, partitions: int) -> _Routed:
    starts = np.cumsum(decoded.rows) - decoded.rows
    offsets = np.repeat(batch.offsets, decoded.rows)
    rows = np.arange(len(decoded.table)) - np.repeat(starts, decoded.rows)
    return _Routed(
        source=batch.source,
        columns=Columns(decoded.table, offsets, rows),
        ends=decoded.table.frame["end"].to_numpy(),
        offsets=offsets,
        rows=rows,
        parts=rows_by_partition(decoded.table, partitions),
    )


def _segments(batch: Batch, decoded: Decoded) -> list[_Range]:
    """Divide a batch behind every mark of a complete source; a mark comes behind the rows of its own message."""
    marks = with_header(batch.messages, WATERMARK_HEADER)
    behind = np.cumsum(decoded.rows)
    places = [Position(int(batch.offsets[mark]), int(decoded.rows[mark])) for mark in marks]
    rows = [0, *(int(behind[mark]) for mark in marks), len(decoded.table)]
    begins = [Position(batch.begin), *places, Position(batch.end)]
    segments = [
        _Range(*between, *around, complete=min(number, 1))
        for number, (between, around) in enumerate(zip(pairwise(rows), pairwise(begins), strict=True))
    ]
    # Nothing comes before a mark at the very begin. A batch of nothing is one range all the same.
    return [each for each in segments if each.begin < each.end] or segments[:1]


def _small(routed: _Routed, each: _Range, most_rows: int) -> Iterator[_Range]:
    """Divide a range until no partition gets too many of its rows."""
    if routed.fullest(each) <= most_rows:
        yield each
    else:
        for half in routed.halves(each):
            yield from _small(routed, half, most_rows)
