"""One dashboard of Grafana, and how it is written."""  # noqa: INP001 - a folder of pages, not a package

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal

_WIDTH: Final = 24
_DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}

Unit = Literal["short", "s", "bytes", "Bps", "percentunit", "reqps", "none"]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes
    ----------
    title, description
        What people read.
    queries
        In PromQL, each with the name of its series: labels in double braces.
    unit
        Of the values, as Grafana calls it.
    kind
        `stat` shows the last value, `timeseries` all of them.
    stacked
        Whether series are parts of a whole.
    """

    title: str
    description: str
    queries: Sequence[tuple[str, str]]
    unit: Unit = "short"
    kind: Literal["stat", "timeseries"] = "timeseries"
    stacked: bool = False


def stat(title: str, description: str, query: str, *, unit: Unit = "short", legend: str = "") -> Panel:
    """Make a panel that shows one number."""
    return Panel(title, description, [(query, legend)], unit, "stat")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: rows of panels of one height, which share the width."""

    uid: str
    title: str
    rows: Sequence[tuple[int, Sequence[Panel]]]


def rate(name: str, by: str = "", selector: str = "") -> str:
    """Ask for the sum of what a counter grew by, a second."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({name}{selector}[$__rate_interval]))"


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> Mapping[str, Any]:
    if panel.kind == "stat":
        custom: Mapping[str, Any] = {}
        options: Mapping[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"}
    else:
        stacking = {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}}
        custom = {"custom": stacking if panel.stacked else {"fillOpacity": 0}}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **custom}, "overrides": []},
        "options": options,
        "targets": [
            {"refId": letter, "datasource": _DATASOURCE, "expr": query, "legendFormat": legend}
            for letter, (query, legend) in zip("ABCDEF", panel.queries, strict=False)
        ],
    }


def written(dashboard: Dashboard) -> str:
    """Write a dashboard as Grafana reads it."""
    panels: list[Mapping[str, Any]] = []
    numbers, top = count(1), 0
    for height, row in dashboard.rows:
        width = _WIDTH // len(row)
        for column, panel in enumerate(row):
            place = {"x": column * width, "y": top, "w": width, "h": height}
            panels.append(_panel(panel, next(numbers), place))
        top += height
    document = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["flowhawk"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Flowhawk", "tags": ["flowhawk"], "asDropdown": False}],
        "panels": panels,
    }
    return json.dumps(document, indent=2) + "\n"
