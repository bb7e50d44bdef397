"""The metrics of a service: what happens is told here, once a batch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import Counter

from detectors.catalogue import catalogue
from detectors.finding import SEVERITIES, Finding
from detectors.route import SHARDS
from detectors.statistics.caps import DEFAULT_CAPS, TABLES
from detectors.statistics.sizes import Size
from detectors.table import LOG_STATUSES
from streams.declared_metrics import DECLARED
from streams.degraded import REASONS
from streams.log_limits import LEVELS
from streams.pipeline import STAGES, Outcome
from streams.registry import Registry
from streams.traffic import OTHER, SERVICES, Regions, Traffic, known

HEARTBEATS: Final = ("read", "decode", "judge")
"""The parts of the pipeline whose heart is listened to; each sink has one of its own."""

STATE_PARTS: Final = (
    *("contacts", "volumes", "conversations", "directory", "rollup", "logins", "refusals", "baselines", "forwarders"),
)
"""The parts of the state of the stages, as `detectors.watch.Watch.parts` names them."""

HOSTS_LIMIT: Final = SHARDS * (DEFAULT_CAPS["directory"].inside + DEFAULT_CAPS["directory"].outside)


class Metrics(Registry):
    """The metrics of one service. They are updated once a batch, never once a record."""

    def __init__(self) -> None:
        super().__init__(DECLARED)
        self._lagging: set[str] = set()
        self._regions = Regions()
        self._traffic: dict[tuple[str, tuple[str, ...]], tuple[Counter, Counter]] = {}
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
        for stage, spent in outcome.seconds.items():
            self.took(stage, spent)
        for kind, spent in outcome.judging.items():
            self.add("flowhawk_detector_seconds_total", spent, kind)
        for (kind, reason), times in outcome.degraded.items():
            self.add("flowhawk_detector_degraded_total", times, kind, reason)
        self.told(outcome.findings)
        self.suppressed(outcome.suppressed)
        self._histogram("flowhawk_batch_seconds").observe(seconds)
        self._gauge("flowhawk_watermark_timestamp_seconds").set(max(outcome.watermark, 0))
        self._gauge("flowhawk_last_batch_timestamp_seconds").set(now)

    def took(self, stage: str, seconds: float) -> None:
        """Add how long one of `streams.pipeline.STAGES` took."""
        self._histogram("flowhawk_stage_seconds").labels(stage).observe(seconds)

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

    def traffic(self, traffic: Traffic) -> None:
        """Add the traffic of a batch."""
        for family, names, size, records in traffic.volumes():
            of_bytes, of_records = self._of_traffic(family, names)
            of_bytes.inc(size)
            of_records.inc(records)

    def tracked(
        self, *, hosts: int, open_findings: Mapping[tuple[str, str], int], state: Mapping[str, Size] | None = None
    ) -> None:
        """Say how much is being kept: hosts, open findings by kind and severity, and state by part."""
        self.put("flowhawk_hosts", hosts)
        for kind in catalogue():
            for severity in SEVERITIES:
                self.put("flowhawk_open_findings", open_findings.get((kind, severity), 0), kind, severity)
        for part, size in (state or {}).items():
            self.put("flowhawk_state_rows", size.rows, part)
            self.put("flowhawk_state_bytes", size.bytes, part)

    def lag(self, behind: Mapping[str, tuple[int, float | None]]) -> None:
        """Say how far the partitions that are assigned have come; of others nothing is said any more.

        Parameters
        ----------
        behind
            By name of the partition, how many messages wait, and up to when it is processed, epoch seconds; None
            while nobody can tell.
        """
        gone = self._lagging - behind.keys()
        for partition, (waiting, caught_up) in behind.items():
            self.put("flowhawk_lag_messages", waiting, partition)
            if caught_up is not None:
                self.put("flowhawk_caught_up_timestamp_seconds", caught_up, partition)
        for name in ("flowhawk_lag_messages", "flowhawk_caught_up_timestamp_seconds"):
            for partition in gone:
                self._gauge(name).remove(partition)
        self._lagging = set(behind)

    def beat(self, stage: str, now: float) -> None:
        """Say that a part of the pipeline does its work, and the time, epoch seconds."""
        self.put("flowhawk_heartbeat_timestamp_seconds", now, stage)

    def rebalanced(self, seconds: float) -> None:
        """Add a rebalance and how long it took."""
        self._histogram("flowhawk_rebalance_seconds").observe(seconds)

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

    def forget_sinks(self, names: Iterable[str]) -> None:
        """Take away the metrics of sinks that are no more."""
        for metric in (name for name in DECLARED if name.startswith("flowhawk_sink_")):
            for name in names:
                self.forget(metric, name)

    def _start_at_zero(self) -> None:
        self.put("flowhawk_hosts_limit", HOSTS_LIMIT)
        for stage in STAGES:
            self._histogram("flowhawk_stage_seconds").labels(stage)
        for stage in HEARTBEATS:
            self.put("flowhawk_heartbeat_timestamp_seconds", 0, stage)
        for part in STATE_PARTS:
            self.put("flowhawk_state_rows", 0, part)
            self.put("flowhawk_state_bytes", 0, part)
        for level in LEVELS:
            self.add("flowhawk_log_suppressed_total", 0, level)
        for family, names in known():
            self._of_traffic(family, names)
        self._start_by_kind()
        for status in LOG_STATUSES.categories[1:]:
            self._counter("flowhawk_coverage_total").labels(status)
        for table in (*TABLES, "baselines"):
            self._counter("flowhawk_evicted_total").labels(table)
        for early in ("open", "retracted", "superseded"):
            self._counter("flowhawk_early_findings_total").labels(early)

    def _start_by_kind(self) -> None:
        for kind in catalogue():
            self.add("flowhawk_detector_seconds_total", 0, kind)
            for reason in REASONS:
                self.add("flowhawk_detector_degraded_total", 0, kind, reason)
            for severity in SEVERITIES:
                self.put("flowhawk_open_findings", 0, kind, severity)
                self._counter("flowhawk_findings_total").labels(kind, severity)
                self._counter("flowhawk_observed_findings_total").labels(kind, severity)

    def _of_traffic(self, family: str, names: tuple[str, ...]) -> tuple[Counter, Counter]:
        """Return the counters of bytes and of records under some names; to look for them takes longer than to count."""
        bounded = family, self._bounded(family, names)
        if bounded not in self._traffic:
            of_bytes = self._counter(f"flowhawk_{family}_bytes_total").labels(*bounded[1])
            self._traffic[bounded] = of_bytes, self._counter(f"flowhawk_{family}_records_total").labels(*bounded[1])
        return self._traffic[bounded]

    def _bounded(self, family: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Replace what comes from records by names of which there are only so many."""
        if family == "region":
            return (self._regions.name(names[0]),)
        if family == "service":
            return names if names[0] in SERVICES else (OTHER,)
        return names
