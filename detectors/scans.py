"""Scans: one host that tries many ports of another, or one port of many."""

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View


class VerticalScan(Detector):
    """Distinct ports of one target on which a source failed, within five minutes."""

    card: ClassVar = Card(
        kind="vertical_scan",
        title="Vertical scan",
        sees="One host tries many ports of one other host, and fails on them: refused, reset or not answered.",
        entity="source",
        severity="medium",
        severity_inside="high",
        parameters=(
            Parameter(
                name="ports",
                default=15,
                unit="distinct ports",
                meaning="Failed ports of one target within five minutes from which on it is a scan.",
                reason="Zeek's scan policy reports 15 ports in 5 minutes (policy/misc/scan.zeek).",
                minimum=2,
            ),
        ),
        mitre=("T1046",),
        false_positives=(
            "An authorised vulnerability scanner.",
            "A client that tries a range of ports of a server that is down.",
        ),
        response="Find out who runs the source. From outside, see whether any of the ports answered; from inside, "
        "take the source for compromised until it is explained.",
    )
    needs: ClassVar = (Need("pair", 5),)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score every pair by its failed ports."""
        pairs = view.table(self.needs[0], "failed_ports", parameters.least("ports"))
        if pairs.is_empty():
            return NO_SCORES
        return pairs.select(
            "source_key",
            "target_key",
            pl.col("failed_ports").cast(pl.Float64).alias("value"),
            parameters.column("ports", pairs["source_key"]).alias("threshold"),
            pl.lit(None, pl.Float64).alias("baseline"),
            "source_internal",
            "target_internal",
            "first_seen",
            "last_seen",
            "ports",
            "rejected",
            "example_ports",
            "protocols",
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name both ends and the number of ports."""
        del view
        protocols = hit["protocols"]
        return Description(
            summary=f"{hit['source']} tried {hit['value']:.0f} ports of {hit['target']} in vain within five minutes",
            ports=tuple(hit["example_ports"]),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "failed_ports": int(hit["value"]),
                "tried_ports": hit["ports"],
                "rejected_records": hit["rejected"],
                "example_ports": hit["example_ports"],
                "protocols": protocols,
            },
        )


class HorizontalScan(Detector):
    """Distinct targets on whose same port a source failed, within five minutes."""

    card: ClassVar = Card(
        kind="horizontal_scan",
        title="Horizontal scan",
        sees="One host tries the same port of many hosts, and fails on them: refused, reset or not answered.",
        entity="source",
        severity="medium",
        severity_inside="high",
        parameters=(
            Parameter(
                name="targets",
                default=25,
                unit="distinct hosts",
                meaning="Failed targets on one port within five minutes from which on it is a scan.",
                reason="Zeek's scan policy reports 25 hosts in 5 minutes (policy/misc/scan.zeek).",
                minimum=2,
            ),
        ),
        mitre=("T1046", "T1018"),
        false_positives=(
            "An authorised vulnerability scanner or inventory.",
            "A client of a clustered service, all of whose members are down.",
        ),
        response="Find out who runs the source and what the port is for. From inside it is how worms and intruders "
        "spread: isolate the source until it is explained.",
    )
    needs: ClassVar = (Need("service", 5),)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score every source and port by its failed targets."""
        services = view.table(self.needs[0], "failed_targets", parameters.least("targets"))
        if services.is_empty():
            return NO_SCORES
        return services.select(
            "source_key",
            pl.lit(None, pl.UInt64).alias("target_key"),
            pl.col("failed_targets").cast(pl.Float64).alias("value"),
            parameters.column("targets", services["source_key"]).alias("threshold"),
            pl.lit(None, pl.Float64).alias("baseline"),
            "source_internal",
            "target_internal",
            "first_seen",
            "last_seen",
            "port",
            "protocol",
            "targets",
            "example_targets",
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name the source, the port and the number of targets."""
        port = f"port {hit['port']}" if hit["port"] else f"protocol {hit['protocol']}"
        return Description(
            summary=f"{hit['source']} tried {port} of {hit['value']:.0f} hosts in vain within five minutes",
            ports=(hit["port"],) if hit["port"] else (),
            protocol=hit["protocol"],
            evidence={
                "failed_targets": int(hit["value"]),
                "tried_targets": hit["targets"],
                "example_targets": sorted(view.addresses(hit["example_targets"])),
            },
        )
