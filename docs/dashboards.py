"""The dashboards of Grafana, as code: `make docs` writes config/grafana/dashboards from this."""  # noqa: INP001 - a folder of pages, not a package

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from docs.dashboard import Dashboard, Panel, rate, stat, written

_ALERTMANAGER: Final = "flowhawk_alertmanager_latency_seconds"
_REJECTED: Final = '{action="REJECT"}'

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
                    [(rate("flowhawk_refused_total"), "refused"), (rate("flowhawk_late_total"), "late")],
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
                    [(rate("flowhawk_stage_seconds_sum", "stage"), "{{stage}}")],
                    "percentunit",
                ),
                Panel(
                    "Time of a batch",
                    "Half of the batches, and 99 of 100, take no longer.",
                    [
                        (f"histogram_quantile(0.5, {rate('flowhawk_batch_seconds_bucket', 'le')})", "half"),
                        (f"histogram_quantile(0.99, {rate('flowhawk_batch_seconds_bucket', 'le')})", "99 of 100"),
                    ],
                    "s",
                ),
                Panel(
                    "Time of detectors",
                    "Part of the time that each judges.",
                    [(rate("flowhawk_detector_seconds_total", "kind"), "{{kind}}")],
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
                    [(rate("flowhawk_coverage_total", "log_status"), "{{log_status}}")],
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
                    [(rate("flowhawk_evicted_total", "table"), "{{table}}")],
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
                        (f"60 * {rate('flowhawk_sink_failures_total', 'sink')}", "{{sink}} failed"),
                        (f"60 * {rate('flowhawk_sink_hopeless_total', 'sink')}", "{{sink}} refused for good"),
                    ],
                ),
                Panel(
                    "Sinks: time of a delivery",
                    "99 of 100 take no longer; a request to an Alertmanager counts for itself.",
                    [
                        (
                            f"histogram_quantile(0.99, {rate('flowhawk_sink_delivery_seconds_bucket', 'le, sink')})",
                            "{{sink}}",
                        ),
                        (
                            f"histogram_quantile(0.99, {rate(f'{_ALERTMANAGER}_bucket', 'le, alertmanager')})",
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
                    [(f"60 * {rate('flowhawk_findings_total', 'kind')} > 0", "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Findings a minute, by severity",
                    "As they are raised.",
                    [(f"60 * {rate('flowhawk_findings_total', 'severity')} > 0", "{{severity}}")],
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
                    [(rate("flowhawk_traffic_records_total", "direction", _REJECTED), "{{direction}}")],
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Told early",
                    "A minute: provisional findings, and what became of them.",
                    [(f"60 * {rate('flowhawk_early_findings_total', 'status')}", "{{status}}")],
                ),
                Panel(
                    "Suppressed a minute",
                    "By the name of the suppression: one that matches nothing any more can go.",
                    [(f"60 * {rate('flowhawk_suppressed_total', 'suppression')} > 0", "{{suppression}}")],
                ),
                Panel(
                    "Detectors that only observe",
                    "Findings a minute that nobody is told, by kind.",
                    [(f"60 * {rate('flowhawk_observed_findings_total', 'kind')} > 0", "{{kind}}")],
                ),
            ],
        ),
        (
            9,
            [
                Panel(
                    "Degraded detectors",
                    "Times a minute.",
                    [(f"60 * {rate('flowhawk_detector_degraded_total', 'kind, reason')} > 0", "{{kind}}, {{reason}}")],
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
    return [(f"topk(10, {rate(f'flowhawk_{family}_bytes_total', label)} > 0)", f"{{{{{label}}}}}")]


_TRAFFIC: Final = Dashboard(
    "flowhawk-traffic",
    "Flowhawk: traffic",
    [
        (
            4,
            [
                stat("Volume", "Bytes a second.", rate("flowhawk_traffic_bytes_total"), unit="Bps"),
                stat("Records", "A second.", rate("flowhawk_traffic_records_total")),
                stat(
                    "Going out",
                    "Bytes a second from one's own networks to others.",
                    rate("flowhawk_traffic_bytes_total", selector='{direction="outbound"}'),
                    unit="Bps",
                ),
                stat(
                    "Refused",
                    "Part of the records.",
                    f"{rate('flowhawk_traffic_records_total', selector=_REJECTED)}"
                    f" / {rate('flowhawk_traffic_records_total')}",
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
                    [(rate("flowhawk_traffic_bytes_total", label), f"{{{{{label}}}}}")],
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
                            f"topk(10, {rate('flowhawk_port_records_total', 'port', _REJECTED)} > 0)",
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

FILES: Final[Mapping[str, Callable[[], str]]] = {
    f"config/grafana/dashboards/{each.uid}.json": partial(written, each) for each in ALL
}
"""How each file is made."""
