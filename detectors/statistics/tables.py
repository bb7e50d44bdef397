"""The tables that detectors read, of which each row is one entity."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, combined

HOST: Final = pl.Schema({"key": pl.UInt64, "internal": pl.Boolean, "outbound_bytes": pl.Int64, "rejected": pl.Int64})
"""Columns of the table `host`."""

EXAMPLES: Final = 10
"""How many examples a row carries: the smallest ones, so that they do not depend on the order of arrival."""

PORTLESS: Final = (1, 58)
"""ICMP and ICMPv6 (IANA protocol numbers)."""

FEW_PORTS: Final = 14
"""On how many ports of a host one source may fail and still be one of many: one less than what Zeek calls a scan."""

FAST_PANES: Final = 6
"""Panes of the windows that fast attacks are looked for in: wherever five minutes begin, they lie within six panes."""

_APART: Final = 1 << 40


def contact(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source, target, port and protocol, with `failed`: refused, or tried without an answer.

    What was answered over another protocol on the same port did not fail: where QUIC is blocked, TCP is tried.
    """
    services = Groups(combined(*(contacts[name].to_numpy() for name in ("source_key", "target_key", "port"))))
    requests, rejected, answers = (contacts[name].to_numpy() for name in ("requests", "rejected", "answers"))
    silent = services.spread(services.max(answers)) == 0
    failed = silent & (requests > 0) & ((rejected > 0) | ~contacts["lasting"].to_numpy())
    return contacts.with_columns(pl.Series("failed", failed))


def pair(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source and target: `failed_ports` and `ports` (distinct), counts, and examples of ports.

    `densest` is how many of the ports failed within six minutes. Where there are no ports (ICMP), none failed.
    """
    known = contact(contacts).with_columns(pl.col("failed") & ~pl.col("protocol").is_in(PORTLESS))
    failed = pl.col("port").filter("failed")
    return (
        _with_density(known, "source_key", "target_key")
        .group_by("source_key", "target_key")
        .agg(
            pl.col("source_internal", "target_internal").max(),
            failed_ports=failed.n_unique().cast(pl.Int64),
            ports=pl.col("port").n_unique().cast(pl.Int64),
            rejected=pl.col("rejected").sum(),
            attempts=pl.col("requests").filter("failed").sum(),
            densest=pl.col("density").max(),
            example_ports=failed.unique().bottom_k(EXAMPLES).sort(),
            protocols=pl.col("protocol").filter("failed").unique().sort(),
            first_seen=pl.col("first_seen").filter("failed").min(),
            last_seen=pl.col("last_seen").filter("failed").max(),
        )
    )


def service(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source, port and protocol: `failed_targets`, `answered_targets` and `targets` (distinct), examples.

    `own` says that all that failed were own hosts, `densest` how many of them failed within six minutes, and
    `own_misses` how many there are where the source is an own host, else 0.
    """
    failed = pl.col("target_key").filter("failed")
    return (
        _with_density(contact(contacts), "source_key", "port", "protocol")
        .group_by("source_key", "port", "protocol")
        .agg(
            pl.col("source_internal").max(),
            pl.col("target_internal").filter("failed").max(),
            own=pl.col("target_internal").filter("failed").min(),
            failed_targets=failed.n_unique().cast(pl.Int64),
            own_misses=failed.filter(pl.col("source_internal").filter("failed")).n_unique().cast(pl.Int64),
            answered_targets=pl.col("target_key").filter(pl.col("answers") > 0).n_unique().cast(pl.Int64),
            targets=pl.col("target_key").n_unique().cast(pl.Int64),
            rejected=pl.col("rejected").sum(),
            attempts=pl.col("requests").filter("failed").sum(),
            densest=pl.col("density").max(),
            example_targets=failed.unique().bottom_k(EXAMPLES).sort(),
            first_seen=pl.col("first_seen").filter("failed").min(),
            last_seen=pl.col("last_seen").filter("failed").max(),
        )
    )


def scanner(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source that failed: `failed_contacts`, `failed_targets` and `failed_ports` (distinct), examples."""
    failed = contact(contacts).filter(pl.col("failed") & ~pl.col("protocol").is_in(PORTLESS))
    return failed.group_by("source_key").agg(
        pl.col("source_internal", "target_internal").max(),
        failed_contacts=pl.len().cast(pl.Int64),
        failed_targets=pl.col("target_key").n_unique().cast(pl.Int64),
        failed_ports=pl.col("port").n_unique().cast(pl.Int64),
        rejected=pl.col("rejected").sum(),
        attempts=pl.col("requests").sum(),
        example_ports=pl.col("port").unique().bottom_k(EXAMPLES).sort(),
        example_targets=pl.col("target_key").unique().bottom_k(EXAMPLES).sort(),
        protocols=pl.col("protocol").unique().sort(),
        first_seen=pl.col("first_seen").min(),
        last_seen=pl.col("last_seen").max(),
    )


def scanned(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per target: `failed_ports` and `sources` (distinct) of those who failed on few of its ports, examples.

    Who failed on more than `FEW_PORTS` scans by itself.
    """
    failed = contact(contacts).filter(pl.col("failed") & ~pl.col("protocol").is_in(PORTLESS))
    few = pl.col("port").n_unique().over("source_key", "target_key") <= FEW_PORTS
    return (
        failed.filter(few)
        .group_by("target_key")
        .agg(
            pl.col("source_internal").min(),
            pl.col("target_internal").max(),
            failed_ports=pl.col("port").n_unique().cast(pl.Int64),
            sources=pl.col("source_key").n_unique().cast(pl.Int64),
            rejected=pl.col("rejected").sum(),
            attempts=pl.col("requests").sum(),
            example_ports=pl.col("port").unique().bottom_k(EXAMPLES).sort(),
            example_sources=pl.col("source_key").unique().bottom_k(EXAMPLES).sort(),
            protocols=pl.col("protocol").unique().sort(),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
        )
    )


def _with_density(contacts: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Add `density`: of each failed contact, how many of its key failed in its pane and the five before it."""
    failed = contacts["failed"].to_numpy()
    rows = np.flatnonzero(failed)
    minutes = contacts["last_seen"].to_numpy()[rows] // PANE_SECONDS
    hashes = combined(*(contacts[name].to_numpy()[rows] for name in keys))
    order = np.lexsort((minutes, hashes))
    changes = np.diff(hashes[order], prepend=hashes[order[:1]]) != 0
    # Keys lie so far apart that no window of one reaches into another.
    places = np.cumsum(changes) * _APART + minutes[order]
    density = np.zeros(len(failed), np.int64)
    density[rows[order]] = np.arange(1, len(rows) + 1) - np.searchsorted(places, places - FAST_PANES + 1)
    return contacts.with_columns(pl.Series("density", density))


def egress(sums: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per own host and outside peer: `outbound_bytes` and `inbound_bytes`, whoever opened it, and examples.

    `served` says that all that is known of was opened by the peer.

    Parameters
    ----------
    sums
        Hosts, peers and bytes, with the panes that they lie in as `first_seen` and `last_seen`.
    contacts
        The contacts between them: they tell ports, and the times more closely.
    """
    opened = pl.col("source_internal") & ~pl.col("target_internal")
    seen = contacts.group_by(
        source_key=pl.when(opened).then("source_key").otherwise("target_key"),
        target_key=pl.when(opened).then("target_key").otherwise("source_key"),
    ).agg(
        example_ports=pl.col("port").unique().bottom_k(EXAMPLES).sort(),
        protocols=pl.col("protocol").unique().sort(),
        served=~opened.any(),
        first=pl.col("first_seen").min(),
        last=pl.col("last_seen").max(),
    )
    return (
        sums.join(seen, on=("source_key", "target_key"), how="left")
        .with_columns(
            pl.col("example_ports", "protocols").fill_null([]),
            pl.col("served").fill_null(value=False),
            first_seen=pl.coalesce("first", "first_seen"),
            last_seen=pl.coalesce("last", "last_seen"),
        )
        .drop("first", "last")
    )


def target(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per host that refused something: `rejected`, distinct `sources`, examples of both ends."""
    refused = contacts.filter(pl.col("rejected") > 0)
    return refused.group_by("target_key").agg(
        pl.col("source_internal", "target_internal").max(),
        rejected=pl.col("rejected").sum(),
        sources=pl.col("source_key").n_unique().cast(pl.Int64),
        example_sources=pl.col("source_key").unique().bottom_k(EXAMPLES).sort(),
        example_ports=pl.col("port").unique().bottom_k(EXAMPLES).sort(),
        protocols=pl.col("protocol").unique().sort(),
        first_seen=pl.col("first_seen").min(),
        last_seen=pl.col("last_seen").max(),
    )


TRAFFIC: Final = pl.Schema(
    {
        "key": pl.UInt64,
        "internal": pl.Boolean,
        "internal_bytes_sent": pl.Int64,
        "internal_bytes_received": pl.Int64,
        "external_bytes_sent": pl.Int64,
        "external_bytes_received": pl.Int64,
        "requests_made": pl.Int64,
        "refusals_met": pl.Int64,
        "requests_got": pl.Int64,
        "rejected": pl.Int64,
    }
)
"""Columns of the table `traffic`: what a host did, by role and direction.

Bytes are those exchanged with own hosts (internal) and with all others (external). `requests_made` and
`refusals_met` are its requests that passed and that were refused; `requests_got` and `rejected` those to it.
"""


_NO_TRAFFIC: Final = TRAFFIC.to_frame()
_NO_HOSTS: Final = HOST.to_frame()


def traffic(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row per host with what it did; columns that a part lacks count as zeros."""
    together = pl.concat([_NO_TRAFFIC, *parts], how="diagonal")
    return together.group_by("key").agg(pl.col("internal").max(), pl.col(TRAFFIC.names()[2:]).sum())


def host(panes: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One row per host: `outbound_bytes` to the outside and `rejected` as a target; kept for baselines.

    Parameters
    ----------
    panes
        The hosts of each pane.
    """
    if len(panes) == 1:
        return panes[0]
    parts = pl.concat([_NO_HOSTS, *panes])
    columns = {name: parts[name].to_numpy() for name in HOST}
    groups = Groups(columns["key"])
    sums = {name: groups.sum(columns[name]) for name in ("outbound_bytes", "rejected")}
    return frame({"key": groups.keys, "internal": groups.max(columns["internal"]), **sums})
