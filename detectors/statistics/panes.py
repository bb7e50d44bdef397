"""Frames kept by pane: they come in parts, and are summed when they have become many."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import Int64Array
from detectors.state import Change
from detectors.statistics.caps import Bounded
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.sizes import Size

_PARTS: Final = 16
"""How many parts of a pane may lie beside each other, in memory or in storage, before they are summed."""

_NEAR_SECONDS: Final = 86_400
"""Panes so near to each other are counted, which is faster than sorting them."""


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
        self._nothing = schema.to_frame()
        self._merge = merge
        # What is stored is a part of a pane, of which nothing may be evicted, or counted as such, for itself.
        self._sum = merge.whole if isinstance(merge, Bounded) else merge
        self._parts: dict[int, list[pl.DataFrame]] = {}
        self._summed: set[int] = set()
        self._additions = 0
        self._versions: dict[int, int] = {}
        self._unstored: dict[int, list[pl.DataFrame]] | None = None
        self._stored: dict[int, list[int]] = {}
        self._dropped: set[str] = set()

    @property
    def panes(self) -> list[int]:
        """The panes that hold something, ascending."""
        return sorted(self._parts)

    @property
    def size(self) -> Size:
        """How much is kept."""
        return Size.of(part for parts in self._parts.values() for part in parts)

    def __contains__(self, pane: int) -> bool:
        """Say whether a pane holds something."""
        return pane in self._parts

    def add(self, frame: pl.DataFrame) -> set[int]:
        """Put rows into their panes, and return these."""
        panes = frame["pane"].to_numpy()
        added = _distinct(panes)
        for pane in added:
            own = panes == pane
            part = frame if own.all() else frame.filter(pl.Series(own))
            parts = self._parts.setdefault(pane, [])
            parts.append(part)
            self._summed.discard(pane)
            self._added(pane)
            if self._unstored is not None:
                self._unstored.setdefault(pane, []).append(part)
            if len(parts) >= _PARTS:
                parts[:] = self._fewer(parts)
        return added

    def version(self, begin: int, end: int) -> tuple[int, ...]:
        """Return what is another one once anything changed in the panes from `begin` up to `end`, not included."""
        return tuple(self._versions.get(pane, 0) for pane in range(begin, end, PANE_SECONDS))

    def summed(self, pane: int) -> pl.DataFrame:
        """Return what a pane holds, each of its rows summed."""
        if pane not in self._parts:
            return self._nothing
        if pane not in self._summed:
            self._parts[pane] = [self._merge(pl.concat(self._parts[pane]))]
            self._summed.add(pane)
        return self._parts[pane][0]

    def between(self, begin: int, end: int) -> pl.DataFrame:
        """Return the parts in the panes from `begin` up to `end`, not included."""
        frames = [part for pane in self.panes if begin <= pane < end for part in self._parts[pane]]
        return pl.concat(frames) if frames else self._nothing

    def drop_before(self, begin: int) -> None:
        """Forget the panes before `begin`."""
        for pane in [pane for pane in self._parts if pane < begin]:
            del self._parts[pane], self._versions[pane]
            self._summed.discard(pane)
            self._dropped |= {f"{pane}/{number}" for number in self._stored.pop(pane, ())}
            if self._unstored is not None:
                self._unstored.pop(pane, None)

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what came or went since the last call, or all there is.

        What was added to a pane is a piece of its own, so that storing costs as much as was added. Once a pane
        has many pieces, one takes their place.
        """
        if whole or self._unstored is None:
            self._unstored = {pane: [] for pane in self._parts}
            self._stored = {}
            self._dropped.clear()
        for pane, parts in sorted(self._unstored.items()):
            numbers = self._stored.setdefault(pane, [])
            number = numbers[-1] + 1 if numbers else 0
            if numbers and len(numbers) < _PARTS:
                piece = self._sum(pl.concat(parts))
            else:
                self._dropped |= {f"{pane}/{each}" for each in numbers}
                numbers.clear()
                piece = self.summed(pane)
            numbers.append(number)
            # A pane that was dropped and came again begins its names anew.
            self._dropped.discard(f"{pane}/{number}")
            yield Change(f"{pane}/{number}", piece)
        yield from (Change(name, None) for name in sorted(self._dropped))
        self._unstored = {}
        self._dropped.clear()

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the pieces that `changes` yielded."""
        for change in changes:
            pane = int(change.name.partition("/")[0])
            self._parts.setdefault(pane, []).append(change.frame())
            self._added(pane)

    def _added(self, pane: int) -> None:
        self._additions += 1
        self._versions[pane] = self._additions

    def _fewer(self, parts: list[pl.DataFrame]) -> list[pl.DataFrame]:
        """Sum the parts; a part that outweighs all others is left alone, so that each row is summed seldom."""
        largest = max(parts, key=len)
        others = [part for part in parts if part is not largest]
        if len(largest) > sum(map(len, others)):
            return [largest, self._merge(pl.concat(others))]
        return [self._merge(pl.concat(parts))]


def _distinct(panes: Int64Array) -> set[int]:
    """Name the panes that occur, shape (n,): there are few, and near each other as a rule."""
    if not len(panes):
        return set()
    first, last = int(panes.min()), int(panes.max())
    if last - first > _NEAR_SECONDS:
        return set(np.unique(panes).tolist())
    ordinals = np.flatnonzero(np.bincount((panes - first) // PANE_SECONDS))
    return set((first + ordinals * PANE_SECONDS).tolist())
