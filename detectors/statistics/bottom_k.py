"""Examples of what many sets have seen: the values with the smallest hashes, whatever the order they came in."""

from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import Int64Array, UInt64Array, mix
from detectors.statistics.pairs import runs, unique_pairs
from detectors.statistics.slots import Slots, grown

STATE: Final = pl.List(pl.UInt64())
"""What is stored of a set: its examples."""

_NOTHING: Final = np.uint64(2**64 - 1)
"""Stands behind the last hash. It is itself the hash of one value, which is therefore never an example."""


_CHUNK: Final = 1 << 16
"""Values added at a time, so that what is needed in between stays small."""


class BottomK:
    """The `k` values with the smallest hashes of each of many sets: a sample without regard to order or repeats.

    Also known as k minimum values (Bar-Yossef and others, RANDOM 2002) or bottom-k sketch (Cohen and Kaplan, PODC
    2007). Every distinct value is as likely to be kept as any other, and the sample of a union follows from the
    samples of its parts. Hashing is one to one, so hashes are all that is kept and values are worked out again.

    A set takes 4 bytes, and 8 k more once it has a value.

    Parameters
    ----------
    k
        How many values are kept, at least 1.

    Examples
    --------
    >>> examples = BottomK(2)
    >>> examples.add(np.array([0, 0, 0, 3]), np.array([22, 80, 443, 53], np.uint64))
    >>> examples.values(np.array([0, 3, 1])).to_list()
    [[80, 443], [53], []]
    """

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ValueError(f"{k} values cannot be kept")
        self._k = k
        # Blocks hold hashes with all bits inverted, so that an empty block, all zero, is one of `_NOTHING`. Rows
        # without a block share the first one, which stays empty.
        self._block = np.zeros(0, np.int32)
        self._slots = Slots(k, np.uint64)
        self._slots.take(1)

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        return self._block.nbytes + self._slots.nbytes

    def add(self, rows: Int64Array, values: UInt64Array) -> None:
        """Add values to sets.

        Parameters
        ----------
        rows
            The set of each value, Int64, shape (n,).
        values
            UInt64, shape (n,).
        """
        self._reserve(rows)
        hashes = mix(values)
        for begin in range(0, len(rows), _CHUNK):
            self._add(rows[begin : begin + _CHUNK], hashes[begin : begin + _CHUNK])

    def values(self, rows: Int64Array) -> pl.Series:
        """Return the examples of sets.

        They are also what is to be stored: adding them again gives the same state.

        Parameters
        ----------
        rows
            Int64, shape (n,).

        Returns
        -------
        pl.Series
            Lists of UInt64, ascending, shape (n,).
        """
        self._reserve(rows)
        hashes = ~self._slots.blocks[self._block[rows]]
        sets, places = np.nonzero(hashes != _NOTHING)
        held = pl.DataFrame({"row": sets, "values": unmix(hashes[sets, places])})
        lists = held.group_by("row").agg(pl.col("values").sort())
        return (
            pl.DataFrame({"row": np.arange(len(rows))})
            .join(lists, on="row", how="left", maintain_order="left")["values"]
            .fill_null([])
        )

    def merge(self, other: "BottomK", rows: Int64Array, other_rows: Int64Array) -> None:
        """Add the examples of other sets: `rows[i]` gets those of `other_rows[i]`. Either may repeat. Shape (n,)."""
        self.restore(rows, other.values(other_rows))

    def restore(self, rows: Int64Array, values: pl.Series) -> None:
        """Add examples, lists of UInt64, to the sets `rows`, shape (n,); sets that are not empty keep theirs too."""
        pairs = pl.DataFrame({"row": rows, "values": values}).explode("values", empty_as_null=False)
        self.add(pairs["row"].to_numpy(), pairs["values"].to_numpy())

    def clear(self, rows: Int64Array) -> None:
        """Empty sets, each named once, shape (n,), so that their rows can be used for others."""
        self._reserve(rows)
        blocks = self._block[rows]
        self._slots.give_back(blocks[blocks > 0].astype(np.int64))
        self._block[rows] = 0

    def _reserve(self, rows: Int64Array) -> None:
        self._block = grown(self._block, int(rows.max(initial=-1)) + 1)

    def _add(self, rows: Int64Array, hashes: UInt64Array) -> None:
        # In the long run nearly all values are too large or known, and only the others are worth a sort.
        small = hashes < ~self._slots.blocks[self._block[rows], self._k - 1]
        rows, hashes = rows[small], hashes[small]
        known = (self._slots.blocks[self._block[rows]] == ~hashes[:, None]).any(axis=1)
        rows, hashes = unique_pairs(rows[~known], hashes[~known])
        smallest = runs(rows).ranks < self._k
        self._unite(rows[smallest], hashes[smallest])

    def _unite(self, rows: Int64Array, hashes: UInt64Array) -> None:
        """Add pairs that are new, sorted by row and hash, at most `k` a row."""
        found = runs(rows)
        without = found.rows[self._block[found.rows] == 0]
        self._block[without] = self._slots.take(len(without))
        blocks = self._block[found.rows]
        both = np.full((len(found.rows), 2 * self._k), _NOTHING)
        both[:, : self._k] = ~self._slots.blocks[blocks]
        both[found.indices, self._k + found.ranks] = hashes
        both.sort(axis=1)
        self._slots.blocks[blocks] = ~both[:, : self._k]


def unmix(hashes: UInt64Array) -> UInt64Array:
    """Undo `detectors.addresses.mix`, shape (n,).

    >>> unmix(mix(np.array([0, 22, 2**64 - 1], np.uint64))).tolist()
    [0, 22, 18446744073709551615]
    """
    values = _unshifted(hashes, 31) * np.uint64(0x319642B2D24D8EC3)
    values = _unshifted(values, 27) * np.uint64(0x96DE1B173F119089)
    return _unshifted(values, 30) - np.uint64(0x9E3779B97F4A7C15)


def _unshifted(values: UInt64Array, bits: int) -> UInt64Array:
    """Undo `values ^= values >> bits`, for at least 22 bits."""
    result: UInt64Array = values ^ (values >> np.uint64(bits)) ^ (values >> np.uint64(2 * bits))
    return result
