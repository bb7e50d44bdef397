"""Vertical scans: many ports of one host, tried by one source or by many together."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import polars as pl

from detectors.contract import (
    NO_BASELINE,
    NO_SCORES,
    Card,
    Description,
    Detector,
    Need,
    Parameter,
    Parameters,
    View,
)
from detectors.statistics.tables import FAST_PANES


class VerticalScan(Detector):
    """Distinct ports of one target on which a source, or many sources together, failed within six minutes."""

    card: ClassVar = Card(
        kind="vertical_scan",
        title="Vertical scan",
        sees="One host tries many ports of one other host, and fails on them: refused, reset or not answered. Or many "
        "hosts do so together, each on few ports: then the finding is about the target and names no source.",
        entity="source",
        severity="medium",
        severity_inside="high",
        parameters=(
            Parameter(
                name="ports",
                default=15,
                unit="distinct ports",
                meaning="Failed ports of one target within six minutes from which on it is a scan.",
                reason="Zeek's scan policy reports 15 ports in 5 minutes (policy/misc/scan.zeek); six panes hold them.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="block_targets",
                default=3,
                unit="distinct hosts",
                meaning="A source that scans so many targets at once is left out: that is one horizontal_scan.",
                reason="The same limit as horizontal_scan.block_targets.",
                minimum=2,
            ),
            Parameter(
                name="distributed_ports",
                default=60,
                unit="distinct ports",
                meaning="Failed ports of one target within six minutes from which on many sources scan together.",
                reason="Three times the most that strangers tried at a public address in five minutes of a day (19).",
                minimum=15,
                threshold=True,
            ),
            Parameter(
                name="distributed_sources",
                default=10,
                unit="distinct hosts",
                meaning="Sources from which on a scan is a distributed one. Those with 15 ports or more do not count.",
                reason="Fewer sources try enough ports each to be found alone.",
                minimum=2,
            ),
        ),
        mitre=("T1046", "T1595.001"),
        false_positives=(
            "An authorised vulnerability scanner.",
            "A client that tries a range of ports of a server that is down.",
        ),
        response="Find out who runs the source. From outside, see whether any of the ports answered; from inside, "
        "take the source for compromised until it is explained.",
        version=4,
    )
    needs: ClassVar[tuple[Need, ...]] = (Need("pair", FAST_PANES), Need("scanned", FAST_PANES))

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score pairs by failed ports, and targets by those that many sources failed on."""
        parts = [self._alone(view, parameters), self._together(view, parameters)]
        found = [part for part in parts if not part.is_empty()]
        if not found:
            return NO_SCORES
        return pl.concat([_NONE_FOUND, *(part.select(_COLUMNS.names()) for part in found)])

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name both ends, or the target and the number of sources, and the number of ports."""
        protocols = hit["protocols"]
        evidence = {
            "failed_ports": int(hit["value"]),
            "tried_ports": hit["ports"],
            "rejected_records": hit["rejected"],
            "attempts_per_minute": per_minute(hit),
            "example_ports": hit["example_ports"],
            "protocols": protocols,
        }
        if hit["source"] is None:
            who = f"{hit['sources']} hosts together"
            evidence |= {"sources": hit["sources"], "example_sources": sorted(view.addresses(hit["example_sources"]))}
        else:
            who = hit["source"]
        return Description(
            summary=f"{who} tried {hit['value']:.0f} ports of {hit['target']} in vain within six minutes",
            ports=tuple(hit["example_ports"]),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence=evidence,
        )

    def _alone(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score pairs, but for those of sources that scan a whole block of hosts."""
        pairs = view.table(self.needs[0], "failed_ports", parameters.least("ports"))
        if pairs.is_empty():
            return pairs
        scored = pairs.with_columns(
            parameters.column("ports", pairs["source_key"]).alias("threshold"),
            parameters.column("block_targets", pairs["source_key"]),
            pl.col("failed_ports").cast(pl.Float64).alias("value"),
            sources=pl.lit(1, pl.Int64),
            example_sources=pl.concat_list("source_key"),
        ).filter(pl.col("value") >= pl.col("threshold"))
        scored = unforwarded(scored, view, "target_key")
        return scored.filter(pl.len().over("source_key") < pl.col("block_targets")).with_columns(NO_BASELINE)

    def _together(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score the targets of many sources."""
        targets = view.table(self.needs[1], "failed_ports", parameters.least("distributed_ports"))
        if targets.is_empty():
            return targets
        return (
            targets.with_columns(
                parameters.column("distributed_ports", targets["target_key"]).alias("threshold"),
                parameters.column("distributed_sources", targets["target_key"]),
                pl.col("failed_ports").cast(pl.Float64).alias("value"),
                pl.col("failed_ports").alias("ports"),
                source_key=pl.lit(None, pl.UInt64),
            )
            .filter(pl.col("sources") >= pl.col("distributed_sources"))
            .with_columns(NO_BASELINE)
        )


def unforwarded(scans: pl.DataFrame, view: View, *same: str) -> pl.DataFrame:
    """Leave out what gateways forwarded where the hosts that they forwarded it for are told of.

    Parameters
    ----------
    scans
        Rows with `source_key` and `value`.
    view
        Where to ask who forwards.
    *same
        Columns that say what is tried: it stays the same on the way through a gateway.
    """
    if scans.is_empty():
        return scans
    forwards = view.forwarders(scans["source_key"])
    if not forwards.any():
        return scans
    original = pl.col("value").filter(~pl.col("forwards")).sum().over(*same)
    passed_on = pl.col("forwards") & (original >= _FORWARDED * pl.col("value"))
    return scans.with_columns(forwards.alias("forwards")).filter(~passed_on).drop("forwards")


_FORWARDED: Final = 0.5
"""Part of what a gateway tries that hosts behind it are told of, from which on it is theirs."""


def unscattered(sweeps: pl.DataFrame, view: View, scanner: Need) -> pl.DataFrame:
    """Leave out own sources that fail outside on a port half as often as on others, ever another for each host.

    That is what clients of peer-to-peer networks do all day; who searches for a service asks for it alone, or asks
    every host for the same few.

    Parameters
    ----------
    sweeps
        Rows of the table `service`.
    view, scanner
        Where to ask for all that the sources failed on, and the need for it.
    """
    outbound = sweeps.filter(pl.col("source_internal") & ~pl.col("own") & (pl.col("port") > 0))
    if outbound.is_empty():
        return sweeps
    least: int = outbound["failed_targets"].min()  # type: ignore[assignment]  # never empty
    table = view.table(scanner, "failed_contacts", (1 + _ELSEWHERE) * least)
    everything = table.select("source_key", tried="failed_contacts", tried_ports="failed_ports")
    others, other_ports = pl.col("tried") - pl.col("failed_targets"), pl.col("tried_ports") - 1
    scattered = (others >= _ELSEWHERE * pl.col("failed_targets")) & (_PEERS_PER_PORT * other_ports > others)
    peers = outbound.join(everything, on="source_key").filter(scattered)
    return sweeps.join(peers, on=("source_key", "port", "protocol"), how="anti", maintain_order="left")


_ELSEWHERE: Final = 2
"""How many times as often as on its usual port a client of such a network fails on all others, at least."""

_PEERS_PER_PORT: Final = 2
"""Fewer hosts than that share a port, on average, among those that choose their ports themselves."""


def per_minute(hit: Mapping[str, Any]) -> float:
    """Say how many attempts there were a minute, counting a minute at least.

    >>> per_minute({"attempts": 30, "first_seen": 0, "last_seen": 120})
    15.0
    """
    minutes: float = max((hit["last_seen"] - hit["first_seen"]) / 60, 1)
    return round(float(hit["attempts"]) / minutes, 2)


_COLUMNS: Final = pl.Schema(
    {
        **NO_SCORES.schema,
        "ports": pl.Int64(),
        "rejected": pl.Int64(),
        "attempts": pl.Int64(),
        "example_ports": pl.List(pl.UInt16()),
        "protocols": pl.List(pl.UInt8()),
        "sources": pl.Int64(),
        "example_sources": pl.List(pl.UInt64()),
    }
)

_NONE_FOUND: Final = _COLUMNS.to_frame()
