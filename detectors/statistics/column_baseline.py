"""What is usual for hosts in one number: learned pane by pane, read when a pane closes."""

from collections.abc import Callable
from typing import Final

import numpy as np

from detectors.addresses import BoolArray, Int64Array, UInt64Array
from detectors.route import SHARD_SHIFT, SHARDS
from detectors.statistics.hours import ENOUGH_DAYS, ENOUGH_HOURS, NORMAL, Hours, Usual, minutes_early
from detectors.statistics.key_index import KeyIndex
from detectors.statistics.levels import HIGHEST, UInt8Array, amounts, levels
from detectors.statistics.recent import PANES, WIDTHS, Recent
from detectors.statistics.slots import grown

_FREE: Final = SHARDS
"""Shard of rows that no host has."""

_EDGE_PANES: Final = 10
"""So near to an hour, the usual of that hour counts too: reports of a nightly job come now before, now after it."""

_DEVIATIONS: Final = 8
_LEAST_DEVIATION: Final = 0.1
"""Windows are far above what is usual where detectors would report them by default, at any floor."""
_FAR: Final = 2
"""What is learned at most, as a multiple of that."""
_ENOUGH_WINDOWS: Final = PANES // 2
"""Windows from which on a host's own last hour limits what it learns."""


def shards_of(keys: UInt64Array) -> Int64Array:
    """Return the shards of hosts, shape (n,)."""
    shards: Int64Array = (keys >> np.uint64(SHARD_SHIFT)).astype(np.int64)
    return shards


class ColumnBaseline:
    """The past of every host that ever had anything in a column.

    Panes are numbered: begin in epoch seconds, divided by their length.

    Parameters
    ----------
    hosts_per_shard
        How many hosts a shard remembers; beyond that, those go that were not seen for longest.
    """

    def __init__(self, hosts_per_shard: int) -> None:
        self.rows = KeyIndex()
        self.recent = Recent()
        self.hours = Hours()
        self.began: int | None = None
        """The first pane of an unbroken time in which panes were learned; None before any was."""
        self.learned = self.closed = -1
        """The last pane that was learned, and the last one closed: a few that brought nothing may follow."""
        self.evicted = 0
        """How many hosts had to go."""
        self.changed = np.zeros(SHARDS, np.bool_)
        """Shards whose hours or hosts changed; whoever stores them clears it."""
        self.on_close: Callable[[int, Int64Array, UInt64Array], None] | None = None
        """Called with each pane, the rows touched in it, and the keys of hosts that had to go."""
        self._hosts_per_shard = hosts_per_shard
        self._shards = np.zeros(0, np.int16)
        self._sizes = np.zeros(SHARDS, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the rows that are not in use."""
        return self.rows.nbytes + self.recent.nbytes + self.hours.nbytes + self._shards.nbytes

    def learn(self, pane: int, keys: UInt64Array, values: Int64Array) -> None:
        """Close a pane.

        Parameters
        ----------
        pane
            Its number, above all before it.
        keys, values
            The hosts that had something, each once, and how much, above zero; shape (n,). All others had nothing.
        """
        if pane <= self.learned:
            raise ValueError(f"pane {pane} was closed already; the last one was {self.learned}")
        self._pass_silence(pane)
        self._close(pane, keys, values)
        self.learned = pane

    def usual(self, pane: int, keys: UInt64Array, width: int, *, closing: bool = True) -> Usual:
        """Say what is usual for hosts in a pane, and on how many windows that rests.

        Parameters
        ----------
        pane
            Its number, above all that were learned.
        keys
            Hosts, shape (n,).
        width
            One of `WIDTHS`.
        closing
            Whether the pane is about to close: then those before it that were not learned had nothing in them.
            Else nobody knows that yet, and what was usual when the last one closed has to do.
        """
        if pane <= self.learned:
            raise ValueError(f"pane {pane} was learned already, so there is no telling what was usual before it")
        pane = self.reached(pane, closing=closing)
        return self._usual(pane, self.rows.find(keys), shards_of(keys), width)

    def find_or_add(self, keys: UInt64Array) -> Int64Array:
        """Return the rows of hosts, shape (n,), each once; unknown ones get one."""
        rows = self.rows.find(keys)
        fresh = np.flatnonzero(rows < 0)
        if len(fresh):
            shards = shards_of(keys[fresh])
            rows[fresh] = added = self.rows.insert(keys[fresh])
            end = len(self.rows.keys)
            self.recent.add(added, end)
            self.hours.add(added, shards, end)
            self._shards = grown(self._shards, end)
            self._shards[added] = shards
            self._sizes += np.bincount(shards, minlength=SHARDS)
        return rows

    def rows_of(self, shards: BoolArray) -> Int64Array:
        """Return the rows of some shards, chosen by a mask of shape (SHARDS,)."""
        return np.flatnonzero(np.append(shards, [False])[self._shards[: len(self.rows.keys)]])

    def some_rows(self, count: int) -> Int64Array:
        """Return the rows of the first shards that hold so many hosts or more, or of all there are."""
        return self.rows_of(np.cumsum(self._sizes) - self._sizes < count)

    def windows(self, pane: int, width: int) -> int:
        """Say how many windows of the last hour there are to compare one with that ends with a pane."""
        began = pane if self.began is None else self.began
        return min(PANES, max(0, pane - began - 2 * (width - 1)))

    def reached(self, pane: int, *, closing: bool) -> int:
        """Return the pane to judge by: where one is not about to close, the one behind the last that was."""
        if closing:
            self._pass_silence(pane)
            return pane
        return pane if self.began is None else min(pane, self.closed + 1)

    def remove(self, rows: Int64Array) -> None:
        """Forget hosts."""
        shards = self._shards[rows]
        self._sizes -= np.bincount(shards, minlength=SHARDS)
        self.changed[shards] = True
        self._shards[rows] = _FREE
        self.recent.remove(rows)
        self.rows.remove(rows)

    def _pass_silence(self, pane: int) -> None:
        """Close the panes before one as empty ones; after an hour of nothing at all, nobody was listening."""
        nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        if self.began is not None:
            for silent in range(self.closed + 1, min(self.learned + PANES + 1, pane)):
                self._close(silent, *nothing)

    def _close(self, pane: int, keys: UInt64Array, values: Int64Array) -> None:
        unbroken = pane - self.learned <= PANES
        if self.began is not None:
            self._end_hours(pane, self.began if unbroken else pane)
        if self.began is None or not unbroken:
            self.began = pane
        rows = self.find_or_add(keys)
        touched = self.recent.close(pane, rows, values, self.hours.ceilings)
        self.closed = pane
        excess = self._excess()
        if self.on_close is not None:
            self.on_close(pane, touched, self.rows.keys[excess])
        if len(excess):
            self.remove(excess)
            self.evicted += len(excess)

    def _end_hours(self, pane: int, began: int) -> None:
        """Sum up the hours that ended before a pane; one that was not learned from its begin on teaches nothing."""
        early = minutes_early(np.arange(SHARDS))
        hours = (self.closed + early) // PANES
        ended = (pane + early) // PANES > hours
        if not ended.any():
            return
        begins = hours * PANES - early
        whole = ended & (begins >= began)
        self.hours.begin(np.flatnonzero(whole), hours[whole])
        self.changed |= ended
        rows = self.rows_of(ended)
        rows = rows[self.recent.last[rows] >= begins[self._shards[rows]]]
        shards = self._shards[rows].astype(np.int64)
        full = whole[shards]
        learning, its_shards = rows[full], shards[full]
        windows = self.recent.hour(learning, begins[its_shards])
        self.hours.learn(learning, its_shards, hours[its_shards], windows)
        self.hours.ceilings[rows] = self._ceilings(pane, rows, shards)

    def _ceilings(self, pane: int, rows: Int64Array, shards: Int64Array) -> UInt8Array:
        """Limit what young hosts learn in their next hour; of older ones, no single day can change what is usual."""
        ceilings = np.full((len(rows), len(WIDTHS)), HIGHEST, np.uint8)
        young = np.flatnonzero(self.hours.at_most(rows, shards) < ENOUGH_HOURS)
        for place, width in enumerate(WIDTHS):
            usual = self._last_hour(pane, rows[young], width)
            deviation = np.maximum(usual.spread, _LEAST_DEVIATION * usual.median)
            most = _FAR * (usual.median + _DEVIATIONS * deviation)
            # Where nothing is usual, there is nothing to limit it by.
            limited = (most >= 1) & (usual.known >= _ENOUGH_WINDOWS)
            ceilings[young[limited], place] = levels(most[limited].astype(np.int64))
        return ceilings

    def _usual(self, pane: int, rows: Int64Array, shards: Int64Array, width: int) -> Usual:
        """Compare with the same hour of other days; else with all hours; else with the last one."""
        result = Usual(np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows), np.int64))
        open_ones = np.ones(len(rows), np.bool_)
        for enough, measure in ((ENOUGH_DAYS, self.same_hour), (ENOUGH_HOURS, self._any_hour)):
            able = np.flatnonzero(open_ones & (rows >= 0))
            able = able[self.hours.at_most(rows[able], shards[able]) >= enough]
            found = measure(pane, rows[able], shards[able], width)
            sure = found.known >= enough
            _put(result, able[sure], found, sure, PANES)
            open_ones[able[sure]] = False
        rest = np.flatnonzero(open_ones)
        _put(result, rest, self._last_hour(pane, rows[rest], width), np.ones(len(rest), np.bool_), 1)
        return result

    def _last_hour(self, pane: int, rows: Int64Array, width: int) -> Usual:
        """Compare with the last hour; hosts without a row, -1, had nothing in it."""
        windows = self.windows(pane, width)
        median, spread = np.zeros(len(rows)), np.zeros(len(rows))
        known = rows >= 0
        if windows and known.any():
            held = amounts(self.recent.windows(rows[known], width, pane, windows))
            median[known] = middle = np.median(held, axis=1)
            spread[known] = NORMAL * np.median(np.abs(held - middle[:, None]), axis=1)
        return Usual(median, spread, np.full(len(rows), windows))

    def _any_hour(self, pane: int, rows: Int64Array, shards: Int64Array, width: int) -> Usual:
        del pane
        return self.hours.any_hour(rows, shards, width)

    def same_hour(self, pane: int, rows: Int64Array, shards: Int64Array, width: int) -> Usual:
        """Say what is usual for rows at the hour of a pane on other days; what is not known counts as nothing."""
        early = minutes_early(shards)
        before, after = (
            self.hours.same_hour(rows, shards, (pane + early + edge) // PANES, width)
            for edge in (-_EDGE_PANES, _EDGE_PANES)
        )
        return Usual(*(np.maximum(*both) for both in zip(before, after, strict=True)))

    def _excess(self) -> Int64Array:
        """Choose the rows that are too many: those seen longest ago, of these the smallest keys."""
        excess = self._sizes - self._hosts_per_shard
        if not (excess > 0).any():
            return np.zeros(0, np.int64)
        rows = self.rows_of(excess > 0)
        shards = self._shards[rows]
        order = np.lexsort((self.rows.keys[rows], self.recent.seen[rows], shards))
        rows, shards = rows[order], shards[order]
        rank = np.arange(len(rows)) - np.searchsorted(shards, shards)
        return rows[rank < excess[shards]]


def _put(result: Usual, places: Int64Array, found: Usual, sure: BoolArray, windows: int) -> None:
    """Take what was found where it is sure; each thing that it rests on counts so many windows."""
    result.median[places], result.spread[places] = found.median[sure], found.spread[sure]
    result.known[places] = windows * found.known[sure]
