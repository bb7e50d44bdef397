"""Who hosts are: the address behind a key, and the interface that reported them."""

from typing import Final

import polars as pl

from detectors.statistics.contacts import PANE_SECONDS

HOSTS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "key": pl.UInt64(),
        "scope": pl.String(),
        "high": pl.UInt64(),
        "low": pl.UInt64(),
        "internal": pl.Boolean(),
        "account_id": pl.String(),
        "vpc_id": pl.String(),
        "interface_id": pl.String(),
    }
)
"""One row per pane and host. Where several interfaces reported a host, the smallest name stands for them."""


def hosts(flows: pl.DataFrame) -> pl.DataFrame:
    """List the hosts at both ends of records, columns of `HOSTS`."""
    own = {"source": "egress", "destination": "ingress"}
    ends = [
        flows.lazy().select(
            pane=pl.col("end") // PANE_SECONDS * PANE_SECONDS,
            key=f"{end}_key",
            scope=f"{end}_scope",
            high=f"{end}_high",
            low=f"{end}_low",
            internal=f"{end}_internal",
            account_id="account_id",
            vpc_id="vpc_id",
            interface_id=pl.when(pl.col("direction").eq_missing(direction)).then("interface_id"),
        )
        for end, direction in own.items()
    ]
    return merged(pl.concat(ends), by_pane=True)


def merged(directory: pl.LazyFrame, *, by_pane: bool) -> pl.DataFrame:
    """Sum up lists of hosts that came in parts."""
    keys = ["pane", "key"] if by_pane else ["key"]
    last = [] if by_pane else [pl.col("pane").max()]
    return (
        directory.group_by(keys)
        .agg(
            *last,
            pl.col("scope", "high", "low", "internal").first(),
            pl.col("account_id", "vpc_id", "interface_id").min(),
        )
        .select(HOSTS.names())
        .collect()
    )
