"""Which shard a record concerns: both its hosts' shards get it, and that of a gateway in between."""

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import BoolArray, UInt64Array
from detectors.span import Int64Array
from detectors.table import Table

UInt8Array = npt.NDArray[np.uint8]

SHARDS: Final = 256
"""All hosts are cut into so many slices, for ever; the highest byte of a host's key is its shard."""


SHARD_SHIFT: Final = 56
"""Bits of a key to the right of its shard."""


class Part(NamedTuple):
    """One of several parts into which the shards are divided: neighbouring shards stay together.

    Attributes
    ----------
    number
        Which one, from 0 on.
    of
        How many there are.

    Examples
    --------
    >>> Part(1, of=2).holds(np.array([127, 128, 255], np.uint64) << np.uint64(56))
    array([False,  True,  True])
    """

    number: int
    of: int

    def holds(self, keys: UInt64Array) -> BoolArray:
        """Say which hosts lie in it, by their keys, UInt64, shape (n,)."""
        held: BoolArray = _partitions(self.of)[keys >> SHARD_SHIFT] == self.number
        return held


def partition(shards: pl.Expr, partitions: int) -> pl.Expr:
    """Say which of `partitions` holds a shard: neighbouring shards stay together.

    >>> pl.DataFrame({"shard": [0, 127, 128, 255]}).select(partition(pl.col("shard"), 2)).to_series().to_list()
    [0, 0, 1, 1]
    """
    return shards * partitions // SHARDS


def rows_by_partition(table: Table, partitions: int) -> list[Int64Array]:
    """Say which rows of a table each partition gets.

    Parameters
    ----------
    table
        Records.
    partitions
        Among how many the shards are divided, 1 to `SHARDS`.

    Returns
    -------
    list of Int64Array
        Numbers of rows, ascending, int64, one array for each partition: the rows of the hosts at both ends, and of
        the gateway that forwards where there is one. A row is in an array once. A row about coverage, which has no
        hosts, is in that of partition 0.
    """
    if partitions == 1:
        return [np.arange(len(table))]
    homes = _homes(table.frame, partitions)
    entries = np.flatnonzero(_first_mentions(homes))
    parts = homes.ravel()[entries]
    # For bytes this is a radix sort: its time does not grow with the number of partitions.
    order = np.argsort(parts, kind="stable")
    rows = (entries // homes.shape[1])[order]
    return np.split(rows, np.cumsum(np.bincount(parts, minlength=partitions))[:-1])


def route(table: Table, partitions: int = SHARDS) -> Mapping[int, Table]:
    """Split a table for its readers.

    Parameters
    ----------
    table
        Records.
    partitions
        Among how many the shards are divided; by default every shard stands alone.

    Returns
    -------
    mapping of int to Table
        Rows by partition, in their order, for each partition that has any, see `rows_by_partition`.
    """
    if partitions == 1:
        return {0: table} if len(table) else {}
    parts = enumerate(rows_by_partition(table, partitions))
    return {part: Table.sound(table.frame[rows]) for part, rows in parts if len(rows)}


@cache
def _partitions(partitions: int) -> UInt8Array:
    """Return the partition of each shard, shape (SHARDS,)."""
    shards = pl.select(partition(pl.int_range(SHARDS), partitions)).to_series()
    return shards.cast(pl.UInt8).to_numpy()


def _homes(frame: pl.DataFrame, partitions: int) -> UInt8Array:
    """Say to which partitions each row goes, shape (rows, 2), or (rows, 3) where somebody forwards."""
    held = _partitions(partitions)
    keys = [frame["source_key"], frame["destination_key"]]
    if "forwarder_key" in frame.columns and frame["forwarder_key"].null_count() < frame.height:
        # Where nobody forwards, the row goes nowhere else than to its sender.
        keys.append(frame.select(pl.coalesce("forwarder_key", "source_key")).to_series())
    homes = np.empty((frame.height, len(keys)), np.uint8)
    for number, column in enumerate(keys):
        homes[:, number] = held[column.fill_null(0).to_numpy() >> SHARD_SHIFT]
    return homes


def _first_mentions(homes: UInt8Array) -> BoolArray:
    """Say of each partition of a row whether it is the first time that the row names it."""
    first = np.ones(homes.shape, np.bool_)
    for number, earlier in combinations(range(homes.shape[1])[::-1], 2):
        first[:, number] &= homes[:, number] != homes[:, earlier]
    return first
