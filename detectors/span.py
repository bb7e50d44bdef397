"""Where rows came from: unbroken ranges of a source, so that nothing is counted twice or left out."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.table import Table

Int64Array = npt.NDArray[np.int64]


class GapError(Exception):
    """Rows are missing between what was applied and what came next."""


class Position(NamedTuple):
    """A place in a source: before row `row` of the message at `offset`."""

    offset: int
    row: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """The range `[begin, end)` of one source partition that the rows of a table came from.

    Attributes
    ----------
    source
        Name of the source partition, for example `flows/0`, or of a file.
    begin, end
        The range; everything in it is in the table, so ranges form an unbroken chain.
    offsets
        Offsets of the messages in it, ascending, int64, shape (m,).
    starts
        First row of each message in the table, int64, shape (m,).
    """

    source: str
    begin: Position
    end: Position
    offsets: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    starts: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))

    def row(self, position: Position) -> int:
        """Return the first row of the table that lies at or behind a position."""
        message = int(np.searchsorted(self.offsets, position.offset))
        if message == len(self.offsets):
            return np.iinfo(np.int64).max
        start = int(self.starts[message])
        if self.offsets[message] != position.offset:
            return start
        # A range may begin inside its first message; its rows are then counted from there.
        begun = self.begin.row if position.offset == self.begin.offset else 0
        return start + max(position.row - begun, 0)


def unapplied(table: Table, span: Span, applied: Position | None) -> Table:
    """Keep the rows of a table that lie behind what was applied already.

    Parameters
    ----------
    table, span
        Rows and where they came from.
    applied
        End of the range applied last, or None where nothing was applied from this source.

    Raises
    ------
    GapError
        When the range begins behind the end of the one before it.
    """
    if applied is None or span.begin == applied:
        return table
    if span.begin > applied:
        raise GapError(
            f"{span.source}: rows from {tuple(applied)} up to {tuple(span.begin)} are missing; "
            "nothing was counted, restart from the last checkpoint"
        )
    if span.end <= applied:
        return table.rows(0, 0)
    return table.rows(span.row(applied))
