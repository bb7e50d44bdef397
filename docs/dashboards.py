"""The dashboards of Grafana, as code: `make docs` writes config/grafana/dashboards from this."""  # noqa: INP001 - a folder of pages, not a package

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final, Literal

_WIDTH: Final = 24
_ALERTMANAGER: Final = "flowhawk_alertmanager_latency_seconds"
_REJECTED: Final = '{action="REJECT"}'
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


def _rate(name: str, by: str = "", selector: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({name}{selector}[$__rate_interval]))"


_PIPELINE: Final = Dashboard(
    "flowhawk-pipeline",
    "Flowhawk: health of the pipeline",
    [
        (
            4,
            [
                stat(
                    "Workers up",
                    "Workers that answer the scrape, by version.",
                    "count by (version) (flowhawk_build_info)",
                    legend="{{version}}",
                ),
                stat(
                    "Behind",
                    "How late the newest record that was processed is.",
                    "time() - min(flowhawk_caught_up_timestamp_seconds)",
                    unit="s",
                ),
                stat("Waiting", "Messages that are not processed yet.", "sum(flowhawk_lag_messages)"),
                stat(
                    "Since the last batch",
                    "Of all workers.",
                    "time() - max(flowhawk_last_batch_timestamp_seconds > 0)",
                    unit="s",
                ),
                stat(
                    "Since the last checkpoint",
                    "What a worker that takes over reads again.",
                    "time() - max(flowhawk_checkpoint_timestamp_seconds > 0)",
                    unit="s",
                ),
                stat(
                    "Settings",
                    "1 where the last reload went well.",
                    "min(flowhawk_config_last_reload_successful)",
                ),
            ],
        ),
        (
            8,
            [
                Panel(
                    "Records per second",
                    "Those that were accepted.",
                    [("rate(flowhawk_records_total[$__rate_interval])", "{{instance}}")],
                ),
                Panel(
                    "Not counted, per second",
                    "Refused lines are on the dead-letter topic; what is late came after its time.",
                    [(_rate("flowhawk_refused_total"), "refused"), (_rate("flowhawk_late_total"), "late")],
                ),
                Panel(
                    "Messages that wait",
                    "By partition.",
                    [("flowhawk_lag_messages", "{{partition}}")],
                ),
            ],
        ),
        (
            8,
            [
                Panel(
                    "How busy each stage is",
                    "Part of the time. Decoding goes on beside the others, whose sum is 1 at most.",
                    [(_rate("flowhawk_stage_seconds_sum", "stage"), "{{stage}}")],
                    "percentunit",
                ),
                Panel(
                    "Time of a batch",
                    "Half of the batches, and 99 of 100, take no longer.",
                    [
                        (f"histogram_quantile(0.5, {_rate('flowhawk_batch_seconds_bucket', 'le')})", "half"),
                        (f"histogram_quantile(0.99, {_rate('flowhawk_batch_seconds_bucket', 'le')})", "99 of 100"),
                    ],
                    "s",
                ),
                Panel(
                    "Time of detectors",
                    "Part of the time that each judges.",
                    [(_rate("flowhawk_detector_seconds_total", "kind"), "{{kind}}")],
                    "percentunit",
                    stacked=True,
                ),
            ],
        ),
        (
            8,
            [
                Panel(
                    "Behind the clock",
                    "Event time is behind by the lateness that is allowed, and by what delivery takes.",
                    [
                        ("time() - max(flowhawk_watermark_timestamp_seconds > 0)", "event time"),
                        ("time() - min(flowhawk_caught_up_timestamp_seconds)", "processing"),
                    ],
                    "s",
                ),
                Panel(
                    "Heartbeats",
                    "How long ago each part showed that it lives, and the last heartbeat came through to a sink.",
                    [
                        ("time() - (flowhawk_heartbeat_timestamp_seconds > 0)", "{{instance}} {{stage}}"),
                        ("time() - (flowhawk_sink_heartbeat_timestamp_seconds > 0)", "{{instance}} sink {{sink}}"),
                        (
                            "time() - (max by (sink) (flowhawk_sink_arrived_heartbeat_timestamp_seconds) > 0)",
                            "all the way to {{sink}}",
                        ),
                    ],
                    "s",
                ),
                Panel(
                    "Flows that the cloud left out",
                    "Rows a second that say so.",
                    [(_rate("flowhawk_coverage_total", "log_status"), "{{log_status}}")],
                ),
            ],
        ),
        (
            8,
            [
                Panel(
                    "State in memory",
                    "By part.",
                    [("sum by (part) (flowhawk_state_bytes)", "{{part}}")],
                    "bytes",
                    stacked=True,
                ),
                Panel(
                    "Memory and hosts",
                    "Of each worker.",
                    [("process_resident_memory_bytes and on (instance, job) flowhawk_build_info", "{{instance}}")],
                    "bytes",
                ),
                Panel(
                    "Rows that were let go",
                    "A second, by table: what went beyond its caps.",
                    [(_rate("flowhawk_evicted_total", "table"), "{{table}}")],
                ),
            ],
        ),
        (
            8,
            [
                Panel(
                    "Sinks: findings that wait",
                    "By sink.",
                    [("sum by (sink) (flowhawk_sink_lag)", "{{sink}}")],
                ),
                Panel(
                    "Sinks: failures a minute",
                    "By sink; what is hopeless is passed over.",
                    [
                        (f"60 * {_rate('flowhawk_sink_failures_total', 'sink')}", "{{sink}} failed"),
                        (f"60 * {_rate('flowhawk_sink_hopeless_total', 'sink')}", "{{sink}} refused for good"),
                    ],
                ),
                Panel(
                    "Sinks: time of a delivery",
                    "99 of 100 take no longer; a request to an Alertmanager counts for itself.",
                    [
                        (
                            f"histogram_quantile(0.99, {_rate('flowhawk_sink_delivery_seconds_bucket', 'le, sink')})",
                            "{{sink}}",
                        ),
                        (
                            f"histogram_quantile(0.99, {_rate(f'{_ALERTMANAGER}_bucket', 'le, alertmanager')})",
                            "{{alertmanager}}",
                        ),
                    ],
                    "s",
                ),
                Panel(
                    "Rebalances and restores",
                    "An hour; restoring takes so many seconds.",
                    [
                        ("sum(increase(flowhawk_rebalance_seconds_count[1h]))", "rebalances"),
                        ("max(flowhawk_restore_seconds)", "seconds to restore"),
                    ],
                ),
            ],
        ),
    ],
)

_SECURITY: Final = Dashboard(
    "flowhawk-security",
    "Flowhawk: security overview",
    [
        (
            4,
            [
                stat("Open findings", "Now.", "sum(flowhawk_open_findings)"),
                stat("Critical", "Open now.", 'sum(flowhawk_open_findings{severity="critical"})'),
                stat("High", "Open now.", 'sum(flowhawk_open_findings{severity="high"})'),
                stat(
                    "Raised",
                    "In the time shown.",
                    "sum(increase(flowhawk_findings_total[$__range]))",
                ),
                stat(
                    "Suppressed",
                    "In the time shown.",
                    "sum(increase(flowhawk_suppressed_total[$__range]))",
                ),
                stat("Hosts", "That are known now.", "sum(flowhawk_hosts)"),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Findings a minute, by kind",
                    "As they are raised.",
                    [(f"60 * {_rate('flowhawk_findings_total', 'kind')} > 0", "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Findings a minute, by severity",
                    "As they are raised.",
                    [(f"60 * {_rate('flowhawk_findings_total', 'severity')} > 0", "{{severity}}")],
                    stacked=True,
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Open, by kind and severity",
                    "What goes on.",
                    [("sum by (kind, severity) (flowhawk_open_findings) > 0", "{{kind}}, {{severity}}")],
                ),
                Panel(
                    "Refused traffic, by direction",
                    "Records a second.",
                    [(_rate("flowhawk_traffic_records_total", "direction", _REJECTED), "{{direction}}")],
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Told early",
                    "A minute: provisional findings, and what became of them.",
                    [(f"60 * {_rate('flowhawk_early_findings_total', 'status')}", "{{status}}")],
                ),
                Panel(
                    "Suppressed a minute",
                    "By the name of the suppression: one that matches nothing any more can go.",
                    [(f"60 * {_rate('flowhawk_suppressed_total', 'suppression')} > 0", "{{suppression}}")],
                ),
                Panel(
                    "Detectors that only observe",
                    "Findings a minute that nobody is told, by kind.",
                    [(f"60 * {_rate('flowhawk_observed_findings_total', 'kind')} > 0", "{{kind}}")],
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Degraded detectors",
                    "Times a minute.",
                    [(f"60 * {_rate('flowhawk_detector_degraded_total', 'kind, reason')} > 0", "{{kind}}, {{reason}}")],
                ),
                Panel(
                    "Alerts",
                    "Open in Alertmanager, and waiting to be sent.",
                    [("sum(flowhawk_alerts_open)", "open"), ("sum(flowhawk_alerts_waiting)", "waiting")],
                ),
            ],
        ),
    ],
)


def _top(family: str, label: str) -> list[tuple[str, str]]:
    return [(f"topk(10, {_rate(f'flowhawk_{family}_bytes_total', label)} > 0)", f"{{{{{label}}}}}")]


_TRAFFIC: Final = Dashboard(
    "flowhawk-traffic",
    "Flowhawk: traffic",
    [
        (
            4,
            [
                stat("Volume", "Bytes a second.", _rate("flowhawk_traffic_bytes_total"), unit="Bps"),
                stat("Records", "A second.", _rate("flowhawk_traffic_records_total")),
                stat(
                    "Going out",
                    "Bytes a second from one's own networks to others.",
                    _rate("flowhawk_traffic_bytes_total", selector='{direction="outbound"}'),
                    unit="Bps",
                ),
                stat(
                    "Refused",
                    "Part of the records.",
                    f"{_rate('flowhawk_traffic_records_total', selector=_REJECTED)}"
                    f" / {_rate('flowhawk_traffic_records_total')}",
                    unit="percentunit",
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    f"Volume by {label}",
                    "Bytes a second.",
                    [(_rate("flowhawk_traffic_bytes_total", label), f"{{{{{label}}}}}")],
                    "Bps",
                    stacked=True,
                )
                for label in ("direction", "protocol", "action")
            ],
        ),
        (
            9,
            [
                Panel("Volume by port", "The ten with most; ports of services.", _top("port", "port"), "Bps"),
                Panel(
                    "Refused records by port",
                    "A second; the ten with most.",
                    [
                        (
                            f"topk(10, {_rate('flowhawk_port_records_total', 'port', _REJECTED)} > 0)",
                            "{{port}}",
                        )
                    ],
                ),
            ],
        ),
        (
            9,
            [
                Panel("Volume by region", "Where records name one.", _top("region", "region"), "Bps"),
                Panel(
                    "Volume by service of AWS",
                    "Where records name one.",
                    _top("service", "service"),
                    "Bps",
                ),
            ],
        ),
    ],
)

ALL: Final = (_SECURITY, _PIPELINE, _TRAFFIC)


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


FILES: Final[Mapping[str, Callable[[], str]]] = {
    f"config/grafana/dashboards/{each.uid}.json": partial(written, each) for each in ALL
}
"""How each file is made."""
