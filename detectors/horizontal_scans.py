"""Horizontal scans: one port of many hosts, few first contacts that nearly all fail, or many ports of many hosts."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import polars as pl

from detectors.contract import (
    NO_BASELINE,
    NO_SCORES,
    SCORES,
    Card,
    Description,
    Detector,
    Need,
    Parameter,
    Parameters,
    View,
)
from detectors.scans import per_minute, unforwarded, unscattered
from detectors.statistics.tables import EXAMPLES, FAST_PANES

_DENSE: Final = 2
"""How often each host and each port must come up on average: who looks for peers tries each host on one port."""


class HorizontalScan(Detector):
    """Distinct targets on which a source failed within six minutes."""

    card: ClassVar = Card(
        kind="horizontal_scan",
        title="Horizontal scan",
        sees="One host tries the same port of many hosts, or many ports of several hosts (a block scan, whose ports "
        "the evidence lists), and fails on them: refused, reset or not answered. Own hosts are found out sooner, by a "
        "sequential test of their first contacts.",
        entity="source",
        severity="medium",
        severity_inside="high",
        parameters=(
            Parameter(
                name="targets",
                default=25,
                unit="distinct hosts",
                meaning="Failed targets on one port within six minutes from which on it is a scan.",
                reason="Zeek's scan policy reports 25 hosts in 5 minutes (policy/misc/scan.zeek); six panes hold them.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="answered_per_failed",
                default=4,
                unit="hosts that answered per host that failed",
                meaning="Who finds more answers on the port than that is busy, and no scanner.",
                reason="The sequential test's hypothesis: first contacts of ordinary hosts succeed four times in five.",
                minimum=1,
            ),
            Parameter(
                name="net_misses",
                default=4,
                unit="distinct hosts",
                meaning="By how much failed own hosts must outnumber those that answered on the port, for an own "
                "source. Strangers are refused everywhere all day, so for outside sources only `targets` counts.",
                reason="Threshold random walk with theta0 = 0.8, theta1 = 0.2, alpha = 0.01 and beta = 0.99 (rwscan).",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="net_misses_outbound",
                default=9,
                unit="distinct hosts",
                meaning="The same where an own source tries outside hosts.",
                reason="The same test with alpha = 0.00001, as in VERMONT: dead peers and servers are common outside.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="block_targets",
                default=3,
                unit="distinct hosts",
                meaning="Targets of one source, each with block_ports failed ports, that make a block scan.",
                reason="Two targets are two vertical scans; more are one story.",
                minimum=2,
                threshold=True,
            ),
            Parameter(
                name="block_ports",
                default=15,
                unit="distinct ports",
                meaning="Failed ports of a target within six minutes from which on it counts for a block scan.",
                reason="The same limit as vertical_scan.ports.",
                minimum=2,
            ),
            Parameter(
                name="contacts",
                default=50,
                unit="pairs of host and port",
                meaning="Failed pairs within six minutes that make a scan mixed over hosts and ports, where each "
                "host and each port comes up twice on average.",
                reason="The number of ports at which NEMEA, Sentinel and Elastic speak of a scan.",
                minimum=4,
                threshold=True,
            ),
        ),
        mitre=("T1046", "T1018"),
        false_positives=(
            "An authorised vulnerability scanner or inventory.",
            "A client of a clustered service, or a load balancer, all of whose members are down.",
            "A client of a peer-to-peer network all of whose peers use one port.",
        ),
        response="Find out who runs the source and what the port is for. From inside it is how worms and intruders "
        "spread: isolate the source until it is explained.",
        version=4,
    )
    needs: ClassVar = (Need("service", FAST_PANES), Need("pair", FAST_PANES), Need("scanner", FAST_PANES))

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score sources by failed targets: those of a port, of a block, or of hosts and ports mixed."""
        parts = [self._sweeps(view, parameters), self._mixed(view, parameters)]
        sweeps, mixed = (part.filter(pl.col("value") >= pl.col("threshold")) if len(part) else part for part in parts)
        if len(sweeps):
            sweeps = unforwarded(unscattered(sweeps, view, self.needs[2]), view, "port", "protocol")
        found = [part.select(_COLUMNS.names()) for part in (sweeps, mixed) if len(part)]
        if not found:
            return NO_SCORES
        rows = pl.concat([_NONE_FOUND, *found])
        if rows.is_empty():
            return NO_SCORES
        # One source is one scan, told by what reached most hosts; the others add their ports.
        ports = pl.col("example_ports").explode().unique().bottom_k(EXAMPLES).sort()
        return (
            rows.sort("value", "rule", "port", pl.col("protocols").list.first(), descending=[True, False, False, False])
            .with_columns(all_ports=ports.implode().over("source_key"))
            .unique("source_key", keep="first", maintain_order=True)
        )

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name the source, the port or the ports, and the number of targets."""
        protocols, ports = hit["protocols"], [port for port in hit["all_ports"] if port]
        if hit["rule"] == _SWEEP:
            what = f"port {hit['port']}" if hit["port"] else f"protocol {protocols[0]}"
        else:
            what = f"{hit['failed_ports']} ports"
        return Description(
            summary=f"{hit['source']} tried {what} of {hit['value']:.0f} hosts in vain within six minutes",
            ports=tuple(ports),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "failed_targets": int(hit["value"]),
                "answered_targets": hit["answered_targets"],
                "tried_targets": hit["targets"],
                "failed_ports": hit["failed_ports"],
                "rejected_records": hit["rejected"],
                "attempts_per_minute": per_minute(hit),
                "example_ports": ports,
                "example_targets": sorted(view.addresses(hit["example_targets"])),
                "protocols": protocols,
            },
        )

    def _sweeps(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score every source and port, by distinct targets and by a sequential test."""
        misses = min(map(parameters.least, ("targets", "net_misses", "net_misses_outbound")))
        tables = (
            view.table(self.needs[0], "own_misses", misses),
            view.table(self.needs[0], "failed_targets", parameters.least("targets")).filter(~pl.col("source_internal")),
        )
        if all(table.is_empty() for table in tables):
            return tables[0]
        services = pl.concat(tables)
        keys = services["source_key"]
        value, answered = pl.col("failed_targets").cast(pl.Float64), pl.col("answered_targets")
        floor = pl.max_horizontal("floor", answered / pl.col("answered_per_failed"))
        walk = answered + pl.when("own").then("net_misses").otherwise("net_misses_outbound")
        tested = pl.col("source_internal") & (value < floor)
        return services.with_columns(
            parameters.column("targets", keys).alias("floor"),
            parameters.column("answered_per_failed", keys),
            parameters.column("net_misses", keys),
            parameters.column("net_misses_outbound", keys),
        ).with_columns(
            _NO_TARGET,
            value.alias("value"),
            pl.when(tested).then(pl.min_horizontal(floor, walk)).otherwise(floor).cast(pl.Float64).alias("threshold"),
            NO_BASELINE,
            rule=pl.lit(_SWEEP),
            failed_ports=pl.lit(1, pl.Int64),
            example_ports=pl.concat_list("port"),
            protocols=pl.concat_list("protocol"),
        )

    def _mixed(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score sources by targets of which each lost many ports, and by pairs of host and port."""
        least = min(parameters.least("contacts"), parameters.least("block_ports") * parameters.least("block_targets"))
        scanners = view.table(self.needs[2], "failed_contacts", least)
        if scanners.is_empty():
            return scanners
        pairs = view.table(self.needs[1], "failed_ports", parameters.least("block_ports"))
        whole = pairs.filter(pl.col("failed_ports") >= parameters.column("block_ports", pairs["source_key"]))
        counted = scanners.with_columns(
            parameters.column("block_targets", scanners["source_key"]),
            parameters.column("contacts", scanners["source_key"]),
        ).join(whole.group_by("source_key").agg(whole=pl.len()), on="source_key", how="left")
        block = pl.col("whole").fill_null(0) >= pl.col("block_targets")
        dense = pl.col("failed_contacts") >= _DENSE * pl.max_horizontal("failed_targets", "failed_ports")
        several = pl.col("failed_targets") >= pl.col("block_targets")
        each = pl.col("failed_contacts") / pl.col("failed_targets")
        return counted.filter(block | (dense & several)).with_columns(
            _NO_TARGET,
            pl.when(block).then("whole").otherwise("failed_targets").cast(pl.Float64).alias("value"),
            pl.when(block).then("block_targets").otherwise(pl.col("contacts") / each).alias("threshold"),
            NO_BASELINE,
            rule=pl.lit(_MIXED),
            port=pl.lit(0, pl.UInt16),
            targets=pl.col("failed_targets"),
            answered_targets=pl.lit(None, pl.Int64),
        )


_SWEEP: Final = "sweep"
_MIXED: Final = "mixed"

_NO_TARGET: Final = pl.lit(None, pl.UInt64).alias("target_key")

_COLUMNS: Final = pl.Schema(
    {
        **SCORES,
        "rule": pl.String(),
        "port": pl.UInt16(),
        "failed_ports": pl.Int64(),
        "targets": pl.Int64(),
        "answered_targets": pl.Int64(),
        "rejected": pl.Int64(),
        "attempts": pl.Int64(),
        "example_ports": pl.List(pl.UInt16()),
        "example_targets": pl.List(pl.UInt64()),
        "protocols": pl.List(pl.UInt8()),
    }
)

_NONE_FOUND: Final = _COLUMNS.to_frame()
