"""Detectors so sharp that a handful of records makes each of them speak, and one that takes everything down."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import polars as pl

from detectors.contract import NO_SCORES, Description, Detector, Need, Parameters, View
from detectors.parameters import HostAddresses, Override, parameters_of
from detectors.scans import VerticalScan
from detectors.statistics import login_windows
from detectors.statistics.refusals import TABLES as REFUSAL_TABLES
from detectors.statistics.rollup import TABLES as ROLLED_UP
from detectors.statistics.rollup import TIERS
from detectors.statistics.window import TABLES

# So low that a handful of records makes every detector speak.
PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "vertical_scan": {"ports": 2},
    "horizontal_scan": {"targets": 2},
    "exfiltration_burst": {"floor_bytes": 50.0, "floor_hour_bytes": 1e5, "floor_day_bytes": 1e5, "part_bytes": 1}
    | {"asymmetry": 0, "cold_bytes": 1, "deviations": 0, "known_factor": 1, "served_factor": 1.0},
    "slow_scan": {"inside_hour": 1, "inside_day": 2, "ports_hour": 1, "hosts_hour": 1},
    "brute_force": {"burst": 2, "steady": 2, "slow": 2, "slow_hours": 1, "elsewhere_factor": 1, "targets": 2}
    | {"sources": 2, "refused": 2, "spread": 9, "spread_elsewhere": 9, "share": 0.1, "known_seconds": 0},
    "rejected_spike": {"floor_records": 2.0, "floor_source": 2, "floor_interface": 2, "floor_network": 3}
    | {"deviations": 0, "cold_factor": 1, "scan_ports": 3},
}

Told = dict[tuple[int, Need], list[tuple[Any, ...]]]
"""Rows of tables by pane and need."""


class Tells(Detector):
    """Takes down every table of every pane that closes."""

    card: ClassVar = replace(VerticalScan.card, kind="tells")
    needs: ClassVar = tuple(Need(table, panes) for table in [*TABLES, *REFUSAL_TABLES] for panes in (1, 5)) + tuple(
        Need(table, panes)
        for table in [*sorted(ROLLED_UP), login_windows.TABLE]
        for panes in (*(tier.kept_panes for tier in TIERS), *[5] * (table == login_windows.TABLE))
    )

    def __init__(self, tables: Told, without: str | None = None) -> None:
        self._tables = tables
        self._without = without

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        del parameters
        for need in (need for need in self.needs if need.table != self._without):
            rows = view.table(need).rows()
            self._tables[view.pane, need] = sorted(rows, key=str)
        return NO_SCORES

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        raise NotImplementedError


def sharpened(known: Callable[[pl.Series], pl.DataFrame], kinds: Mapping[str, Detector]) -> Mapping[str, Parameters]:
    """Return parameters that are so low, and set for hosts, who are looked up as `known` says."""
    addresses, overrides = HostAddresses(known), [Override(("0.0.0.0/0", "::/0"), PARAMETERS)]
    return {kind: parameters_of(each.card, {}, overrides, addresses) for kind, each in kinds.items()}
