"""Every metric there is, declared in one place with its type, its meaning and its labels."""

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

DECLARED: Final[Mapping[str, tuple[Kind, str, tuple[str, ...]]]] = {
    "flowhawk_build_info": ("gauge", "Always 1; says which version runs, on which Python.", ("version", "python")),
    "flowhawk_records_total": ("counter", "Records that were accepted.", ()),
    "flowhawk_refused_total": ("counter", "Lines that were refused and went to the dead-letter topic.", ()),
    "flowhawk_late_total": ("counter", "Records that came too late to count.", ()),
    "flowhawk_coverage_total": ("counter", "Rows that tell of missing flows, by log status.", ("log_status",)),
    "flowhawk_consumed_bytes_total": ("counter", "Bytes of messages that were processed.", ()),
    "flowhawk_messages_total": ("counter", "Messages that were processed.", ()),
    "flowhawk_block_bytes_total": (
        "counter",
        "Bytes of blocks that were written to partitions of hosts, with the topology by-host.",
        (),
    ),
    "flowhawk_block_rows_total": (
        "counter",
        "Rows of blocks that were counted: a record counts in the partitions of both its ends.",
        (),
    ),
    "flowhawk_lag_messages": (
        "gauge",
        "Messages that are not processed yet, by assigned partition.",
        ("partition",),
    ),
    "flowhawk_caught_up_timestamp_seconds": (
        "gauge",
        "Until when all that was written to a partition is processed, epoch seconds: the present where nothing waits.",
        ("partition",),
    ),
    "flowhawk_rebalance_seconds": (
        "histogram",
        "Time from when partitions are taken away until what is assigned anew is read, in seconds.",
        (),
    ),
    "flowhawk_batch_seconds": ("histogram", "Time to process one batch of messages, in seconds.", ()),
    "flowhawk_stage_seconds": (
        "histogram",
        "Time that each stage takes for one batch, in seconds; decoding goes on beside the others.",
        ("stage",),
    ),
    "flowhawk_heartbeat_timestamp_seconds": (
        "gauge",
        "When each part of the pipeline last showed that it lives, be there work or not, epoch seconds.",
        ("stage",),
    ),
    "flowhawk_detector_seconds_total": (
        "counter",
        "Time that detectors took to judge panes; a statistic that several read counts for the first.",
        ("kind",),
    ),
    "flowhawk_detector_degraded_total": (
        "counter",
        "How often a detector did less than it should: slow at a pane, or statistics that it reads were evicted.",
        ("kind", "reason"),
    ),
    "flowhawk_detections_total": ("counter", "Detections, before they are merged into findings.", ()),
    "flowhawk_findings_total": ("counter", "Findings that were raised, by kind and severity.", ("kind", "severity")),
    "flowhawk_early_findings_total": (
        "counter",
        "Findings told before they were certain: when they are told (open), retracted or superseded.",
        ("status",),
    ),
    "flowhawk_observed_findings_total": (
        "counter",
        "Findings of detectors that only observe, by kind and severity: nobody is alerted.",
        ("kind", "severity"),
    ),
    "flowhawk_suppressed_total": (
        "counter",
        "Findings that were suppressed, by the name of the suppression and kind.",
        ("suppression", "kind"),
    ),
    "flowhawk_evicted_total": ("counter", "Rows of statistics that went beyond their caps, by table.", ("table",)),
    "flowhawk_open_findings": ("gauge", "Findings that are open now, by kind and severity.", ("kind", "severity")),
    "flowhawk_hosts": ("gauge", "Hosts that are known now.", ()),
    "flowhawk_hosts_limit": ("gauge", "Hosts that can be known of one pane, if they are spread evenly.", ()),
    "flowhawk_state_rows": ("gauge", "Rows of state in memory, by part of it.", ("part",)),
    "flowhawk_state_bytes": ("gauge", "Bytes of state in memory, about, by part of it.", ("part",)),
    "flowhawk_traffic_bytes_total": (
        "counter",
        "Bytes of accepted records, by direction as seen from one's own networks, action and protocol.",
        ("direction", "action", "protocol"),
    ),
    "flowhawk_traffic_records_total": (
        "counter",
        "Accepted records, late ones too, by direction, action and protocol; those of a sample count for all.",
        ("direction", "action", "protocol"),
    ),
    "flowhawk_port_bytes_total": (
        "counter",
        "Bytes by port of the service, for the best known ones, and action.",
        ("port", "action"),
    ),
    "flowhawk_port_records_total": ("counter", "Records by port of the service and action.", ("port", "action")),
    "flowhawk_region_bytes_total": ("counter", "Bytes by region, where records name one.", ("region",)),
    "flowhawk_region_records_total": ("counter", "Records by region, where they name one.", ("region",)),
    "flowhawk_service_bytes_total": ("counter", "Bytes from or to AWS services, where records name one.", ("service",)),
    "flowhawk_service_records_total": (
        "counter",
        "Records of traffic from or to AWS services, where they name one.",
        ("service",),
    ),
    "flowhawk_watermark_timestamp_seconds": ("gauge", "Event time up to which panes are closed, epoch seconds.", ()),
    "flowhawk_last_batch_timestamp_seconds": ("gauge", "When the last batch was processed, epoch seconds.", ()),
    "flowhawk_replayed_messages_total": ("counter", "Messages that came again and were not counted again.", ()),
    "flowhawk_checkpoint_seconds": ("histogram", "Time to write one checkpoint, in seconds.", ()),
    "flowhawk_checkpoint_bytes_total": ("counter", "Bytes of state that checkpoints wrote.", ()),
    "flowhawk_checkpoint_timestamp_seconds": ("gauge", "When the last checkpoint was durable, epoch seconds.", ()),
    "flowhawk_checkpoint_failures_total": (
        "counter",
        "Checkpoints that could not be written, which ends the worker, or were found damaged.",
        (),
    ),
    "flowhawk_config_last_reload_successful": (
        "gauge",
        "1 if the settings in use are those that were last read, 0 if the last reading failed.",
        (),
    ),
    "flowhawk_config_last_reload_success_timestamp_seconds": (
        "gauge",
        "When settings were last read without a mistake, epoch seconds.",
        (),
    ),
    "flowhawk_restore_seconds": ("gauge", "Time to restore state the last time, in seconds.", ()),
    "flowhawk_log_suppressed_total": (
        "counter",
        "Lines of the log that were left out because many of their kind had been written in a minute, by level.",
        ("level",),
    ),
    "flowhawk_sink_delivered_total": ("counter", "Findings that a sink took, each state for itself.", ("sink",)),
    "flowhawk_sink_hopeless_total": ("counter", "Findings that a sink refused for good.", ("sink",)),
    "flowhawk_sink_failures_total": (
        "counter",
        "Attempts to tell a sink, or to read on for it, that failed and are made again.",
        ("sink",),
    ),
    "flowhawk_sink_delivery_seconds": (
        "histogram",
        "How long a sink took for a batch of findings, whether it took them or not, in seconds.",
        ("sink",),
    ),
    "flowhawk_sink_lag": ("gauge", "Messages on the findings topic that a sink has not been told of yet.", ("sink",)),
    "flowhawk_sink_last_success_timestamp_seconds": (
        "gauge",
        "When a sink last took findings, epoch seconds; 0 before it took any.",
        ("sink",),
    ),
    "flowhawk_sink_heartbeat_timestamp_seconds": (
        "gauge",
        "When all findings that there were had last been handed to a sink, be there any or not, epoch seconds.",
        ("sink",),
    ),
    "flowhawk_sink_arrived_heartbeat_timestamp_seconds": (
        "gauge",
        "When the last heartbeat was made that came through the stages and the topic to a sink, epoch seconds.",
        ("sink",),
    ),
    "flowhawk_alertmanager_sent_total": ("counter", "Alerts that an Alertmanager took.", ("alertmanager",)),
    "flowhawk_alertmanager_errors_total": (
        "counter",
        "Alerts in requests that failed; what is open is sent again a minute later.",
        ("alertmanager",),
    ),
    "flowhawk_alertmanager_dropped_total": (
        "counter",
        "Alerts that were dropped because too many waited for an Alertmanager.",
        ("alertmanager",),
    ),
    "flowhawk_alertmanager_queue_length": ("gauge", "Alerts that wait for an Alertmanager.", ("alertmanager",)),
    "flowhawk_alertmanager_queue_capacity": (
        "gauge",
        "Alerts that may wait for an Alertmanager.",
        ("alertmanager",),
    ),
    "flowhawk_alertmanager_latency_seconds": (
        "histogram",
        "How long an Alertmanager took to answer a request, good or bad, in seconds.",
        ("alertmanager",),
    ),
    "flowhawk_alertmanager_last_success_timestamp_seconds": (
        "gauge",
        "When an Alertmanager last took alerts, epoch seconds; 0 before it took any.",
        ("alertmanager",),
    ),
    "flowhawk_alerts_open": ("gauge", "Alerts that are open now.", ()),
    "flowhawk_alerts_waiting": ("gauge", "Findings that wait to be sent as alerts.", ()),
    "flowhawk_alerts_untold_total": ("counter", "Findings that were too many to be sent as alerts of their own.", ()),
}
"""Type, meaning and labels of each metric, by its name in the exposition."""

INGEST: Final[Mapping[str, tuple[Literal["counter", "gauge"], str, tuple[str, ...]]]] = {
    "flowhawk_ingest_read_total": ("counter", "Records that were read: published, dropped or refused.", ()),
    "flowhawk_ingest_published_total": ("counter", "Records that Kafka has, in committed transactions.", ()),
    "flowhawk_ingest_dropped_total": (
        "counter",
        "Records that settings left out: by a rule, or as no part of the sample.",
        ("reason",),
    ),
    "flowhawk_ingest_refused_total": ("counter", "Records that were left out since they fit into no message.", ()),
    "flowhawk_ingest_bytes_total": ("counter", "Bytes of published lines, before compression.", ()),
    "flowhawk_ingest_messages_total": ("counter", "Kafka messages that were published.", ()),
    "flowhawk_ingest_transactions_total": ("counter", "Transactions that were committed.", ()),
    "flowhawk_ingest_commit_timestamp_seconds": ("gauge", "When a transaction was last committed, epoch seconds.", ()),
    "flowhawk_ingest_consumed_bytes_total": ("counter", "Stored bytes that were read, by place.", ("place",)),
    "flowhawk_ingest_position_timestamp_seconds": (
        "gauge",
        "Up to when the records of a place are published, epoch seconds; 0 while nobody can tell.",
        ("place",),
    ),
    "flowhawk_ingest_waiting": (
        "gauge",
        "1 while a place has given all that there is by now, else 0.",
        ("place",),
    ),
    "flowhawk_ingest_problems_total": (
        "counter",
        "What could not be read or sent, such as a damaged object, by place.",
        ("place",),
    ),
    "flowhawk_ingest_parked_total": ("counter", "Messages of a queue that were parked, by place.", ("place",)),
}
"""The metrics of `ingest`, which has an endpoint of its own; places are those of the settings, without parameters."""

LABELS: Final = frozenset(
    {
        *("version", "python", "log_status", "kind", "severity", "status", "suppression", "table", "part", "stage"),
        *("reason", "partition", "direction", "action", "protocol", "port", "region", "service", "sink"),
        *("alertmanager", "level"),
    }
)
"""All labels there may be: none of them an address, an interface or an account, which have no end."""


def names() -> frozenset[str]:
    """Return every series name that queries may use."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return frozenset(name + suffix for name, (kind, _, _) in DECLARED.items() for suffix in suffixes.get(kind, ("",)))
