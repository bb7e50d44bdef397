"""Middleboxes: NAT gateways, transit gateways and nodes of pods, whose interfaces log packets of others.

`pkt-srcaddr` and `pkt-dstaddr` name the ends inside the packets, which are the true ones
(https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html).
"""

from typing import Final

import polars as pl

from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, combined

FORWARDERS: Final = pl.Schema({"pane": pl.Int64(), "key": pl.UInt64()})
"""One row per pane and own host that forwarded packets for outside hosts."""

MOST: Final = 4096
"""Forwarders that are kept of a pane, those with the lowest keys: networks have a few."""

_ENDS: Final = ("source", "destination")


def true_ends(flows: pl.DataFrame) -> pl.DataFrame:
    """Put the addresses inside the packets in place of those outside, and say what the reporter then is to them.

    Who logs a packet of others sits where it was translated: its direction follows from that where it was not
    logged. The interface of a gateway is none of the outside host that it forwards for.

    Parameters
    ----------
    flows
        Rows of a record table; keys are those of the true ends already.
    """
    ends = [end for end in _ENDS if f"packet_{end}_low" in flows.columns]
    if not any(_differs(flows, end) for end in ends):
        return flows
    translated = {end: _translated(end) for end in ends}
    sent = pl.when(translated.get("source", pl.lit(value=False))).then(pl.lit("egress"))
    reported = sent.when(translated.get("destination", pl.lit(value=False))).then(pl.lit("ingress"))
    own = pl.col("interface_id")
    if "forwarder_key" in flows.columns:
        own = pl.when(pl.col("forwarder_key").is_null()).then(own)
    return flows.with_columns(
        *(
            pl.coalesce(f"packet_{end}_{half}", f"{end}_{half}").alias(f"{end}_{half}")
            for end in ends
            for half in ("high", "low")
        ),
        pl.coalesce("direction", reported.cast(flows.schema["direction"])).alias("direction"),
        own.alias("interface_id"),
    )


def fold(flows: pl.DataFrame) -> pl.DataFrame:
    """List who forwarded for outside hosts, columns of `FORWARDERS`.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.
    """
    if "forwarder_key" not in flows.columns:
        return FORWARDERS.to_frame()
    pane = (pl.col("end") // PANE_SECONDS * PANE_SECONDS).alias("pane")
    return merged(flows.filter(pl.col("forwarder_key").is_not_null()).select(pane, key="forwarder_key"))


def merged(listed: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is listed twice, and what is too much; panes stay apart."""
    once = listed[Groups(combined(listed["pane"].to_numpy(), listed["key"].to_numpy())).some]
    return once.sort("pane", "key").filter(pl.int_range(pl.len()).over("pane") < MOST)


def _translated(end: str) -> pl.Expr:
    inside = (pl.col(f"packet_{end}_{half}") != pl.col(f"{end}_{half}") for half in ("high", "low"))
    return pl.any_horizontal(*inside).fill_null(value=False)


def _differs(flows: pl.DataFrame, end: str) -> bool:
    """Say whether any address inside a packet is another one."""
    return any((flows[f"packet_{end}_{half}"] != flows[f"{end}_{half}"]).any() for half in ("low", "high"))
