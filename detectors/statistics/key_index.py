"""From 64-bit keys to dense row numbers: a hash table that is probed for many keys at once."""

from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.addresses import BoolArray, Int64Array, UInt64Array
from detectors.statistics.slots import grown

DEFAULT_SALT: Final = 0x9E3779B97F4A7C15
"""An odd number; where others can choose keys, take a secret one."""

_EMPTY: Final = -1
_REMOVED: Final = -2


class KeyIndex:
    """Dense row numbers for keys: a row stays with its key until the key is removed, and is then used again.

    Open addressing with linear probing, at most half full, in rounds: each looks at the next place of all keys that
    are not settled, so that a batch costs a handful of vector operations. Where a key lies is decided by multiplying
    with `salt` (multiply-shift, Dietzfelbinger and others, 1997): who does not know it cannot choose keys that pile up.

    A key takes 16 to 32 bytes; arrays double when they are full, so up to 40 are set aside.

    Parameters
    ----------
    salt
        An odd 64-bit number. Only speed depends on it, never a result.

    Examples
    --------
    >>> index = KeyIndex()
    >>> index.insert(np.array([500, 900, 500], np.uint64)).tolist()
    [0, 1, 0]
    >>> index.find(np.array([900, 901], np.uint64)).tolist()
    [1, -1]
    """

    def __init__(self, salt: int = DEFAULT_SALT) -> None:
        if not salt & 1:
            raise ValueError(f"the salt {salt} is not odd")
        self._salt = np.uint64(salt)
        self._keys = np.zeros(0, np.uint64)
        self._end = 0
        self._reusable = np.zeros(0, np.int64)
        self._places = np.full(16, _EMPTY, np.int32)
        # Places that are not empty, with those of removed keys.
        self._taken = 0

    def __len__(self) -> int:
        """Count the keys."""
        return self._end - len(self._reusable)

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        return sum(each.nbytes for each in (self._keys, self._reusable, self._places))

    @property
    def keys(self) -> UInt64Array:
        """The key of each row, shape (rows ever in use at once,); of rows that are free, some former key."""
        return self._keys[: self._end]

    @property
    def live(self) -> BoolArray:
        """Which rows have a key, shape (rows ever in use at once,)."""
        live = np.ones(self._end, np.bool_)
        live[self._reusable] = False
        return live

    def find(self, keys: UInt64Array) -> Int64Array:
        """Look up the rows of keys; Int64, shape (n,), -1 where a key is not there."""
        places = self._home(keys)
        rows = self._places[places]
        unsettled = np.flatnonzero(self._passed(rows, keys))
        while len(unsettled):
            places[unsettled] = (places[unsettled] + 1) & (len(self._places) - 1)
            rows[unsettled] = self._places[places[unsettled]]
            unsettled = unsettled[self._passed(rows[unsettled], keys[unsettled])]
        return rows.astype(np.int64)

    def insert(self, keys: UInt64Array) -> Int64Array:
        """Look up the rows of keys, shape (n,), and give rows to those that have none."""
        rows = self.find(keys)
        missing = np.flatnonzero(rows == _EMPTY)
        if len(missing):
            self._add(np.unique(keys[missing]))
            rows[missing] = self.find(keys[missing])
        return rows

    def remove(self, rows: Int64Array) -> None:
        """Take rows, each in use and named once, shape (n,), from their keys."""
        places = self._home(self._keys[rows])
        unsettled = np.arange(len(rows))
        while len(unsettled):
            unsettled = unsettled[self._places[places[unsettled]] != rows[unsettled]]
            places[unsettled] = (places[unsettled] + 1) & (len(self._places) - 1)
        self._places[places] = _REMOVED
        self._reusable = np.concatenate([self._reusable, rows])

    def _home(self, keys: UInt64Array) -> Int64Array:
        shift = np.uint64(64 - (len(self._places).bit_length() - 1))
        return ((keys * self._salt) >> shift).astype(np.int64)

    def _passed(self, rows: npt.NDArray[np.int32], keys: UInt64Array) -> BoolArray:
        """Say for which keys the search goes on behind places that hold `rows`."""
        held = self._keys.take(rows, mode="clip") if len(self._keys) else keys
        passed: BoolArray = ((rows >= 0) & (held != keys)) | (rows == _REMOVED)
        return passed

    def _add(self, keys: UInt64Array) -> None:
        """Give rows to keys that are not there, each named once."""
        reused = min(len(keys), len(self._reusable))
        fresh = np.arange(self._end, self._end + len(keys) - reused)
        rows = np.concatenate([self._reusable[len(self._reusable) - reused :], fresh])
        self._reusable = self._reusable[: len(self._reusable) - reused]
        self._end += len(fresh)
        self._keys = grown(self._keys, self._end)
        self._keys[rows] = keys
        if 2 * (self._taken + len(keys)) > len(self._places):
            self._rebuild()
        else:
            self._place(rows)

    def _rebuild(self) -> None:
        """Place all keys anew, in a table that they fill to a third at most."""
        self._places = np.full(1 << (3 * len(self)).bit_length(), _EMPTY, np.int32)
        self._taken = 0
        self._place(np.flatnonzero(self.live))

    def _place(self, rows: Int64Array) -> None:
        self._taken += len(rows)
        places = self._home(self._keys[rows])
        while len(rows):
            empty = self._places[places] == _EMPTY
            # Of several keys that want one place the last one gets it, and the others go on.
            self._places[places[empty]] = rows[empty]
            displaced = self._places[places] != rows
            rows = rows[displaced]
            places = (places[displaced] + 1) & (len(self._places) - 1)
