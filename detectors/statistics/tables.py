"""The tables that detectors read, each summed from the contacts of a window."""

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from detectors.statistics.contacts import KEYS

_WITHOUT_PORTS: Final = (1, 58)
"""ICMP and ICMPv6 (IANA protocol numbers)."""

EXAMPLES: Final = 10
"""How many examples a row carries: the smallest ones, so that they do not depend on the order of arrival."""


def contact(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source, target, port and protocol, with `failed`: refused, or tried without an answer.

    Where there are no ports, records do not tell requests from answers: there whatever came back is an answer.
    """
    back = contacts.filter(pl.col("protocol").is_in(_WITHOUT_PORTS)).select(
        source_key="target_key",
        target_key="source_key",
        port="port",
        protocol="protocol",
        back=pl.col("requests") - pl.col("rejected"),
    )
    answered = contacts.join(back, on=KEYS, how="left").with_columns(
        answers=pl.col("answers") + pl.col("back").fill_null(0)
    )
    return answered.drop("back").with_columns(
        failed=(pl.col("answers") == 0) & (pl.col("requests") > 0) & ((pl.col("rejected") > 0) | ~pl.col("lasting"))
    )


def pair(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source and target: `failed_ports` (distinct), `ports`, `rejected`, and examples of ports."""
    failed = pl.col("port").filter("failed")
    return (
        contact(contacts)
        .group_by("source_key", "target_key")
        .agg(
            pl.col("source_internal", "target_internal").max(),
            failed_ports=failed.n_unique().cast(pl.Int64),
            ports=pl.col("port").n_unique().cast(pl.Int64),
            rejected=pl.col("rejected").sum(),
            example_ports=failed.unique().bottom_k(EXAMPLES).sort(),
            protocols=pl.col("protocol").filter("failed").unique().sort(),
            first_seen=pl.col("first_seen").filter("failed").min(),
            last_seen=pl.col("last_seen").filter("failed").max(),
        )
    )


def service(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per source, port and protocol: `failed_targets` and `targets` (distinct), and examples."""
    failed = pl.col("target_key").filter("failed")
    return (
        contact(contacts)
        .group_by("source_key", "port", "protocol")
        .agg(
            pl.col("source_internal").max(),
            pl.col("target_internal").filter("failed").max(),
            failed_targets=failed.n_unique().cast(pl.Int64),
            targets=pl.col("target_key").n_unique().cast(pl.Int64),
            example_targets=failed.unique().bottom_k(EXAMPLES).sort(),
            first_seen=pl.col("first_seen").filter("failed").min(),
            last_seen=pl.col("last_seen").filter("failed").max(),
        )
    )


def egress(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per own host and outside peer: `outbound_bytes` and `inbound_bytes`, whoever opened it."""
    opened = contacts.filter(pl.col("source_internal") & ~pl.col("target_internal")).select(
        source_key="source_key",
        target_key="target_key",
        outbound="request_bytes",
        inbound="answer_bytes",
        port="port",
        protocol="protocol",
        first_seen="first_seen",
        last_seen="last_seen",
    )
    served = contacts.filter(pl.col("target_internal") & ~pl.col("source_internal")).select(
        source_key="target_key",
        target_key="source_key",
        outbound="answer_bytes",
        inbound="request_bytes",
        port="port",
        protocol="protocol",
        first_seen="first_seen",
        last_seen="last_seen",
    )
    return (
        pl.concat([opened, served])
        .group_by("source_key", "target_key")
        .agg(
            outbound_bytes=pl.col("outbound").sum(),
            inbound_bytes=pl.col("inbound").sum(),
            example_ports=pl.col("port").unique().bottom_k(EXAMPLES).sort(),
            protocols=pl.col("protocol").unique().sort(),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
        )
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


def host(contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per host: `outbound_bytes` to the outside and `rejected` as a target; kept for baselines."""
    sent = egress(contacts).select(key="source_key", outbound_bytes="outbound_bytes", rejected=pl.lit(0, pl.Int64))
    refused = target(contacts).select(key="target_key", outbound_bytes=pl.lit(0, pl.Int64), rejected="rejected")
    return pl.concat([sent, refused]).group_by("key").agg(pl.col("outbound_bytes", "rejected").sum())


TABLES: Final[Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    table.__name__: table for table in (contact, pair, service, egress, target, host)
}
"""Every table, by name: contacts of a window, merged, in; rows out."""
