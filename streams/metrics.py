"""Every metric there is, in one registry, declared with its meaning and its labels."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from detectors.catalogue import catalogue
from detectors.finding import SEVERITIES, Finding
from detectors.statistics.caps import TABLES
from detectors.table import LOG_STATUSES
from streams.pipeline import Outcome

Kind = Literal["counter", "gauge", "histogram"]

DECLARED: Final[Mapping[str, tuple[Kind, str, tuple[str, ...]]]] = {
    "flowhawk_build_info": ("gauge", "Always 1; says which version runs.", ("version",)),
    "flowhawk_records_total": ("counter", "Records that were accepted.", ()),
    "flowhawk_refused_total": ("counter", "Lines that were refused and went to the dead-letter topic.", ()),
    "flowhawk_late_total": ("counter", "Records that came too late to count.", ()),
    "flowhawk_coverage_total": ("counter", "Rows that tell of missing flows, by log status.", ("log_status",)),
    "flowhawk_consumed_bytes_total": ("counter", "Bytes of messages that were processed.", ()),
    "flowhawk_messages_total": ("counter", "Messages that were processed.", ()),
    "flowhawk_batch_seconds": ("histogram", "Time to process one batch of messages, in seconds.", ()),
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
    "flowhawk_open_findings": ("gauge", "Findings that are open now.", ()),
    "flowhawk_hosts": ("gauge", "Hosts that are known now.", ()),
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
    "flowhawk_sink_delivered_total": ("counter", "Findings that a sink took, each state for itself.", ("sink",)),
    "flowhawk_sink_hopeless_total": ("counter", "Findings that a sink refused for good.", ("sink",)),
    "flowhawk_sink_failures_total": (
        "counter",
        "Attempts to tell a sink, or to read on for it, that failed and are made again.",
        ("sink",),
    ),
    "flowhawk_sink_lag": ("gauge", "Messages on the findings topic that a sink has not been told of yet.", ("sink",)),
    "flowhawk_sink_last_success_timestamp_seconds": (
        "gauge",
        "When a sink last took findings, epoch seconds; 0 before it took any.",
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
        "gauge",
        "How long the last request to an Alertmanager took, in seconds.",
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


class Metrics:
    """The metrics of one service. They are updated once a batch, never once a record."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        makers = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
        self._metrics = {
            name: makers[kind](name, meaning, labels, registry=self.registry)
            for name, (kind, meaning, labels) in DECLARED.items()
        }
        self._start_at_zero()

    def observe(self, outcome: Outcome, *, messages: int, size: int, seconds: float, now: float) -> None:
        """Add what became of a batch.

        Parameters
        ----------
        outcome
            What became of it.
        messages, size
            How many messages it had, and their bytes.
        seconds
            How long it took.
        now
            The time, epoch seconds.
        """
        self._counter("flowhawk_records_total").inc(outcome.records)
        self._counter("flowhawk_refused_total").inc(outcome.refused.height)
        self._counter("flowhawk_late_total").inc(len(outcome.late))
        self._counter("flowhawk_detections_total").inc(outcome.detections)
        self._counter("flowhawk_messages_total").inc(messages)
        self._counter("flowhawk_consumed_bytes_total").inc(size)
        for status, count in outcome.coverage.items():
            self._counter("flowhawk_coverage_total").labels(status).inc(count)
        for table, rows in outcome.evicted.items():
            self._counter("flowhawk_evicted_total").labels(table).inc(rows)
        self.told(outcome.findings)
        self.suppressed(outcome.suppressed)
        self._histogram("flowhawk_batch_seconds").observe(seconds)
        self._gauge("flowhawk_watermark_timestamp_seconds").set(max(outcome.watermark, 0))
        self._gauge("flowhawk_last_batch_timestamp_seconds").set(now)

    def told(self, findings: Iterable[Finding]) -> None:
        """Add findings as they are published."""
        for finding in findings:
            if not finding.provisional and finding.updates == 0:
                name = "flowhawk_observed_findings_total" if finding.observed else "flowhawk_findings_total"
                self._counter(name).labels(finding.kind, finding.severity).inc()
            if finding.provisional and (finding.updates == 0 or finding.status != "open"):
                self._counter("flowhawk_early_findings_total").labels(finding.status).inc()

    def suppressions(self, several: Mapping[str, Iterable[str]]) -> None:
        """Name the suppressions there are, and the kinds that each may match: their counters begin at zero."""
        for name, kinds in several.items():
            for kind in kinds:
                self._counter("flowhawk_suppressed_total").labels(name, kind)

    def suppressed(self, findings: Iterable[Finding]) -> None:
        """Add findings as they begin to be suppressed."""
        for finding in findings:
            if finding.status == "open" and finding.suppressed_by is not None:
                self._counter("flowhawk_suppressed_total").labels(finding.suppressed_by, finding.kind).inc()

    def reloaded(self, *, successful: bool, now: float) -> None:
        """Say whether settings could be read when that was last asked for, and the time, epoch seconds."""
        self._gauge("flowhawk_config_last_reload_successful").set(successful)
        if successful:
            self._gauge("flowhawk_config_last_reload_success_timestamp_seconds").set(now)

    def tracked(self, *, hosts: int, open_findings: int) -> None:
        """Say how much is being kept."""
        self._gauge("flowhawk_hosts").set(hosts)
        self._gauge("flowhawk_open_findings").set(open_findings)

    def replayed(self, messages: int) -> None:
        """Add messages that came again."""
        self._counter("flowhawk_replayed_messages_total").inc(messages)

    def checkpointed(self, *, seconds: float, size: int, now: float) -> None:
        """Add a checkpoint: how long it took, its bytes, and the time, epoch seconds."""
        self._histogram("flowhawk_checkpoint_seconds").observe(seconds)
        self._counter("flowhawk_checkpoint_bytes_total").inc(size)
        self._gauge("flowhawk_checkpoint_timestamp_seconds").set(now)

    def checkpoint_failed(self, count: int = 1) -> None:
        """Add checkpoints that are of no use."""
        self._counter("flowhawk_checkpoint_failures_total").inc(count)

    def restored(self, *, seconds: float, damages: int) -> None:
        """Say how long restoring took, and how many checkpoints were damaged."""
        self._gauge("flowhawk_restore_seconds").set(seconds)
        self.checkpoint_failed(damages)

    def sinks(self, names: Sequence[str]) -> None:
        """Name the sinks there are: their metrics begin at zero."""
        for metric in (name for name in DECLARED if name.startswith("flowhawk_sink_")):
            for name in names:
                self._metrics[metric].labels(name)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Add to a counter by its name; 0 lets it begin."""
        counter = self._counter(name)
        (counter.labels(*labels) if labels else counter).inc(amount)

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge by its name."""
        gauge = self._gauge(name)
        (gauge.labels(*labels) if labels else gauge).set(value)

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Read one sample, 0 where there is none."""
        return self.registry.get_sample_value(name, dict(labels or {})) or 0.0

    def _start_at_zero(self) -> None:
        self._gauge("flowhawk_build_info").labels(version("flowhawk")).set(1)
        for status in LOG_STATUSES.categories[1:]:
            self._counter("flowhawk_coverage_total").labels(status)
        for table in (*TABLES, "baselines"):
            self._counter("flowhawk_evicted_total").labels(table)
        for early in ("open", "retracted", "superseded"):
            self._counter("flowhawk_early_findings_total").labels(early)
        for kind in catalogue():
            for severity in SEVERITIES:
                self._counter("flowhawk_findings_total").labels(kind, severity)
                self._counter("flowhawk_observed_findings_total").labels(kind, severity)

    def _counter(self, name: str) -> Counter:
        metric = self._metrics[name]
        assert isinstance(metric, Counter)  # noqa: S101 - narrows the type
        return metric

    def _gauge(self, name: str) -> Gauge:
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)  # noqa: S101 - narrows the type
        return metric

    def _histogram(self, name: str) -> Histogram:
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)  # noqa: S101 - narrows the type
        return metric


def names() -> frozenset[str]:
    """Return every series name that queries may use."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return frozenset(name + suffix for name, (kind, _, _) in DECLARED.items() for suffix in suffixes.get(kind, ("",)))
