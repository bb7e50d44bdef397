"""Rejected traffic: a host, a source, an interface or a network of which suddenly much more is refused than usual."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from detectors.contract import NO_SCORES, Card, Description, Detector, Need, Parameter, Parameters, View
from detectors.finding import NETWORK as THE_NETWORK
from detectors.reject_causes import causes
from detectors.statistics.refusal_sums import COLUMN, INTERFACE, KEY_OF, NETWORK, SOURCE, TARGET
from detectors.statistics.tables import EXAMPLES, FAST_PANES

_FLOORS: Final = {
    TARGET: "floor_records",
    SOURCE: "floor_source",
    INTERFACE: "floor_interface",
    NETWORK: "floor_network",
}
"""The parameter that is the floor of each level."""

_HOUR_WINDOWS: Final = 60
"""Baselines that rest on no more windows know the last hour only."""

_YOUNG: Final = 1.5
"""By how much further from the median they have to be: half an hour of bursts tells little of how they scatter."""

_PAIR: Final = ("source_key", "target_key")


class RejectedSpike(Detector):
    """Records refused within a minute at a host, of a source, at an interface or everywhere, against the past."""

    card: ClassVar = Card(
        kind="rejected_spike",
        title="Rejected-traffic spike",
        sees="Security groups or network ACLs refuse far more traffic than usual, and it is no scan: at a host, of a "
        "source, at an interface or in the whole network, whichever explains most of it most closely.",
        entity="target",
        severity="medium",
        severity_inside="medium",
        parameters=(
            Parameter(
                name="floor_records",
                default=30,
                unit="records",
                meaning="Records refused at a host within a minute below which nothing is reported of it.",
                reason="An address on the Internet is refused hundreds of times an hour, ten a minute, without "
                "anything being wrong; ten times that is.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="floor_source",
                default=60,
                unit="records",
                meaning="The same for records of one source, at any number of hosts.",
                reason="One a second: programs that try again after a refusal wait longer.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="floor_interface",
                default=60,
                unit="records",
                meaning="The same for records refused at one interface, whatever their ends.",
                reason="An interface with several addresses is refused more than each of them.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="floor_network",
                default=200,
                unit="records",
                meaning="The same for all records that are refused anywhere.",
                reason="Less than that is spread so thin that nobody need look at it within a minute.",
                minimum=1,
                threshold=True,
            ),
            Parameter(
                name="deviations",
                default=8,
                unit="robust standard deviations",
                meaning="How far above its median the minute must lie; half as much again where only the last hour is "
                "known.",
                reason="Ten times what is usual lies further away, from five refusals a minute on.",
                threshold=True,
            ),
            Parameter(
                name="dispersion",
                default=0.25,
                unit="part of the median",
                meaning="What a standard deviation has at least beside that of a Poisson process, as in a negative "
                "binomial one.",
                reason="Counts of refused records come in bursts, so that a Poisson process alone alerts too often.",
            ),
            Parameter(
                name="warm_panes",
                default=6,
                unit="panes",
                meaning="How many panes must be known before anything is held against what is usual.",
                reason="Sentinel asks for five; below that a median says little.",
                minimum=1,
            ),
            Parameter(
                name="cold_factor",
                default=5,
                unit="times the floor",
                meaning="What is reported until then.",
                reason="What is always refused, such as the checks of a locked-down host, is less; a flood is more.",
                minimum=1,
            ),
            Parameter(
                name="scan_ports",
                default=15,
                unit="distinct ports",
                meaning="Sources that were refused on so many ports of a host are left out there: that is a scan, told "
                "elsewhere.",
                reason="The same limit as vertical_scan.ports.",
                minimum=2,
            ),
            Parameter(
                name="scan_hosts",
                default=25,
                unit="distinct hosts",
                meaning="Sources that failed on so many hosts at a port are left out at that port: that is a sweep.",
                reason="The same limit as horizontal_scan.targets.",
                minimum=2,
            ),
            Parameter(
                name="scan_contacts",
                default=50,
                unit="pairs of host and port",
                meaning="Sources that failed on so many, each host and port at least twice on average, are left out.",
                reason="The same limit as horizontal_scan.contacts.",
                minimum=4,
            ),
            Parameter(
                name="scan_distributed",
                default=60,
                unit="distinct ports",
                meaning="Hosts where sources failed on so many, each on few, are scanned together: only ports with a "
                "quarter of the refusals count there.",
                reason="The same limit as vertical_scan.distributed_ports.",
                minimum=15,
            ),
            Parameter(
                name="guesses",
                default=120,
                unit="attempts",
                meaning="Sources that were refused so often at a login port of a host within half an hour are left "
                "out there: that is guessing.",
                reason="The same limit as brute_force.refused.",
                minimum=2,
            ),
        ),
        mitre=("T1498", "T1110"),
        false_positives=(
            "A client left behind by a deployment that closed a port.",
            "A health check of a balancer whose target was locked down.",
            "A port that was closed on purpose while clients still use it.",
        ),
        response="Look at the ports, the sources and the reason. A known client means a rule or a deployment went "
        "wrong; strangers mean a flood or a search for an opening.",
        version=2,
    )
    needs: ClassVar = (
        Need("refused", 1),
        Need("refusal", 1),
        Need("pair", FAST_PANES),
        Need("service", FAST_PANES),
        Need("scanner", FAST_PANES),
        Need("scanned", FAST_PANES),
        Need("logins", 35),
    )

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        """Score whoever was refused more than usual, each cause once."""
        least = min(map(parameters.least, _FLOORS.values()))
        summed = view.table(self.needs[0], "rejected", least)
        if summed.is_empty():
            return NO_SCORES
        limits = _limits(view, summed, parameters)
        if limits is None:
            return NO_SCORES
        if NETWORK in limits.filter(pl.col("rejected") >= pl.col("threshold"))["level"]:
            rows = view.table(self.needs[1])
        else:
            rows = view.table(self.needs[1], "most", least)
            limits = limits.filter(pl.col("level") != NETWORK)
        limits = _outside(view, rows, limits, parameters)
        found = causes(self._unexplained(rows, view, parameters), limits)
        return NO_SCORES if found.is_empty() else _scores(found)

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        """Name whom it is about, the count, what is usual, the ports, peers, reasons and times."""
        protocols = hit["protocols"]
        ports = [port for port in hit["main_ports"] if port]
        usual = {} if hit["baseline"] is None else {"usual_records": round(hit["baseline"], 1)}
        return Description(
            summary=_summary(hit),
            ports=tuple(sorted(ports)),
            protocol=protocols[0] if len(protocols) == 1 else None,
            evidence={
                "rejected_records": int(hit["value"]),
                "window_seconds": 60,
                **usual,
                "standard_deviation": round(hit["deviation"], 1),
                "sources": hit["sources"],
                "targets": hit["targets"],
                "ports": hit["ports"],
                "top_sources": _hosts(view, hit["top_sources"], hit["top_sources_rejected"]),
                "top_targets": _hosts(view, hit["top_targets"], hit["top_targets_rejected"]),
                "top_ports": [
                    {"port": port, "records": records}
                    for port, records in zip(hit["top_ports"], hit["top_ports_rejected"], strict=True)
                ],
                "reject_reasons": [
                    {"reason": reason or None, "records": records}
                    for reason, records in zip(hit["reasons"], hit["reasons_rejected"], strict=True)
                ],
                "examples": _examples(view, hit),
                "protocols": protocols,
            },
        )

    def _unexplained(self, rows: pl.DataFrame, view: View, parameters: Parameters) -> pl.DataFrame:
        """Leave out what scans and guessing made, which are told elsewhere."""
        _, _, pairs, services, scanners, scanned, logins = self.needs
        wide = _reaching(view.table(pairs, "failed_ports", parameters.least("scan_ports")), "scan_ports", parameters)
        swept = _reaching(
            view.table(services, "failed_targets", parameters.least("scan_hosts")), "scan_hosts", parameters
        )
        mixed = _reaching(
            view.table(scanners, "failed_contacts", parameters.least("scan_contacts")), "scan_contacts", parameters
        ).filter(
            pl.col("failed_contacts") >= 2 * pl.max_horizontal("failed_targets", "failed_ports"),
            pl.col("failed_targets") > 2,
        )
        guessed = _reaching(view.table(logins, "refused", parameters.least("guesses")), "guesses", parameters)
        together = _reaching(
            view.table(scanned, "failed_ports", parameters.least("scan_distributed")), "scan_distributed", parameters
        )
        left = (
            rows.join(wide, on=_PAIR, how="anti")
            .join(swept, on=["source_key", "port", "protocol"], how="anti")
            .join(mixed, on="source_key", how="anti")
            .join(guessed, on=[*_PAIR, "port"], how="anti")
        )
        if together.is_empty():
            return left
        of_port = 4 * pl.col("rejected").sum().over("target_key", "port") >= pl.col("rejected").sum().over("target_key")
        shared = pl.col("target_key").is_in(together["target_key"].implode())
        return left.filter(~shared | of_port)


_COUNTED: Final = {
    "scan_ports": ("failed_ports", "target_key"),
    "scan_hosts": ("failed_targets", "source_key"),
    "scan_contacts": ("failed_contacts", "source_key"),
    "scan_distributed": ("failed_ports", "target_key"),
    "guesses": ("refused", "target_key"),
}
"""What each limit is held against, and whose limit it is."""


def _reaching(table: pl.DataFrame, name: str, parameters: Parameters) -> pl.DataFrame:
    """Return the rows that reach a limit, which may be another for each entity."""
    counted, entity = _COUNTED[name]
    return table.filter(pl.col(counted) >= parameters.column(name, table[entity]))


def _limits(view: View, summed: pl.DataFrame, parameters: Parameters) -> pl.DataFrame | None:
    """Hold sums against what is usual: what `_held` returns, or None where nothing is unusual."""
    parts, unusual = [], False
    levels, rejected = summed["level"].to_numpy(), summed["rejected"].to_numpy()
    for level, floor in _FLOORS.items():
        # Most panes end here, so that nothing is asked of the baselines in them.
        rows = np.flatnonzero((levels == level) & (rejected >= parameters.least(floor)))
        if len(rows):
            own = summed[rows]
            held = _held(own.hstack(view.baseline(COLUMN[level], own["key"], 1)), floor, parameters)
            unusual |= bool((rejected[rows] >= held["threshold"].to_numpy()).any())
            parts.append(held)
    return pl.concat(parts) if unusual else None


def _held(rows: pl.DataFrame, floor: str, parameters: Parameters) -> pl.DataFrame:
    """Hold rows with `median`, `spread` and `windows` against them: columns of `OVER`, `internal` and `rejected`."""
    least, many, dispersion, warm, factor = (
        parameters.column(name, rows["key"]).to_numpy()
        for name in (floor, "deviations", "dispersion", "warm_panes", "cold_factor")
    )
    median, spread, windows = (rows[name].to_numpy() for name in ("median", "spread", "windows"))
    young = np.where(windows > _HOUR_WINDOWS, 1.0, _YOUNG)
    deviation = np.maximum(np.maximum(spread, np.sqrt(median + (dispersion * median) ** 2)), 1.0)
    cold = windows < warm
    threshold = np.where(cold, least * factor, np.maximum(least, median + young * many * deviation))
    return rows.select(
        "level",
        "key",
        "median",
        pl.Series("deviation", deviation),
        pl.Series("baseline", np.where(cold, np.nan, median)).fill_nan(None),
        pl.Series("threshold", threshold),
        "internal",
        "rejected",
    )


def _outside(view: View, rows: pl.DataFrame, limits: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """Hold outside hosts, which have no past, against what is usual at the hosts that they meet."""
    kept = [limits.filter(pl.col("internal"))]
    for level, other in ((TARGET, SOURCE), (SOURCE, TARGET)):
        strangers = limits.filter(~pl.col("internal") & (pl.col("level") == level))
        if strangers.is_empty():
            continue
        key, met = KEY_OF[level], KEY_OF[other]
        own = rows.filter(pl.col(key).is_in(strangers["key"].implode()))
        total = rows.group_by(met).agg(total=pl.col("rejected").sum())
        hosts = own[met].unique().sort()
        usual = view.baseline(COLUMN[other], hosts, 1).with_columns(hosts.alias(met))
        old = (pl.col("median") / pl.col("total")).clip(upper_bound=1)
        past = (
            own.join(usual, on=met)
            .join(total, on=met)
            .group_by(pl.col(key).alias("key"))
            .agg(
                median=(pl.col("rejected") * old).sum().round(3),
                spread=pl.lit(0.0),
                windows=pl.col("windows").min(),
            )
        )
        known = strangers.select("level", "key", "internal", "rejected").join(past, on="key")
        kept.append(_held(known, _FLOORS[level], parameters))
    return pl.concat(kept)


def _scores(found: pl.DataFrame) -> pl.DataFrame:
    level = pl.col("level")
    return found.with_columns(
        source_key=pl.when(level == SOURCE).then("key"),
        target_key=pl.when(level == TARGET).then("key"),
        entity=pl.when(level == INTERFACE).then("interface").when(level == NETWORK).then(pl.lit(THE_NETWORK)),
        reporter_key=pl.when(level == INTERFACE).then("reporter"),
    ).select(*NO_SCORES.columns, pl.exclude(*NO_SCORES.columns, "level", "key", "interface", "reporter"))


def _summary(hit: Mapping[str, Any]) -> str:
    usual = "" if hit["baseline"] is None else f", usually {hit['baseline']:.0f}"
    records = f"{hit['value']:.0f} records"
    sources, targets = _counted(hit["sources"], "source"), _counted(hit["targets"], "host")
    if hit["target"] is not None:
        what = f"{records} from {sources} were refused at {hit['target']}"
    elif hit["source"] is not None:
        what = f"{records} of {hit['source']} were refused at {targets}"
    elif hit["entity"] == THE_NETWORK:
        what = f"{records} from {sources} to {targets} were refused in the {THE_NETWORK}"
    else:
        what = f"{records} from {sources} to {targets} were refused at interface {hit['entity']}"
    return f"{what} within a minute{usual}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _hosts(view: View, keys: Sequence[int], rejected: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"address": name, "records": records}
        for key, records in zip(keys, rejected, strict=True)
        for name in view.addresses([key])
    ][:EXAMPLES]


def _examples(view: View, hit: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = ("example_sources", "example_targets", "example_ports", "example_records", "example_first", "example_last")
    return [
        {"source": source, "target": target, "port": port, "records": records, "first_seen": first, "last_seen": last}
        for from_key, to_key, port, records, first, last in zip(*(hit[name] for name in names), strict=True)
        for source in view.addresses([from_key])
        for target in view.addresses([to_key])
    ]
