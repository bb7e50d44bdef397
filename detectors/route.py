"""Which shard a record concerns: both its hosts' shards get it."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from detectors.table import Table

SHARDS: Final = 256
"""All hosts are cut into so many slices, for ever; the highest byte of a host's key is its shard."""


SHARD_SHIFT: Final = 56
"""Bits of a key to the right of its shard."""


def shard(key: pl.Expr) -> pl.Expr:
    """Say which shard hosts belong to, from their keys."""
    return key // (1 << SHARD_SHIFT)


def partition(shards: pl.Expr, partitions: int) -> pl.Expr:
    """Say which of `partitions` holds a shard: neighbouring shards stay together.

    >>> pl.DataFrame({"shard": [0, 127, 128, 255]}).select(partition(pl.col("shard"), 2)).to_series().to_list()
    [0, 0, 1, 1]
    """
    return shards * partitions // SHARDS


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
        Rows by partition, in their order, for each partition that has any. A row whose hosts lie in two
        partitions is in both; a row about coverage, which has no hosts, is in partition 0.
    """
    if partitions == 1:
        return {0: table} if len(table) else {}
    ends = table.frame.select(
        source=partition(shard(pl.col("source_key")), partitions).fill_null(0),
        destination=partition(shard(pl.col("destination_key")), partitions).fill_null(0),
    )
    indices = (
        pl.concat([ends.with_row_index("row").select("row", part=end) for end in ("source", "destination")])
        .unique(maintain_order=True)
        .sort("row")
        .group_by("part")
        .agg("row")
        .sort("part")
    )
    return {part: Table.sound(table.frame[rows]) for part, rows in indices.rows()}
