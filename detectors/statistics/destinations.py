"""Where hosts have sent much before: a bounded memory of outside peers, learned an hour at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import Int64Array, UInt64Array
from detectors.route import SHARD_SHIFT, SHARDS
from detectors.state import Change
from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, combined, rows_of
from detectors.statistics.key_index import KeyIndex
from detectors.statistics.levels import amounts, levels
from detectors.statistics.pairs import runs
from detectors.statistics.pane import Egress
from detectors.statistics.slots import grown

LEAST_BYTES: Final = 1_000_000
"""What a host sends a peer in an hour at least, for the peer to be remembered."""

PER_HOST: Final = 64
"""Peers of a host that are remembered; beyond that, those go that were sent to longest ago."""

PER_SHARD: Final = 16_384
"""The same for all hosts of a shard together."""

KEPT_HOURS: Final = 35 * 24
"""Learned hours after which a peer is forgotten that nothing more was sent to: long enough for what comes monthly."""

PAIRS: Final = pl.Schema(
    {
        "host": pl.UInt64(),
        "peer": pl.UInt64(),
        "first": pl.Int32(),
        "last": pl.Int32(),
        "hours": pl.Int32(),
        "most": pl.UInt8(),
    }
)
"""One row per host and peer: the first and the last hour in which much was sent, counted in hours that were learned,
how many such hours there were, and the level of the most that was sent in one (`detectors.statistics.levels`)."""

KNOWN: Final = pl.Schema(
    {"hours": pl.Int64(), "age": pl.Int64(), "most": pl.Float64(), "others": pl.Int64(), "learned": pl.Int64()}
)
"""What is known of a host and peer, see `Destinations.known`."""


class Destinations:
    """The outside peers that hosts sent `LEAST_BYTES` or more to within an hour, and the most that it was.

    Hours are numbered in the order in which they were learned, so that an outage, or a file that is taken up
    elsewhere, makes nothing old. Whoever learns an hour does so when a later one is over: then nothing that still
    goes on is known already.

    Examples
    --------
    >>> host, peer = np.array([5], np.uint64), np.array([9], np.uint64)
    >>> destinations = Destinations()
    >>> destinations.learn(Egress(host, host, peer, np.array([2_000_000]), np.array([0])))
    >>> destinations.known(host, peer)["hours"].to_list(), destinations.known(peer, host)["hours"].to_list()
    ([1], [0])
    """

    def __init__(self) -> None:
        self._index = KeyIndex()
        self._columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()}
        self.count = 0
        """How many hours were learned."""
        self._changed = np.zeros(SHARDS, np.bool_)
        self._stored: set[int] = set()
        self._stored_count = -1

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the rows that are not in use."""
        return self._index.nbytes + sum(column.nbytes for column in self._columns.values())

    def learn(self, hour: Egress) -> None:
        """Learn what hosts sent within an hour, all of it, once."""
        self.count += 1
        much = np.flatnonzero(hour.outbound_bytes >= LEAST_BYTES)
        keys = _keys(hour.hosts[much], hour.peers[much])
        fresh = self._index.find(keys) < 0
        rows = self._index.insert(keys)
        for name in self._columns:
            self._columns[name] = grown(self._columns[name], len(self._index.keys))
        column = self._columns
        column["host"][rows], column["peer"][rows] = hour.hosts[much], hour.peers[much]
        column["first"][rows[fresh]] = self.count
        column["hours"][rows] = np.where(fresh, 0, column["hours"][rows]) + 1
        sent = levels(hour.outbound_bytes[much])
        column["most"][rows] = np.where(fresh, sent, np.maximum(sent, column["most"][rows]))
        column["last"][rows] = self.count
        self._changed[_shards(hour.hosts[much])] = True
        self._forget()

    def known(self, hosts: UInt64Array, peers: UInt64Array) -> pl.DataFrame:
        """Say what is known of pairs.

        Parameters
        ----------
        hosts, peers
            Keys, UInt64, shape (n,).

        Returns
        -------
        pl.DataFrame
            Shape (n, 5): in how many `hours` the host sent the peer much, 0 where it never did; `age`, the hours
            learned since the first of them; the `most` bytes that it sent in one; how many `others` did so too; and
            how many hours were `learned` at all.
        """
        rows = self._index.find(_keys(hosts, peers))
        there = rows >= 0
        asked, places = np.unique(peers, return_inverse=True)
        same, found = rows_of(asked, self._columns["peer"][np.flatnonzero(self._index.live)].astype(np.uint64))
        hosts_of = np.bincount(same[found], minlength=len(asked))
        columns = {
            name: np.where(there, np.append(self._columns[name], 0)[rows], 0) for name in ("hours", "first", "most")
        }
        return frame(
            {
                "hours": columns["hours"].astype(np.int64),
                "age": np.where(there, self.count - columns["first"].astype(np.int64), 0),
                "most": amounts(columns["most"].astype(np.uint8)).astype(np.float64),
                "others": hosts_of[places] - there,
                "learned": np.full(len(hosts), self.count),
            }
        )

    @property
    def shards(self) -> list[int]:
        """Numbers of the shards whose hosts have sent anybody much."""
        hosts = self._columns["host"][: len(self._index.keys)][self._index.live]
        return np.flatnonzero(np.bincount(_shards(hosts), minlength=SHARDS)).tolist()

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        if whole or self.count != self._stored_count:
            yield Change.of_document("position", [self.count])
        self._stored_count = self.count
        used = set(self.shards)
        for shard in sorted(used if whole else used & set(np.flatnonzero(self._changed).tolist())):
            yield Change(f"shards/{shard}", self.shard(shard))
        yield from (Change(f"shards/{shard}", None) for shard in sorted(self._stored - used))
        self._stored = used
        self._changed[:] = False

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up what `changes` yielded, in a new memory."""
        for change in changes:
            if change.name == "position":
                (self.count,) = change.document()
                self._stored_count = self.count
            else:
                self.take(change.frame())
                self._stored.add(int(change.name.removeprefix("shards/")))
        self._changed[:] = False

    def shard(self, number: int) -> pl.DataFrame:
        """Write down the pairs of a shard, columns of `PAIRS`, by host and peer."""
        rows = np.flatnonzero(self._index.live)
        rows = rows[_shards(self._columns["host"][rows].astype(np.uint64)) == number]
        rows = rows[np.lexsort((self._columns["peer"][rows], self._columns["host"][rows]))]
        return pl.DataFrame({name: self._columns[name][rows] for name in PAIRS}, schema=PAIRS)

    def take(self, pairs: pl.DataFrame) -> None:
        """Take up pairs that `shard` wrote down."""
        rows = self._index.insert(_keys(pairs["host"].to_numpy(), pairs["peer"].to_numpy()))
        for name in self._columns:
            self._columns[name] = grown(self._columns[name], len(self._index.keys))
            self._columns[name][rows] = pairs[name].to_numpy()
        self._changed[_shards(pairs["host"].to_numpy())] = True

    def _forget(self) -> None:
        """Let go what is old, and of hosts and shards with too many peers those of longest ago, then the smallest."""
        column = self._columns
        rows = np.flatnonzero(self._index.live)
        old = column["last"][rows] <= self.count - KEPT_HOURS
        self._remove(rows[old])
        rows = rows[~old]
        for most, of in ((PER_HOST, column["host"]), (PER_SHARD, _shards(column["host"]))):
            groups = Groups(of[rows].astype(np.uint64))
            many = rows[groups.spread(groups.sizes) > most]
            order = np.lexsort([column[name][many] * sign for name, sign in _KEPT_FIRST] + [of[many]])
            many = many[order]
            surplus = many[runs(of[many].astype(np.int64)).ranks >= most]
            self._remove(surplus)
            rows = np.setdiff1d(rows, surplus)

    def _remove(self, rows: Int64Array) -> None:
        self._changed[_shards(self._columns["host"][rows])] = True
        self._index.remove(rows)


_DTYPES: Final = {
    "host": np.uint64, "peer": np.uint64, "first": np.int32, "last": np.int32, "hours": np.int32, "most": np.uint8,
}  # fmt: skip

_KEPT_FIRST: Final = (("peer", np.uint64(1)), ("host", np.uint64(1)), ("most", np.int64(-1)), ("last", np.int64(-1)))
"""By which pairs are kept where they are too many, the weakest reason first."""

_SHARD: Final = np.uint64(0xFF << SHARD_SHIFT)


def _keys(hosts: UInt64Array, peers: UInt64Array) -> UInt64Array:
    """Hash pairs; the highest byte stays that of the host."""
    keys: UInt64Array = (hosts & _SHARD) | (combined(hosts, peers) & ~_SHARD)
    return keys


def _shards(hosts: UInt64Array) -> Int64Array:
    shards: Int64Array = (hosts >> np.uint64(SHARD_SHIFT)).astype(np.int64)
    return shards
