"""Rejected traffic: a host at which suddenly much more is refused than usual."""

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View


class RejectedSpike(Detector):
    """Records refused at one host within a minute, against the host's own past."""

    card: ClassVar = Card(
        kind="rejected_spike",
        title="Rejected-traffic spike",
        sees="Security groups or network ACLs refuse far more traffic to a host than usual, and it is not a scan.",
        entity="target",
        severity="medium",
        severity_inside="medium",
        parameters=(
            Parameter(
                name="floor_records",
                default=60,
                unit="records",
                meaning="Refused records within a minute below which nothing is reported.",
                reason="An address on the Internet is refused hundreds of times an hour without anything being wrong.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="deviations",
                default=8,
                unit="robust standard deviations",
                meaning="How far above its median the minute must lie.",
                reason="Counts of refused records scatter more than a Poisson process does.",
                threshold=True,
            ),
            Parameter(
                name="scan_ports",
                default=15,
                unit="distinct ports",
                meaning="Sources that were refused on so many ports are left out: that is a scan, told elsewhere.",
                reason="The same limit as vertical_scan.ports.",
                minimum=2,
            ),
        ),
        mitre=("T1498", "T1110"),
        false_positives=(
            "A client left behind by a deployment that closed a port.",
            "A health check of a balancer whose target was locked down.",
        ),
        response="Look at the ports and sources. A known client means a rule or a deployment went wrong; strangers "
        "mean a flood or a search for an opening.",
    )
    needs: ClassVar = (Need("target", 1), Need("pair", 5), Need("pair", 1))

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score hosts by the records refused at them, without those that belong to scans."""
        floor = parameters.least("floor_records")
        targets = view.table(self.needs[0], "rejected", floor)
        if targets.is_empty():
            return NO_SCORES
        keys = targets["target_key"]
        wide = view.table(self.needs[1], "failed_ports", parameters.least("scan_ports"))
        scanning = wide.filter(pl.col("failed_ports") >= parameters.column("scan_ports", wide["target_key"])).select(
            "source_key", "target_key"
        )
        scanned = (
            view.table(self.needs[2], "rejected", 1)
            .join(scanning, on=["source_key", "target_key"], how="semi")
            .group_by("target_key")
            .agg(scanned=pl.col("rejected").sum())
        )
        candidates = (
            targets.with_columns(
                parameters.column("floor_records", keys).alias("floor"),
                parameters.column("deviations", keys),
            )
            .join(scanned, on="target_key", how="left")
            .with_columns(rejected=pl.col("rejected") - pl.col("scanned").fill_null(0))
            .filter(pl.col("rejected") >= pl.col("floor"))
        )
        unique = candidates["target_key"].sort()
        usual = view.baseline("rejected", unique, self.needs[0].panes).with_columns(unique.alias("target_key"))
        return candidates.join(usual, on="target_key", how="left").select(
            pl.lit(None, pl.UInt64).alias("source_key"),
            "target_key",
            pl.col("rejected").cast(pl.Float64).alias("value"),
            pl.max_horizontal(
                pl.col("floor"),
                pl.col("median") + pl.col("deviations") * pl.max_horizontal("spread", pl.col("median").sqrt(), 1.0),
            ).alias("threshold"),
            pl.when(pl.col("windows") > 0).then("median").alias("baseline"),
            "source_internal",
            "target_internal",
            "first_seen",
            "last_seen",
            "sources",
            "example_sources",
            "example_ports",
            "protocols",
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name the host, the count, what is usual, and the ports."""
        usual = "" if hit["baseline"] is None else f", usually {hit['baseline']:.0f}"
        sources = "1 source" if hit["sources"] == 1 else f"{hit['sources']} sources"
        protocols = hit["protocols"]
        return Description(
            summary=f"{hit['value']:.0f} records from {sources} were refused at {hit['target']} within a minute{usual}",
            ports=tuple(hit["example_ports"]),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "rejected_records": int(hit["value"]),
                "sources": hit["sources"],
                "example_sources": sorted(view.addresses(hit["example_sources"])),
                "example_ports": hit["example_ports"],
            },
        )
