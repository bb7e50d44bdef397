"""The order of event time among sources of which each has its own."""

from dataclasses import replace
from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np

from streams.records import RecordSettings
from streams.sources.contract import Block
from streams.sources.times import Int64Array, ends_of

SLICE_SECONDS: Final = 60
"""How far a source may run ahead of another: whether a record is late is decided in whole minutes."""


class _Head(NamedTuple):
    """What a source yielded: how far its time has come with each line, and where lines stop; None where it is whole."""

    block: Block
    reached: Int64Array | None = None
    stops: Int64Array | None = None


class Merge:
    """Says what comes next of what sources have yielded.

    A block goes out as far as its records end no later than a minute behind the next one of another source, so that
    nothing becomes late that would not be late by the order of its own source. Blocks that cannot be cut go out once
    no source has anything that ends earlier.

    Parameters
    ----------
    records
        How lines are written.
    """

    def __init__(self, records: RecordSettings) -> None:
        self._records = records
        self._order: list[tuple[int, int]] = []
        self._heads: dict[int, _Head] = {}
        self._reached: dict[int, int] = {}

    def __len__(self) -> int:
        """Count the sources that something is known of."""
        return len(self._order)

    def __contains__(self, source: int) -> bool:
        """Say whether there is a block of a source, by its number."""
        return source in self._heads

    def expect(self, source: int, block: Block) -> None:
        """Note when a source begins, by its first block, which is not kept."""
        begin, _ = self._head(source, block)
        self._reached[source] = 0
        heappush(self._order, (begin, source))

    def put(self, source: int, block: Block) -> None:
        """Add the next block of a source; that before must have been taken."""
        begin, self._heads[source] = self._head(source, block)
        heappush(self._order, (begin, source))

    def take(self) -> tuple[int, Block | None]:
        """Return what comes next, and the number of its source; None in place of a block that is only expected."""
        _, source = heappop(self._order)
        head = self._heads.pop(source, None)
        if head is None:
            return source, None
        block, reached, stops = head
        if reached is None or stops is None or not self._order:
            return source, block
        lines = max(int(np.searchsorted(reached, self._order[0][0] + SLICE_SECONDS, "right")), 1)
        if lines < reached.size:
            first, rest = _cut(block, lines, int(stops[lines - 1]))
            self._heads[source] = _Head(rest, reached[lines:], stops[lines:] - int(stops[lines - 1]) - 1)
            heappush(self._order, (int(reached[lines]), source))
            return source, first
        return source, block

    def _head(self, source: int, block: Block) -> tuple[int, _Head]:
        before = self._reached.get(source, 0)
        latest, by_line, stops = ends_of(block, self._records)
        self._reached[source] = max(before, latest)
        if by_line is None or block.start is None:
            return self._reached[source], _Head(block)
        reached = np.maximum(np.maximum.accumulate(by_line), before)
        # A header line, or whatever else tells no time, comes with what follows it.
        known = reached[np.searchsorted(reached, 0, "right") :]
        return int(known[0]) if known.size else 0, _Head(block, reached, stops)


def _cut(block: Block, lines: int, stop: int) -> tuple[Block, Block]:
    """Cut a block behind a line."""
    assert block.start is not None  # noqa: S101 - nobody else is cut
    middle = block.start + stop + 1
    first = replace(block, value=block.value[:stop], lines=lines, position=middle)
    rest = replace(
        block, value=block.value[stop + 1 :], lines=block.lines - lines, line=block.line + lines, start=middle
    )
    return first, rest
