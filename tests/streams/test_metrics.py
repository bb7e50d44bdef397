import re

import numpy as np
import pytest
from prometheus_client import generate_latest

from detectors.catalogue import catalogue
from detectors.finding import SEVERITIES
from detectors.statistics.sizes import Size
from streams.declared_metrics import DECLARED, LABELS, names
from streams.metrics import STATE_PARTS, Metrics
from streams.pipeline import STAGES, Outcome, Pipeline
from streams.settings import Settings, load
from streams.traffic import Traffic
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.found import process
from tests.streams.programs import check_metrics, samples

LIBRARY = ("process_", "python_")


def page(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def named() -> Metrics:
    """Make metrics that know of a suppression, a sink, an Alertmanager and a partition: all else is known before."""
    metrics = Metrics()
    metrics.sinks(["terminal"])
    for name, (kind, _, labels) in DECLARED.items():
        if labels == ("alertmanager",):
            begin = {"counter": metrics.add, "gauge": metrics.put}
            if kind == "histogram":
                metrics.timing(name, "alertmanager.example.org:9093")
            else:
                begin[kind](name, 0, "alertmanager.example.org:9093")
    metrics.suppressions({"ours": ["vertical_scan"]})
    metrics.lag({"flows/0": (0, 0)})
    return metrics


def own_samples(metrics: Metrics) -> dict[str, float]:
    found = samples(page(metrics))
    return {name: value for name, value in found.items() if not name.startswith(LIBRARY)}


@pytest.mark.parametrize("name", DECLARED)
def test_names_follow_the_rules_of_prometheus(name: str) -> None:
    kind, meaning, labels = DECLARED[name]
    assert re.fullmatch(r"flowhawk(_[a-z]+)+", name)
    assert name.endswith("_total") == (kind == "counter")
    assert name.endswith("_seconds") or kind != "histogram"
    assert not re.search(r"_(ms|milliseconds|minutes|kb|kilobytes|mb)(_|$)", name)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in labels)
    assert set(labels) <= LABELS
    assert meaning.endswith(".")


def test_prometheus_own_tool_has_nothing_to_say() -> None:
    metrics = Metrics()
    check_metrics(page(metrics))
    metrics.observe(process([*scan(), "garbage"]), messages=1, size=2000, seconds=0.1, now=NINE)
    check_metrics(page(metrics))


def test_every_known_series_is_there_from_the_beginning_at_zero() -> None:
    found = own_samples(named())
    for name in DECLARED:
        assert [each for each in found if re.match(rf"{name}(_count|_sum|_bucket)?({{|$)", each)], name
    labels = [f'kind="{kind}",severity="{severity}"' for kind in catalogue() for severity in SEVERITIES]
    assert {f"flowhawk_findings_total{{{each}}}" for each in labels} <= set(found)
    assert {name for name, value in found.items() if value != 0} == {
        name for name in found if name.startswith(("flowhawk_build_info", "flowhawk_hosts_limit"))
    }


def test_the_names_for_queries_are_those_of_the_exposition() -> None:
    assert {name.split("{")[0] for name in own_samples(named())} == names()


def test_a_batch_is_added_to_the_counters() -> None:
    metrics = Metrics()
    outcome = process([*scan(), flow(end=NINE + 7200), "garbage"])
    outcome.coverage = {"NODATA": 4}
    for _ in range(2):
        metrics.observe(outcome, messages=3, size=500, seconds=0.25, now=NINE + 5)

    assert metrics.value("flowhawk_records_total") == 2 * 21
    assert metrics.value("flowhawk_refused_total") == 2
    assert metrics.value("flowhawk_messages_total") == 6
    assert metrics.value("flowhawk_consumed_bytes_total") == 1000
    assert metrics.value("flowhawk_coverage_total", {"log_status": "NODATA"}) == 8
    assert metrics.value("flowhawk_detections_total") == 2 * outcome.detections > 0
    assert metrics.value("flowhawk_batch_seconds_count") == 2
    assert metrics.value("flowhawk_batch_seconds_sum") == 0.5
    assert metrics.value("flowhawk_last_batch_timestamp_seconds") == NINE + 5
    assert metrics.value("flowhawk_watermark_timestamp_seconds") == NINE + 6300


def test_no_label_has_values_without_end() -> None:
    assert not [label for label in LABELS if re.search(r"addr|host|source|target|interface|account|vpc|ip|user", label)]
    assert {label for _, _, labels in DECLARED.values() for label in labels} == LABELS


def test_each_stage_and_detector_has_its_time() -> None:
    metrics = Metrics()
    outcome = process(scan())
    outcome.seconds = {"count": 0.2, "judge": 0.5}
    outcome.judging = {"slow_scan": 1.5}
    outcome.degraded = {("slow_scan", "evicted"): 2}
    metrics.observe(outcome, messages=1, size=1, seconds=1, now=NINE)
    assert metrics.value("flowhawk_stage_seconds_sum", {"stage": "judge"}) == 0.5
    assert metrics.value("flowhawk_stage_seconds_count", {"stage": "count"}) == 1
    assert metrics.value("flowhawk_stage_seconds_count", {"stage": "write"}) == 0
    assert metrics.value("flowhawk_detector_seconds_total", {"kind": "slow_scan"}) == 1.5
    assert metrics.value("flowhawk_detector_degraded_total", {"kind": "slow_scan", "reason": "evicted"}) == 2


def test_a_batch_takes_its_time_in_every_stage_but_the_writing() -> None:
    assert set(process(scan()).seconds) == {*STAGES} - {"write"}


def test_traffic_counts_under_names_of_which_there_are_so_many() -> None:
    metrics = Metrics()
    nothing = np.zeros(0)
    regions = {"eu-north-1": (5.0, 1.0), "10.0.0.5": (7.0, 2.0), "": (1.0, 1.0)}
    traffic = Traffic(nothing.reshape(0, 0, 0, 0), nothing.reshape(0, 0, 0, 0), regions, {"S3": (3, 1), "X": (4, 2)})
    before = len(own_samples(metrics))
    metrics.traffic(traffic)
    assert metrics.value("flowhawk_region_bytes_total", {"region": "eu-north-1"}) == 5
    assert metrics.value("flowhawk_region_bytes_total", {"region": "other"}) == 8
    assert metrics.value("flowhawk_service_bytes_total", {"service": "S3"}) == 3
    assert metrics.value("flowhawk_service_records_total", {"service": "other"}) == 2
    assert len(own_samples(metrics)) == before + 2


def test_of_partitions_that_others_have_nothing_is_said() -> None:
    metrics = Metrics()
    metrics.lag({"flows/0": (7, None), "flows/1": (0, 100)})
    assert 'flowhawk_caught_up_timestamp_seconds{partition="flows/0"}' not in own_samples(metrics)
    metrics.lag({"flows/0": (5, 90)})
    assert {name: value for name, value in own_samples(metrics).items() if "partition=" in name} == {
        'flowhawk_lag_messages{partition="flows/0"}': 5,
        'flowhawk_caught_up_timestamp_seconds{partition="flows/0"}': 90,
    }
    metrics.lag({})
    metrics.lag({})
    assert not [name for name in own_samples(metrics) if "partition=" in name]


def test_a_partition_that_never_had_a_time_can_go() -> None:
    metrics = Metrics()
    metrics.lag({"flows/0": (7, None)})
    metrics.lag({})
    assert metrics.value("flowhawk_lag_messages", {"partition": "flows/0"}) == 0


def test_parts_of_state_are_those_of_the_stages() -> None:
    parts = Pipeline(Settings()).watch.parts
    assert {*STATE_PARTS} == parts.keys()
    metrics = Metrics()
    metrics.tracked(hosts=1, open_findings={}, state={"contacts": Size(3, 99)})
    assert metrics.value("flowhawk_state_rows", {"part": "contacts"}) == 3
    assert metrics.value("flowhawk_state_bytes", {"part": "contacts"}) == 99


def test_a_rebalance_and_a_beat_are_told() -> None:
    metrics = Metrics()
    metrics.rebalanced(1.5)
    metrics.beat("judge", NINE)
    assert metrics.value("flowhawk_rebalance_seconds_sum") == 1.5
    assert metrics.value("flowhawk_heartbeat_timestamp_seconds", {"stage": "judge"}) == NINE


def test_a_finding_counts_when_it_is_raised_not_when_it_changes() -> None:
    metrics = Metrics()
    outcome = process(scan())
    assert [finding.status for finding in outcome.findings] == ["open", "closed"]
    metrics.observe(outcome, messages=1, size=1, seconds=0, now=NINE)
    severity = outcome.findings[0].severity
    assert metrics.value("flowhawk_findings_total", {"kind": "vertical_scan", "severity": severity}) == 1
    assert sum(value for name, value in own_samples(metrics).items() if name.startswith("flowhawk_findings")) == 1


def test_a_finding_of_a_detector_that_only_observes_counts_apart() -> None:
    metrics = Metrics()
    metrics.observe(
        process(scan(), load(overrides={"modes": {"vertical_scan": "observe"}})),
        messages=1,
        size=1,
        seconds=0,
        now=NINE,
    )
    labels = {"kind": "vertical_scan", "severity": "medium"}
    assert metrics.value("flowhawk_observed_findings_total", labels) == 1
    assert metrics.value("flowhawk_findings_total", labels) == 0


def test_a_finding_that_is_suppressed_counts_once_by_what_suppresses_it() -> None:
    metrics = named()
    labels = {"kind": "vertical_scan", "suppression": "ours"}
    assert metrics.registry.get_sample_value("flowhawk_suppressed_total", labels) == 0
    finding = process(scan()).findings[0].model_copy(update={"suppressed_by": "ours"})
    outcome = Outcome(suppressed=[finding, finding.model_copy(update={"status": "closed"})])
    metrics.observe(outcome, messages=1, size=1, seconds=0, now=NINE)
    assert metrics.value("flowhawk_suppressed_total", labels) == 1


def test_a_reload_that_failed_shows_when_the_last_good_one_was() -> None:
    metrics = Metrics()
    metrics.reloaded(successful=True, now=NINE)
    metrics.reloaded(successful=False, now=NINE + 60)
    assert metrics.value("flowhawk_config_last_reload_successful") == 0
    assert metrics.value("flowhawk_config_last_reload_success_timestamp_seconds") == NINE


def test_a_watermark_that_has_not_begun_is_zero() -> None:
    metrics = Metrics()
    metrics.observe(Outcome(), messages=1, size=1, seconds=0, now=NINE)
    assert metrics.value("flowhawk_watermark_timestamp_seconds") == 0


def test_what_is_kept_is_shown() -> None:
    metrics = Metrics()
    metrics.tracked(hosts=7, open_findings={("slow_scan", "low"): 2})
    labels = {"kind": "slow_scan", "severity": "low"}
    assert (metrics.value("flowhawk_hosts"), metrics.value("flowhawk_open_findings", labels)) == (7, 2)


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.tracked(hosts=7, open_findings={("slow_scan", "low"): 2})
    assert second.value("flowhawk_hosts") == 0
    assert second.value("no_such_metric") == 0
