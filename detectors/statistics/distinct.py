"""Distinct counts of many sets at once: exact while a set is small, then HyperLogLog."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import BoolArray, Int64Array, UInt64Array
from detectors.statistics.hyperloglog import UInt8Array, estimates, observe
from detectors.statistics.pairs import runs, unique_pairs
from detectors.statistics.slots import Slots, grown

CAPACITIES: Final = (4, 16, 64)
"""How many values the blocks of a small set hold; a set moves to the next block when it outgrows one."""

EXACT: Final = CAPACITIES[-1]
"""Up to this many distinct values a count is exact."""

REGISTERS: Final = 256
"""Registers of a large set: a standard error of 6.5 %."""

STATE: Final = pl.Schema({"hashes": pl.List(pl.UInt64()), "registers": pl.List(pl.UInt8())})
"""What is stored of a set: its hashes, ascending, while it is small, else its registers; the other one is empty."""

_LARGE: Final = len(CAPACITIES) + 1

_COMPARED: Final = 1 << 20
"""How many stored values are compared at a time, so that what is needed in between stays small."""


class DistinctCounts:
    """How many distinct values each of many sets has seen.

    Sets have row numbers, small whole numbers that the caller gives, as a keyed table does. What a set holds follows
    from its values alone: neither order, batches, repeats nor the grouping of merges matter.

    Up to `EXACT` distinct values a count is exact. Beyond, a set becomes `registers` registers of HyperLogLog with
    a standard error of 1.04 / sqrt(registers), and its count is never below `EXACT` + 1.

    A set takes 6 bytes, and with its first value a block: of 32, 128 or 512 bytes while it is small, then one byte a
    register. So a set takes at most 518 bytes, with no more than 512 registers. Blocks that were outgrown wait for
    other sets; where all sets outgrow all of them, that is 1 KB a set, which is the ceiling.

    Parameters
    ----------
    registers
        A power of two, at least 64.

    Examples
    --------
    >>> counts = DistinctCounts()
    >>> counts.add(np.array([0, 0, 7]), np.array([111, 111, 222], np.uint64))
    >>> counts.counts(np.array([0, 1, 7])).tolist()
    [1, 0, 1]
    """

    def __init__(self, registers: int = REGISTERS) -> None:
        if registers < 64 or registers & (registers - 1):
            raise ValueError(f"{registers} registers are not a power of two of at least 64")
        # Which kind of block a row has: 0 is none, then those of `CAPACITIES`, and `_LARGE`.
        self._kind = np.zeros(0, np.uint8)
        self._block = np.zeros(0, np.int32)
        self._size = np.zeros(0, np.uint8)
        self._slots = [Slots(capacity, np.uint64) for capacity in CAPACITIES] + [Slots(registers, np.uint8)]

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        rows = self._kind.nbytes + self._block.nbytes + self._size.nbytes
        return rows + sum(slots.nbytes for slots in self._slots)

    @property
    def large(self) -> int:
        """How many sets are no longer counted exactly."""
        return self._slots[-1].used

    def add(self, rows: Int64Array, hashes: UInt64Array) -> None:
        """Add values to sets.

        Parameters
        ----------
        rows
            The set of each value, Int64, shape (n,).
        hashes
            Values, UInt64, shape (n,), scattered over all 64 bits, as the keys of hosts are. Ports and other small
            numbers go through `detectors.addresses.mix` first.
        """
        self._reserve(rows)
        large = self._kind[rows] == _LARGE
        if large.any():
            self._observe(rows[large], hashes[large])
            rows, hashes = rows[~large], hashes[~large]
        rows, hashes = unique_pairs(rows, hashes)
        fresh = ~self._held_already(rows, hashes)
        self._append(rows[fresh], hashes[fresh])

    def counts(self, rows: Int64Array) -> Int64Array:
        """Count the distinct values of sets; Int64, shape (n,)."""
        self._reserve(rows)
        found = self._size[rows].astype(np.int64)
        large, registers = self.large_sets(rows)
        found[large] = np.maximum(np.rint(estimates(registers)).astype(np.int64), EXACT + 1)
        return found

    def merge(self, other: "DistinctCounts", rows: Int64Array, other_rows: Int64Array) -> None:
        """Add all values of other sets to these.

        Parameters
        ----------
        other
            Holds the other sets; with as many registers.
        rows, other_rows
            The set `rows[i]` gets what `other_rows[i]` holds. Either may repeat. Int64, shape (n,).
        """
        large, registers = other.large_sets(other_rows)
        small, hashes = other.small_sets(other_rows)
        self._reserve(rows)
        self._enlarge(np.unique(rows[large]))
        np.maximum.at(self._slots[-1].blocks, self._block[rows[large]], registers)
        self.add(rows[small], hashes)

    def small_sets(self, rows: Int64Array) -> tuple[Int64Array, UInt64Array]:
        """Return the values of those sets that are counted exactly.

        Parameters
        ----------
        rows
            Int64, shape (n,).

        Returns
        -------
        tuple
            For each value the index in `rows` of its set, those of a set together, Int64, shape (m,), and its hash,
            UInt64, shape (m,).
        """
        self._reserve(rows)
        kinds = self._kind[rows]
        sets, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        for kind, capacity in enumerate(CAPACITIES, 1):
            indices = np.flatnonzero(kinds == kind)
            filled = np.arange(capacity, dtype=np.uint8) < self._size[rows[indices], None]
            held, places = np.nonzero(filled)
            sets.append(indices[held])
            hashes.append(self._slots[kind - 1].blocks[self._block[rows[indices[held]]], places])
        return np.concatenate(sets), np.concatenate(hashes)

    def large_sets(self, rows: Int64Array) -> tuple[Int64Array, UInt8Array]:
        """Return the registers of the other sets, UInt8, shape (m, registers), after their indices in `rows`."""
        self._reserve(rows)
        indices = np.flatnonzero(self._kind[rows] == _LARGE)
        return indices, self._slots[-1].blocks[self._block[rows[indices]]]

    def clear(self, rows: Int64Array) -> None:
        """Empty sets, each named once, shape (n,), so that their rows can be used for others."""
        self._reserve(rows)
        for kind, slots in enumerate(self._slots, 1):
            slots.give_back(self._block[rows[self._kind[rows] == kind]])
        self._kind[rows] = 0
        self._size[rows] = 0

    def frame(self, rows: Int64Array) -> pl.DataFrame:
        """Return what is to be stored of sets, columns of `STATE`, shape (n, 2), in the order of `rows`."""
        large, registers = self.large_sets(rows)
        small, hashes = self.small_sets(rows)
        width = registers.shape[1]
        of_large = pl.DataFrame(
            {"row": large, "registers": registers}, schema_overrides={"registers": pl.Array(pl.UInt8(), width)}
        )
        of_small = pl.DataFrame({"row": small, "hashes": hashes}).group_by("row").agg(pl.col("hashes").sort())
        return (
            pl.DataFrame({"row": np.arange(len(rows))})
            .join(of_small, on="row", how="left", maintain_order="left")
            .join(of_large, on="row", how="left", maintain_order="left")
            .select(pl.col("hashes").fill_null([]), pl.col("registers").cast(STATE["registers"]).fill_null([]))
        )

    def restore(self, rows: Int64Array, frame: pl.DataFrame) -> None:
        """Take up what `frame` returned: each row, named once, shape (n,), becomes what the frame says of it."""
        self._reserve(rows)
        self.clear(rows)
        exploded = frame.select(pl.Series("row", rows), "hashes").explode("hashes", empty_as_null=False)
        self.add(exploded["row"].to_numpy(), exploded["hashes"].to_numpy())
        large = frame["registers"].list.len().to_numpy() > 0
        width = self._slots[-1].blocks.shape[1]
        self._enlarge(rows[large])
        self._slots[-1].blocks[self._block[rows[large]]] = frame["registers"].explode().to_numpy().reshape(-1, width)

    def _reserve(self, rows: Int64Array) -> None:
        length = int(rows.max(initial=-1)) + 1
        if length > len(self._kind):
            self._kind, self._block, self._size = (
                grown(column, length) for column in (self._kind, self._block, self._size)
            )

    def _observe(self, rows: Int64Array, hashes: UInt64Array) -> None:
        observe(self._slots[-1].blocks, self._block[rows].astype(np.int64), hashes)

    def _held_already(self, rows: Int64Array, hashes: UInt64Array) -> BoolArray:
        """Say which pairs of small sets are known, shape (n,)."""
        held = np.zeros(len(rows), np.bool_)
        kinds = self._kind[rows]
        for kind, capacity in enumerate(CAPACITIES, 1):
            pairs = np.flatnonzero(kinds == kind)
            for begin in range(0, len(pairs), _COMPARED // capacity):
                part = pairs[begin : begin + _COMPARED // capacity]
                equal = self._slots[kind - 1].blocks[self._block[rows[part]]] == hashes[part, None]
                # What lies behind the values of a set is zero, which may be a hash too.
                equal &= np.arange(capacity, dtype=np.uint8) < self._size[rows[part], None]
                held[part] = equal.any(axis=1)
        return held

    def _append(self, rows: Int64Array, hashes: UInt64Array) -> None:
        """Add pairs that are new, sorted by row."""
        found = runs(rows)
        sizes = self._size[found.rows] + found.lengths
        kinds = np.searchsorted(CAPACITIES, sizes) + 1
        outgrown = kinds > self._kind[found.rows]
        self._move(found.rows[outgrown], kinds[outgrown])
        self._write(rows, hashes)

    def _move(self, rows: Int64Array, kinds: Int64Array) -> None:
        """Give rows, each named once, larger blocks."""
        held, hashes = self.small_sets(rows)
        self.clear(rows)
        self._kind[rows] = kinds
        for kind, slots in enumerate(self._slots, 1):
            moved = rows[kinds == kind]
            self._block[moved] = slots.take(len(moved))
        self._write(rows[held], hashes)

    def _enlarge(self, rows: Int64Array) -> None:
        """Make sets, each named once, large ones, whatever they hold."""
        small = rows[self._kind[rows] != _LARGE]
        self._move(small, np.full(len(small), _LARGE))

    def _write(self, rows: Int64Array, hashes: UInt64Array) -> None:
        """Write pairs, those of a row together, into blocks that have room for them."""
        kinds = self._kind[rows]
        large = kinds == _LARGE
        self._observe(rows[large], hashes[large])
        found = runs(rows)
        places = self._size[rows] + found.ranks
        for kind in range(1, _LARGE):
            pairs = kinds == kind
            self._slots[kind - 1].blocks[self._block[rows[pairs]], places[pairs]] = hashes[pairs]
        small = self._kind[found.rows] != _LARGE
        self._size[found.rows[small]] += found.lengths[small].astype(np.uint8)


def union(panes: Sequence[DistinctCounts], rows: Int64Array, registers: int = REGISTERS) -> DistinctCounts:
    """Unite the panes of a window.

    Parameters
    ----------
    panes
        Distinct counts with the same row numbers and `registers` registers.
    rows
        The sets to unite, Int64, shape (n,).
    registers
        As in `panes`.

    Returns
    -------
    DistinctCounts
        Row i is the union of all sets `rows[i]`.
    """
    window = DistinctCounts(registers)
    for pane in panes:
        window.merge(pane, np.arange(len(rows)), rows)
    return window
