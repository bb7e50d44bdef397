"""Rows of arrays, found by 64-bit keys: a hash table whose operations are vector operations."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.addresses import BoolArray, Int64Array, UInt64Array

_EMPTY: Final = -1
_REMOVED: Final = -2
_FEWEST: Final = 64


def grown(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Return the array with room for at least `length` rows, new ones zero; it doubles, so that growing is rare.

    >>> grown(np.array([7]), 2).tolist()
    [7, 0]
    """
    if length <= len(array):
        return array
    larger = np.zeros((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


class KeyedRows:
    """Hands out row numbers to keys. Keys are hashes already; the table does not scatter them further.

    Examples
    --------
    >>> rows = KeyedRows()
    >>> rows.add(np.array([70, 80], np.uint64)).tolist()
    [0, 1]
    >>> rows.find(np.array([80, 90], np.uint64)).tolist()
    [1, -1]
    """

    def __init__(self) -> None:
        self.end = 0
        """All rows ever handed out lie below this one."""
        self._keys = np.zeros(0, np.uint64)
        self._free = np.zeros(0, np.int64)
        self._table = np.full(_FEWEST, _EMPTY, np.int32)
        self._taken = 0

    def __len__(self) -> int:
        """How many keys have rows."""
        return self.end - len(self._free)

    @property
    def keys(self) -> UInt64Array:
        """Key of each row, shape (end,); of rows that are free, the last one that had it."""
        return self._keys[: self.end]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self._keys.nbytes + self._free.nbytes + self._table.nbytes

    def find(self, keys: UInt64Array) -> Int64Array:
        """Return the rows of keys, shape (n,); -1 where a key has none."""
        found = np.full(len(keys), -1)
        seeking = np.arange(len(keys))
        places = self._places(keys)
        while len(seeking):
            rows = self._table[places]
            held = rows >= 0
            hits = held.copy()
            hits[held] = self._keys[rows[held]] == keys[seeking[held]]
            found[seeking[hits]] = rows[hits]
            further = ~hits & (rows != _EMPTY)
            seeking, places = seeking[further], self._next(places[further])
        return found

    def add(self, keys: UInt64Array) -> Int64Array:
        """Hand out rows, shape (n,), to keys that have none, each once; freed rows first."""
        reused = min(len(keys), len(self._free))
        fresh = np.arange(self.end, self.end + len(keys) - reused)
        rows = np.concatenate([self._free[len(self._free) - reused :], fresh])
        self._free = self._free[: len(self._free) - reused]
        self.end += len(fresh)
        self._keys = grown(self._keys, self.end)
        self._keys[rows] = keys
        if 2 * (self._taken + len(keys)) > len(self._table):
            self._rebuild()
        else:
            self._enter(rows)
        return rows

    def remove(self, rows: Int64Array) -> None:
        """Take rows back, each once, shape (n,)."""
        seeking, places = np.arange(len(rows)), self._places(self._keys[rows])
        while len(seeking):
            hits = self._table[places] == rows[seeking]
            self._table[places[hits]] = _REMOVED
            seeking, places = seeking[~hits], self._next(places[~hits])
        self._free = np.concatenate([self._free, rows])

    def held(self) -> BoolArray:
        """Say of each row below `end` whether a key has it, shape (end,)."""
        held = np.ones(self.end, np.bool_)
        held[self._free] = False
        return held

    def _places(self, keys: UInt64Array) -> Int64Array:
        places: Int64Array = (keys & np.uint64(len(self._table) - 1)).astype(np.int64)
        return places

    def _next(self, places: Int64Array) -> Int64Array:
        following: Int64Array = (places + 1) & (len(self._table) - 1)
        return following

    def _rebuild(self) -> None:
        """Make a larger table; what was removed is left out."""
        size = len(self._table)
        while 4 * len(self) > size:
            size *= 2
        self._table = np.full(size, _EMPTY, np.int32)
        self._taken = 0
        self._enter(np.flatnonzero(self.held()))

    def _enter(self, rows: Int64Array) -> None:
        self._taken += len(rows)
        places = self._places(self._keys[rows])
        while len(rows):
            empty = self._table[places] == _EMPTY
            # Of several that want the same place, the last one gets it; the others see that, and go on.
            self._table[places[empty]] = rows[empty]
            waiting = self._table[places] != rows
            rows, places = rows[waiting], self._next(places[waiting])
