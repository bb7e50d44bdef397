"""Exfiltration: a host that suddenly sends much more to the outside than it ever did."""

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View


class ExfiltrationBurst(Detector):
    """Bytes from one's own host to one outside peer within five minutes, against the host's own past."""

    card: ClassVar = Card(
        kind="exfiltration_burst",
        title="Exfiltration burst",
        sees="One's own host sends much more to an outside address than it usually sends to the whole outside.",
        entity="source",
        severity="high",
        severity_inside="high",
        parameters=(
            Parameter(
                name="floor_bytes",
                default=50_000_000,
                unit="bytes",
                meaning="Bytes to one peer within five minutes below which nothing is reported.",
                reason="Fixed limits of others begin at 100 MB (Slips, Splunk) and miss smaller leaks.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="deviations",
                default=8,
                unit="robust standard deviations",
                meaning="How far above its median the host's five minutes must lie.",
                reason="A robust z above 3.5 is the usual limit for one test; here every pane of every host is one.",
                threshold=True,
            ),
            Parameter(
                name="asymmetry",
                default=4,
                unit="bytes out per byte in",
                meaning="How one-sided the traffic with the peer must be.",
                reason="A leak is an upload; a long video call is as large but sends both ways.",
            ),
            Parameter(
                name="cold_factor",
                default=2,
                unit="multiple of floor_bytes",
                meaning="Raises the floor while the host has fewer than six windows of past.",
                reason="Without a past, only what is large anywhere is worth a finding.",
                minimum=1,
            ),
        ),
        mitre=("T1041", "T1048", "T1567"),
        false_positives=(
            "The first backup to an outside store.",
            "A migration, or the publication of a large file.",
        ),
        response="Find out what the peer is and which process sends. If nobody knows, cut the connection, keep the "
        "host for forensics and look at what it had access to.",
    )
    needs: ClassVar = (Need("egress", 5),)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score hosts and outside peers by bytes sent, where they are many and one-sided."""
        peers = view.table(self.needs[0], "outbound_bytes", parameters.least("floor_bytes"))
        if peers.is_empty():
            return NO_SCORES
        hosts = peers["source_key"]
        floor = parameters.column("floor_bytes", hosts)
        candidates = peers.with_columns(
            floor.alias("floor"),
            parameters.column("asymmetry", hosts),
            parameters.column("deviations", hosts),
            parameters.column("cold_factor", hosts),
        ).filter(
            pl.col("outbound_bytes") >= pl.col("floor"),
            pl.col("outbound_bytes") >= pl.col("asymmetry") * pl.col("inbound_bytes"),
        )
        unique = candidates["source_key"].unique().sort()
        usual = view.baseline("outbound_bytes", unique, self.needs[0].panes).with_columns(unique.alias("source_key"))
        cold = pl.col("windows") < 6
        return candidates.join(usual, on="source_key", how="left").select(
            "source_key",
            "target_key",
            pl.col("outbound_bytes").cast(pl.Float64).alias("value"),
            pl.max_horizontal(
                pl.when(cold).then(pl.col("floor") * pl.col("cold_factor")).otherwise(pl.col("floor")),
                pl.col("median") + pl.col("deviations") * pl.max_horizontal("spread", 0.1 * pl.col("median")),
            ).alias("threshold"),
            pl.when(~cold).then("median").alias("baseline"),
            pl.lit(value=True).alias("source_internal"),
            pl.lit(value=False).alias("target_internal"),
            "first_seen",
            "last_seen",
            "inbound_bytes",
            "example_ports",
            "protocols",
            "windows",
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name both ends, the bytes, and what is usual."""
        del view
        usual = "" if hit["baseline"] is None else f", usually {hit['baseline'] / 1e6:.1f} MB to all peers"
        protocols = hit["protocols"]
        return Description(
            summary=f"{hit['source']} sent {hit['value'] / 1e6:.0f} MB to {hit['target']} within five minutes{usual}",
            ports=tuple(hit["example_ports"]),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "bytes_out": int(hit["value"]),
                "bytes_in": hit["inbound_bytes"],
                "baseline_windows": hit["windows"],
                "example_ports": hit["example_ports"],
            },
        )
