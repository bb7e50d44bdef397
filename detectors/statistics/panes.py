"""Frames kept by pane: they come in parts, and are summed when they have become many."""

from collections.abc import Callable
from typing import Final

import polars as pl

_PARTS: Final = 16
"""How many parts of a pane may lie beside each other before they are summed."""


class Panes:
    """Frames with a column `pane`, kept apart by it.

    Parameters
    ----------
    schema
        Columns of the frames.
    merge
        Sums parts: associative, and without regard to their order; panes stay apart.
    """

    def __init__(self, schema: pl.Schema, merge: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        self._schema = schema
        self._merge = merge
        self._parts: dict[int, list[pl.DataFrame]] = {}

    @property
    def panes(self) -> list[int]:
        """The panes that hold something, ascending."""
        return sorted(self._parts)

    def add(self, frame: pl.DataFrame) -> None:
        """Put rows into their panes."""
        for (pane,), part in frame.partition_by("pane", as_dict=True).items():
            parts = self._parts.setdefault(int(pane), [])
            parts.append(part)
            if len(parts) >= _PARTS:
                parts[:] = self._merged(parts)

    def _merged(self, parts: list[pl.DataFrame]) -> list[pl.DataFrame]:
        """Sum the parts; a part that outweighs all others is left alone, so that each row is summed seldom."""
        largest = max(parts, key=len)
        others = [part for part in parts if part is not largest]
        if len(largest) > sum(map(len, others)):
            return [largest, self._merge(pl.concat(others))]
        return [self._merge(pl.concat(parts))]

    def between(self, begin: int, end: int) -> pl.DataFrame:
        """Return the parts in the panes from `begin` up to `end`, not included."""
        frames = [part for pane in self.panes if begin <= pane < end for part in self._parts[pane]]
        return pl.concat(frames) if frames else pl.DataFrame(schema=self._schema)

    def drop_before(self, begin: int) -> None:
        """Forget the panes before `begin`."""
        for pane in [pane for pane in self._parts if pane < begin]:
            del self._parts[pane]

    def whole(self) -> pl.DataFrame:
        """Return everything, summed."""
        return self._merge(self.between(-(2**62), 2**62))
