"""Rows of the same key brought together: one vectorised sort, then sums over runs."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.addresses import mix

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)

_MANY: Final = 1000
"""So many keys are looked for by their first bits."""

_MOST_BITS: Final = 24
_MOST_STEPS: Final = 16
"""Keys that share their first bits with so many others are no hashes, and are looked for by halving."""


def combined(*columns: npt.NDArray[Any]) -> UInt64Array:
    """Hash the columns of a key to 64 bits, the same in every process; the order of the columns matters.

    Two of a million keys share a hash with a probability of 3 in 100 million.

    Parameters
    ----------
    *columns
        Whole numbers, each of shape (n,).

    Examples
    --------
    >>> combined(np.array([1, 1]), np.array([2, 2])).tolist() == combined(np.array([2, 2]), np.array([1, 1])).tolist()
    False
    """
    # Between columns the upper half goes into the lower one, which suffices to keep them apart; all bits mix once.
    key = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        key += column.view(np.uint64) if column.dtype.itemsize == key.itemsize else column.astype(np.uint64)
        key *= _FACTOR
        key ^= key >> np.uint64(32)
    return mix(key)


class Groups:
    """Rows grouped by a key; groups come in ascending order of their keys.

    Parameters
    ----------
    keys
        UInt64, shape (n,).

    Examples
    --------
    >>> groups = Groups(np.array([7, 3, 7], np.uint64))
    >>> groups.keys.tolist(), groups.sum(np.array([1, 10, 100])).tolist()
    ([3, 7], [10, 101])
    """

    def __init__(self, keys: UInt64Array) -> None:
        self._keys = keys
        self._order = np.argsort(keys)
        ordered = keys[self._order]
        begins = np.empty(len(keys), np.bool_)
        begins[:1] = True
        np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
        self._starts = np.flatnonzero(begins)
        self.keys = ordered[self._starts]
        """Keys of the groups, ascending, shape (groups,)."""
        self.some = self._order[self._starts]
        """One row of each group, shape (groups,): for columns that are the same in all of them."""

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def sizes(self) -> Int64Array:
        """How many rows each group has, shape (groups,)."""
        return np.diff(self._starts, append=len(self._order))

    def sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum whole numbers, shape (n,), within each group."""
        return self._reduced(np.add, values)

    def sum_of_few(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum whole numbers, shape (n,), of which nearly all are zero, within each group."""
        rows = np.flatnonzero(values)
        if 8 * len(rows) > len(values):
            return self.sum(values)
        sums = np.zeros(len(self), values.dtype)
        np.add.at(sums, np.searchsorted(self.keys, self._keys[rows]), values[rows])
        return sums

    def min(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take the smallest value of each group."""
        return self._reduced(np.minimum, values)

    def max(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take the largest value of each group; of truths, whether any holds."""
        return self._reduced(np.maximum, values)

    def any_bits(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take the bits that any value of each group has."""
        return self._reduced(np.bitwise_or, values)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give each row, shape (n,), the value of its group, shape (groups,)."""
        rows = np.empty(len(self._order), values.dtype)
        rows[self._order] = np.repeat(values, self.sizes)
        return rows

    def _reduced(self, function: np.ufunc, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not len(self._starts):
            return values[:0]
        reduced: npt.NDArray[Any] = function.reduceat(values[self._order], self._starts)
        return reduced


def rows_of(keys: UInt64Array, wanted: UInt64Array) -> tuple[Int64Array, npt.NDArray[np.bool_]]:
    """Find keys in ascending ones.

    Parameters
    ----------
    keys
        Where to look, ascending and each once, UInt64, shape (n,).
    wanted
        What to look for, UInt64, shape (m,).

    Returns
    -------
    tuple
        For each wanted key its row, Int64, shape (m,), which means something only where the second array,
        bool, shape (m,), says that the key is there.

    Examples
    --------
    >>> rows, found = rows_of(np.array([3, 7], np.uint64), np.array([7, 4], np.uint64))
    >>> rows[found].tolist(), found.tolist()
    ([1], [True, False])
    """
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    few = len(wanted) < _MANY or 8 * len(wanted) < len(keys)
    rows = np.searchsorted(keys, wanted) if few else _first_not_below(keys, wanted)
    rows = np.minimum(rows, len(keys) - 1)
    return rows, keys.take(rows) == wanted


def _first_not_below(keys: UInt64Array, wanted: UInt64Array) -> Int64Array:
    """Say where each wanted key would stand among ascending ones, as `numpy.searchsorted` does.

    Keys are hashes, so their first bits say nearly where they stand; halving would miss the processor's cache again and
    again.
    """
    bits = min((2 * len(keys)).bit_length(), _MOST_BITS)
    shift = np.uint64(64 - bits)
    counts = np.bincount((keys >> shift).view(np.int64), minlength=1 << bits)
    rows = (np.cumsum(counts) - counts).take((wanted >> shift).view(np.int64))
    below = np.flatnonzero(rows < len(keys))
    for _ in range(_MOST_STEPS):
        below = below[keys.take(rows[below]) < wanted[below]]
        if not len(below):
            return rows
        rows[below] += 1
        below = below[rows[below] < len(keys)]
    return np.searchsorted(keys, wanted)
