"""Slow scans: few ports or hosts at a time, over an hour or a day."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
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
from detectors.scans import per_minute, unscattered
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.tables import EXAMPLES

Float64Array = npt.NDArray[np.float64]

_HOUR: Final = 60
_DAY: Final = 1440

_WINDOWS: Final[Mapping[int, tuple[str, int]]] = {_HOUR: ("hour", 1800), _DAY: ("day", 3 * 3600)}
"""By panes of a window: what parameters call it, and for how many seconds after its last attempt a scan goes on."""

_OUTBOUND_FACTOR: Final = 2
"""How many times as many it takes where an own source tries outside hosts."""


class SlowScan(Detector):
    """Distinct failed ports of a target, or failed targets on a port, within an hour and within a day."""

    card: ClassVar = Card(
        kind="slow_scan",
        title="Slow scan",
        sees="One host tries ever new ports of another, or the same port of ever new hosts, so slowly that six "
        "minutes never show enough of it. What is fast enough for the other scan detectors is left to them.",
        entity="source",
        severity="low",
        severity_inside="medium",
        parameters=(
            Parameter(
                name="inside_hour",
                default=10,
                unit="distinct ports or hosts",
                meaning="Failed ports of a target, or failed targets on a port, within an hour from which on an own "
                "source scans own hosts; twice as many where it tries outside ones.",
                reason="Own hosts seldom fail: in ordinary traffic they met up to 5 an hour, nearly all outside.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="inside_day",
                default=30,
                unit="distinct ports or hosts",
                meaning="The same within a day.",
                reason="Three hours at ten an hour.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="ports_hour",
                default=20,
                unit="distinct ports",
                meaning="Failed ports of a target within an hour from which on an outside source scans.",
                reason="The busiest stranger tried 18 ports of a public address in an hour of a day.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="ports_day",
                default=100,
                unit="distinct ports",
                meaning="Failed ports of a target within a day from which on an outside source scans.",
                reason="Ten hours at ten an hour; the busiest stranger tried 97 ports of a public address in a day.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="hosts_hour",
                default=25,
                unit="distinct hosts",
                meaning="Failed targets on a port within an hour from which on an outside source scans.",
                reason="Microsoft Sentinel reports 20 an hour; strangers that knock at every public address come near.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="hosts_day",
                default=240,
                unit="distinct hosts",
                meaning="Failed targets on a port within a day from which on an outside source scans.",
                reason="Ten an hour; strangers that knock at every public address do so all day.",
                minimum=3,
                threshold=True,
            ),
            Parameter(
                name="fast_ports",
                default=15,
                unit="distinct ports",
                meaning="Who failed on so many ports of a target within six minutes is left out.",
                reason="The same limit as vertical_scan.ports.",
                minimum=2,
            ),
            Parameter(
                name="fast_targets",
                default=25,
                unit="distinct hosts",
                meaning="Who failed on so many targets on the port within six minutes is left out, and who reached "
                "the limit of the hour in them.",
                reason="The same limit as horizontal_scan.targets.",
                minimum=2,
            ),
            Parameter(
                name="block_targets",
                default=3,
                unit="distinct hosts",
                meaning="A source that scans so many targets slowly is told of once, and one that did so fast not "
                "at all.",
                reason="The same limit as horizontal_scan.block_targets.",
                minimum=2,
            ),
        ),
        mitre=("T1046", "T1595.001"),
        false_positives=(
            "An authorised inventory that takes its time.",
            "A client that goes on asking the members of a dead cluster.",
        ),
        response="Find out who runs the source. Who scans slowly wants not to be seen: from inside, take the source "
        "for compromised until it is explained.",
        version=2,
    )
    needs: ClassVar = tuple(Need(table, panes) for panes in _WINDOWS for table in ("pair", "service", "scanner"))

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score pairs and services over both windows, and keep the most telling row of each source and target."""
        parts = [part for panes in _WINDOWS for part in self._of_window(view, parameters, panes) if len(part)]
        if not parts:
            return NO_SCORES
        rows = pl.concat([_NONE_FOUND, *(part.select(_COLUMNS.names()) for part in parts)])
        excess = pl.col("value") / pl.col("threshold")
        return rows.sort(
            excess,
            "value",
            "window_panes",
            "port",
            pl.col("protocols").list.first(),
            descending=[True, True, False, False, False],
            nulls_last=True,
        ).unique(["source_key", "target_key"], keep="first", maintain_order=True)

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name the source, what it tried, and how slowly."""
        within, protocols, ports = _SPELLED[hit["window_panes"]], hit["protocols"], hit["example_ports"]
        if hit["target"] is not None:
            what = f"{hit['value']:.0f} ports of {hit['target']}"
        elif hit["port"] is None:
            what = f"many ports of {hit['value']:.0f} hosts"
        else:
            what = f"{f'port {ports[0]}' if ports else f'protocol {protocols[0]}'} of {hit['value']:.0f} hosts"
        return Description(
            summary=f"{hit['source']} tried {what} in vain within {within}",
            ports=tuple(ports),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "failed_ports" if hit["target"] is not None else "failed_targets": int(hit["value"]),
                "most_in_six_minutes": hit["densest"],
                "rejected_records": hit["rejected"],
                "attempts_per_minute": per_minute(hit),
                "example_ports": ports,
                "example_targets": sorted(view.addresses(hit["example_targets"])),
                "protocols": protocols,
            },
        )

    def _of_window(self, view: View, parameters: Parameters, panes: int) -> list[pl.DataFrame]:
        """Score one window: pairs, blocks of them, and services."""
        name, goes_on = _WINDOWS[panes]
        inside, ports, hosts = f"inside_{name}", f"ports_{name}", f"hosts_{name}"
        pair, service, scanner = (need for need in self.needs if need.panes == panes)
        pairs = view.table(pair, "failed_ports", min(map(parameters.least, (inside, ports, "fast_ports"))))
        services = view.table(service, "failed_targets", min(map(parameters.least, (inside, hosts))))
        if pairs.is_empty() and services.is_empty():
            return []
        since = view.pane + PANE_SECONDS - goes_on
        width = pl.lit(panes, pl.Int64).alias("window_panes")
        found = []
        pairs_of = _Limits(pairs, parameters, inside, ports, own="target_internal")
        slow = pairs_of.reaching("failed_ports", since, pairs_of.column("fast_ports"))
        if len(slow):
            limit = parameters.column("block_targets", slow["source_key"])
            slow = slow.with_columns(
                limit,
                NO_BASELINE,
                width,
                value=pl.col("failed_ports").cast(pl.Float64),
                port=pl.lit(None, pl.UInt16),
                example_targets=pl.concat_list("target_key"),
            )
            several = pl.len().over("source_key") >= pl.col("block_targets")
            found += [slow.filter(~several), _blocks(slow.filter(several)).with_columns(width)]
        services_of = _Limits(services, parameters, inside, hosts, own="own")
        fast = np.minimum(services_of.column("fast_targets"), services_of.limits("inside_hour", "fast_targets"))
        swept = services_of.reaching("failed_targets", since, fast)
        if len(swept):
            swept = unscattered(swept, view, scanner)
        if len(swept):
            found.append(
                swept.join(_quick(pairs, parameters), on="source_key", how="anti").with_columns(
                    NO_BASELINE,
                    width,
                    value=pl.col("failed_targets").cast(pl.Float64),
                    target_key=pl.lit(None, pl.UInt64),
                    example_ports=pl.concat_list("port").list.eval(pl.element().filter(pl.element() > 0)),
                    protocols=pl.concat_list("protocol"),
                )
            )
        return found


class _Limits:
    """What rows of a window are held against. Arrays, as most rows are those of fast scans, and are left out.

    Parameters
    ----------
    rows, parameters
        The rows, and the parameters of their sources.
    inside, outside
        Names of the parameters that limit own sources and outside ones.
    own
        Column that says whether an own source tried own hosts.
    """

    def __init__(self, rows: pl.DataFrame, parameters: Parameters, inside: str, outside: str, *, own: str) -> None:
        self._rows, self._parameters = rows, parameters
        self._own = own
        self.threshold = self.limits(inside, outside)

    def column(self, name: str) -> Float64Array:
        """Return a parameter of each row's source, shape (rows,)."""
        return self._parameters.column(name, self._rows["source_key"]).to_numpy()

    def limits(self, inside: str, outside: str) -> Float64Array:
        """Return the limit of each row: that of own sources, more of it among outside hosts, or that of others."""
        among = np.where(self._rows[self._own].to_numpy(), 1, _OUTBOUND_FACTOR) * self.column(inside)
        return np.where(self._rows["source_internal"].to_numpy(), among, self.column(outside))

    def reaching(self, column: str, since: int, fast: Float64Array) -> pl.DataFrame:
        """Return the rows where a column reaches its threshold slowly, and that go on, with their `threshold`."""
        rows = self._rows
        kept = (rows[column].to_numpy() >= self.threshold) & (rows["densest"].to_numpy() < fast)
        kept &= rows["last_seen"].to_numpy() >= since
        if not kept.any():
            return rows.clear()
        return rows.with_columns(pl.Series("threshold", self.threshold)).filter(pl.Series(kept))


def _quick(pairs: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Return the pairs of sources that scanned a block of hosts fast."""
    limits = (parameters.column(name, pairs["source_key"]) for name in ("fast_ports", "block_targets"))
    fast = pairs.with_columns(limits).filter(pl.col("densest") >= pl.col("fast_ports"))
    return fast.filter(pl.len().over("source_key") >= pl.col("block_targets"))


def _blocks(pairs: pl.DataFrame) -> pl.DataFrame:
    """Bring the pairs of sources that scan several targets together, one row per source."""
    return pairs.group_by("source_key").agg(
        pl.col("source_internal", "target_internal").max(),
        NO_BASELINE,
        target_key=pl.lit(None, pl.UInt64),
        value=pl.len().cast(pl.Float64),
        threshold=pl.col("block_targets").min(),
        first_seen=pl.col("first_seen").min(),
        last_seen=pl.col("last_seen").max(),
        port=pl.lit(None, pl.UInt16),
        densest=pl.col("densest").max(),
        rejected=pl.col("rejected").sum(),
        attempts=pl.col("attempts").sum(),
        example_ports=pl.col("example_ports").explode().unique().bottom_k(EXAMPLES).sort(),
        example_targets=pl.col("target_key").bottom_k(EXAMPLES).sort(),
        protocols=pl.col("protocols").explode().unique().sort(),
    )


_SPELLED: Final = {_HOUR: "an hour", _DAY: "a day"}


_COLUMNS: Final = pl.Schema(
    {
        **SCORES,
        "window_panes": pl.Int64(),
        "port": pl.UInt16(),
        "densest": pl.Int64(),
        "rejected": pl.Int64(),
        "attempts": pl.Int64(),
        "example_ports": pl.List(pl.UInt16()),
        "example_targets": pl.List(pl.UInt64()),
        "protocols": pl.List(pl.UInt8()),
    }
)

_NONE_FOUND: Final = _COLUMNS.to_frame()
