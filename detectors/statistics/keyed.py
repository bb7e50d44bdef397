"""Tables of columns by key: dense rows, caps for each shard, eviction that depends on nothing but the rows."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import BoolArray, Int64Array, UInt64Array
from detectors.route import SHARD_SHIFT, SHARDS
from detectors.statistics.key_index import DEFAULT_SALT, KeyIndex
from detectors.statistics.pairs import runs
from detectors.statistics.slots import grown

RESERVED: Final = ("key", "inside", "last_seen")
"""Columns that every table has: UInt64, Boolean, and Int64 epoch seconds, the newest pane that touched the row."""


_TIME_BITS: Final = 48
"""Bits for seconds, below those that name a shard and a side."""


class Evicted(NamedTuple):
    """Rows that were evicted, and why.

    Attributes
    ----------
    rows
        What they were, Int64, shape (n,). They are used again by the next keys that come, so whatever else goes by
        these rows is to be cleared first.
    expired
        How many had not been seen for long.
    inside, outside
        How many of either kind were above the cap of their shard.
    """

    rows: Int64Array
    expired: int
    inside: int
    outside: int


class KeyedTable:
    """Columns of numbers with a row for each key.

    The highest byte of a key is its shard. Each shard has a cap for inside keys and another one for outside keys, so
    that outside ones never push out inside ones. Caps hold after `evict`, that is at pane close: between two of them
    a table grows by what comes. What is evicted, and hence what the table holds, follows from the keys and panes
    given so far, not from their order or batches. Row numbers do depend on the order: they are not for the outside.

    Parameters
    ----------
    columns
        Types of the columns by name. A type with a shape, such as `np.dtype((np.int64, (5,)))`, makes a column
        with several numbers to a row.
    inside_cap, outside_cap
        Most rows of a shard, 1 or more.
    salt
        See `KeyIndex`.

    Examples
    --------
    >>> hosts = KeyedTable({"bytes": np.int64}, inside_cap=1_000, outside_cap=1_000)
    >>> rows = hosts.rows(np.array([7, 9, 7], np.uint64), inside=True, pane=60)
    >>> np.add.at(hosts["bytes"], rows, [100, 50, 20])
    >>> hosts.frame(hosts.live).drop("inside").rows()
    [(7, 60, 120), (9, 60, 50)]
    """

    def __init__(
        self,
        columns: Mapping[str, npt.DTypeLike],
        *,
        inside_cap: int,
        outside_cap: int,
        salt: int = DEFAULT_SALT,
    ) -> None:
        if reserved := set(columns) & set(RESERVED):
            raise ValueError(f"every table has the columns {sorted(reserved)} of its own: name yours otherwise")
        if inside_cap < 1 or outside_cap < 1:
            raise ValueError(f"caps must be 1 or more, not {inside_cap} inside and {outside_cap} outside")
        self._columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in columns.items()}
        self._caps = np.tile([outside_cap, inside_cap], SHARDS)
        self._index = KeyIndex(salt)
        self._inside = np.zeros(0, np.bool_)
        self._last_seen = np.zeros(0, np.int64)
        self._touched = np.zeros(0, np.bool_)
        self._removed: list[UInt64Array] = []

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._index)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return a column, to be read and changed by row, shape (rows or more, ...); good until rows are added."""
        return self._columns[name]

    @property
    def nbytes(self) -> int:
        """Bytes taken."""
        own = (self._inside, self._last_seen, self._touched, *self._removed)
        return self._index.nbytes + sum(each.nbytes for each in (*own, *self._columns.values()))

    @property
    def live(self) -> Int64Array:
        """All rows in use, in ascending order of their keys, Int64, shape (keys,)."""
        return self._by_key(np.flatnonzero(self._index.live))

    def keys(self, rows: Int64Array) -> UInt64Array:
        """Return the keys of rows in use, UInt64, shape (n,)."""
        return self._index.keys[rows]

    def find(self, keys: UInt64Array) -> Int64Array:
        """Look up the rows of keys; Int64, shape (n,), -1 where a key is not there."""
        return self._index.find(keys)

    def rows(self, keys: UInt64Array, *, inside: BoolArray | bool, pane: Int64Array | int) -> Int64Array:
        """Look up the rows of keys that were seen, make rows of zeros for new ones, and mark them all as touched.

        Parameters
        ----------
        keys
            UInt64, shape (n,); they may repeat.
        inside
            Which are inside, shape (n,), or one for all. Once inside, a key stays inside.
        pane
            Begin of the panes they were seen in, epoch seconds, shape (n,), or one for all.

        Returns
        -------
        Int64Array
            Rows, shape (n,).
        """
        rows = self._index.insert(keys)
        self._reserve()
        self._inside[rows[np.broadcast_to(inside, rows.shape)]] = True
        np.maximum.at(self._last_seen, rows, pane)
        self._touched[rows] = True
        return rows

    def touch(self, rows: Int64Array) -> None:
        """Mark rows in use, shape (n,), whose columns were changed without being seen."""
        self._touched[rows] = True

    def evict(self, before: int) -> Evicted:
        """Remove what was last seen before a pane, epoch seconds, then what is above the caps.

        Above the caps those go first that were seen least recently, then those with the smallest keys.
        """
        rows = np.flatnonzero(self._index.live)
        old = self._last_seen[rows] < before
        expired, rows = rows[old], rows[~old]
        surplus = self._surplus(rows)
        inside = int(self._inside[surplus].sum())
        evicted = np.concatenate([expired, surplus])
        self.drop(evicted)
        return Evicted(evicted, len(expired), inside, len(surplus) - inside)

    def drop(self, rows: Int64Array) -> None:
        """Remove rows in use, each named once, shape (n,), as when their shards go elsewhere."""
        self._removed.append(self.keys(rows))
        self._index.remove(rows)
        for column in (self._inside, self._last_seen, self._touched, *self._columns.values()):
            column[rows] = 0

    def changes(self) -> tuple[UInt64Array, Int64Array]:
        """Say what changed since the last call: first the keys that were removed, then the rows that were touched.

        Removed keys are kept until then, so call it now and again also where nothing is stored.

        Returns
        -------
        tuple
            Keys, UInt64, ascending; they may be back, and are then among the rows. Rows, Int64, by ascending key.
        """
        removed = np.unique(np.concatenate([np.zeros(0, np.uint64), *self._removed]))
        touched = np.flatnonzero(self._touched)
        self._removed.clear()
        self._touched[touched] = False
        return removed, self._by_key(touched)

    def frame(self, rows: Int64Array) -> pl.DataFrame:
        """Copy rows in use, shape (n,): the columns of `RESERVED`, then those of the table."""
        own = {"key": self.keys(rows), "inside": self._inside[rows], "last_seen": self._last_seen[rows]}
        return pl.DataFrame(own | {name: column[rows] for name, column in self._columns.items()})

    def restore(self, removed: UInt64Array, frame: pl.DataFrame) -> Int64Array:
        """Take up changes, in the order in which they were made.

        Parameters
        ----------
        removed
            Keys that were removed, UInt64, shape (m,); those that are not there are passed over.
        frame
            What `frame` returned of the rows that were touched, each key once.

        Returns
        -------
        Int64Array
            The rows of the frame's keys, in its order.
        """
        gone = self.find(removed)
        self.drop(gone[gone >= 0])
        rows = self._index.insert(frame["key"].to_numpy())
        self._reserve()
        self._inside[rows] = frame["inside"].to_numpy()
        self._last_seen[rows] = frame["last_seen"].to_numpy()
        for name, column in self._columns.items():
            column[rows] = frame[name].to_numpy()
        self._removed.clear()
        return rows

    def _reserve(self) -> None:
        length = len(self._index.keys)
        self._inside, self._last_seen, self._touched = (
            grown(column, length) for column in (self._inside, self._last_seen, self._touched)
        )
        self._columns = {name: grown(column, length) for name, column in self._columns.items()}

    def _by_key(self, rows: Int64Array) -> Int64Array:
        return rows[np.argsort(self.keys(rows))]

    def _surplus(self, rows: Int64Array) -> Int64Array:
        """Choose which of the rows are above the cap of their shard and side."""
        groups = (self.keys(rows) >> np.uint64(SHARD_SHIFT)).astype(np.int64) * 2 + self._inside[rows]
        surplus = np.maximum(np.bincount(groups, minlength=len(self._caps)) - self._caps, 0)
        over = surplus[groups] > 0
        rows, groups = rows[over], groups[over]
        if not len(rows):
            return rows
        # A sort by three columns is slow, so it is left for the panes that have to go, and the one that has to in part.
        panes = (groups << _TIME_BITS) | (self._last_seen[rows] - self._last_seen[rows].min())
        counts = np.bincount(groups, minlength=len(self._caps))
        last = np.sort(panes)[np.cumsum(counts) - counts + surplus - 1]
        oldest = panes <= last[groups]
        rows, groups = rows[oldest], groups[oldest]
        order = np.lexsort((self.keys(rows), self._last_seen[rows], groups))
        chosen: Int64Array = rows[order][runs(groups[order]).ranks < surplus[groups[order]]]
        return chosen
