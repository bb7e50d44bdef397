"""Each alert rule, played to Prometheus' own tool: when it fires, for whom, and when it does not."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.compose import ROOT
from tests.streams.programs import installed

RULES: Final = ROOT / "config" / "prometheus" / "rules" / "flowhawk.yml"
BUSY: Final = 'job="flowhawk", instance="192.0.2.1:9469"'
STANDBY: Final = 'job="flowhawk", instance="192.0.2.2:9469"'
ON_BUSY: Final = {"job": "flowhawk", "instance": "192.0.2.1:9469"}
ON_STANDBY: Final = {"job": "flowhawk", "instance": "192.0.2.2:9469"}

HEALTHY: Final[Mapping[str, str]] = {
    f"up{{{BUSY}}}": "1x1600",
    f"up{{{STANDBY}}}": "1x1600",
    f"flowhawk_build_info{{{BUSY}}}": "1x1600",
    f"process_start_time_seconds{{{BUSY}}}": "5x1600",
    f"flowhawk_records_total{{{BUSY}}}": "0+1000x1600",
    f"flowhawk_records_total{{{STANDBY}}}": "0x1600",
    f"flowhawk_refused_total{{{BUSY}}}": "0+1x1600",
    f"flowhawk_watermark_timestamp_seconds{{{BUSY}}}": "0+60x1600",
    f"flowhawk_watermark_timestamp_seconds{{{STANDBY}}}": "0x1600",
    f'flowhawk_heartbeat_timestamp_seconds{{{BUSY}, stage="judge"}}': "0+60x1600",
    f'flowhawk_heartbeat_timestamp_seconds{{{STANDBY}, stage="judge"}}': "0x1600",
    f'flowhawk_lag_messages{{{BUSY}, partition="flows/0"}}': "0 7 3 0 9 0 0 4x1600",
    f'flowhawk_caught_up_timestamp_seconds{{{BUSY}, partition="flows/0"}}': "0+60x1600",
    f'flowhawk_coverage_total{{{BUSY}, log_status="SKIPDATA"}}': "0x1600",
    f'flowhawk_coverage_total{{{BUSY}, log_status="NODATA"}}': "0+10x1600",
    f'flowhawk_evicted_total{{{BUSY}, table="directory"}}': "0x1600",
    f'flowhawk_evicted_total{{{BUSY}, table="contacts"}}': "0x1600",
    f'flowhawk_sink_failures_total{{{BUSY}, sink="webhook"}}': "0x1600",
    f'flowhawk_sink_hopeless_total{{{BUSY}, sink="webhook"}}': "0x1600",
    f'flowhawk_sink_arrived_heartbeat_timestamp_seconds{{{BUSY}, sink="webhook"}}': "0x1600",
    f'flowhawk_sink_arrived_heartbeat_timestamp_seconds{{{STANDBY}, sink="webhook"}}': "0+60x1600",
    f'flowhawk_alertmanager_errors_total{{{BUSY}, alertmanager="a:9093"}}': "0x1600",
    f'flowhawk_alertmanager_dropped_total{{{BUSY}, alertmanager="a:9093"}}': "0x1600",
    f"flowhawk_checkpoint_timestamp_seconds{{{BUSY}}}": "0+60x1600",
    f"flowhawk_checkpoint_timestamp_seconds{{{STANDBY}}}": "0x1600",
    f'flowhawk_detector_degraded_total{{{BUSY}, kind="slow_scan", reason="slow"}}': "0x1600",
    f"flowhawk_config_last_reload_successful{{{BUSY}}}": "1x1600",
    f'flowhawk_findings_total{{{BUSY}, kind="slow_scan", severity="low"}}': "0+1x1600",
}
"""What two workers show, one value a minute, while one of them reads and all is well."""


class Case(NamedTuple):
    """What series show beside those of two healthy workers, and who is told of by the rule at a time.

    Attributes
    ----------
    why
        What it shows.
    series
        In place of the healthy ones; an empty text takes one away.
    at
        When the rule is asked.
    fires
        The labels of each alert, but for the severity; none where it does not fire.
    """

    why: str
    series: Mapping[str, str]
    at: str
    fires: Sequence[Mapping[str, str]] = ()


LAG: Final = f'flowhawk_lag_messages{{{BUSY}, partition="flows/0"}}'
CAUGHT_UP: Final = f'flowhawk_caught_up_timestamp_seconds{{{BUSY}, partition="flows/0"}}'
HEART: Final = f'flowhawk_heartbeat_timestamp_seconds{{{BUSY}, stage="judge"}}'
RECORDS: Final = f"flowhawk_records_total{{{BUSY}}}"
REFUSED: Final = f"flowhawk_refused_total{{{BUSY}}}"
WATERMARK: Final = f"flowhawk_watermark_timestamp_seconds{{{BUSY}}}"
SKIPPED: Final = f'flowhawk_coverage_total{{{BUSY}, log_status="SKIPDATA"}}'
HOSTS: Final = f'flowhawk_evicted_total{{{BUSY}, table="directory"}}'
FAILURES: Final = f'flowhawk_sink_failures_total{{{BUSY}, sink="webhook"}}'
HOPELESS: Final = f'flowhawk_sink_hopeless_total{{{BUSY}, sink="webhook"}}'
ARRIVED: Final = f'flowhawk_sink_arrived_heartbeat_timestamp_seconds{{{STANDBY}, sink="webhook"}}'
ERRORS: Final = f'flowhawk_alertmanager_errors_total{{{BUSY}, alertmanager="a:9093"}}'
DROPPED: Final = f'flowhawk_alertmanager_dropped_total{{{BUSY}, alertmanager="a:9093"}}'
STARTED: Final = f"process_start_time_seconds{{{BUSY}}}"
WRITTEN: Final = f"flowhawk_checkpoint_timestamp_seconds{{{BUSY}}}"
DEGRADED: Final = f'flowhawk_detector_degraded_total{{{BUSY}, kind="slow_scan", reason="slow"}}'
RELOADED: Final = f"flowhawk_config_last_reload_successful{{{BUSY}}}"
FOUND: Final = f'flowhawk_findings_total{{{BUSY}, kind="slow_scan", severity="low"}}'
TAKEN_OVER: Final = {f'flowhawk_sink_arrived_heartbeat_timestamp_seconds{{{BUSY}, sink="webhook"}}': "0x10 660+60x50"}
OF_PARTITION: Final = [{**ON_BUSY, "partition": "flows/0"}]

CASES: Final[Mapping[str, Sequence[Case]]] = {
    "FlowhawkDown": [
        Case("a worker that does not answer is named", {f"up{{{STANDBY}}}": "1x10 0x50"}, "20m", [ON_STANDBY]),
        Case("one scrape that fails is none", {f"up{{{STANDBY}}}": "1x10 0 1x50"}, "11m"),
        Case(
            "no worker is left to be asked",
            {f"up{{{BUSY}}}": "1x10 stale", f"up{{{STANDBY}}}": "1x10 stale"},
            "20m",
            [{"job": "flowhawk"}],
        ),
        Case("one may go as long as another is there", {f"up{{{STANDBY}}}": "1x10 stale"}, "20m"),
    ],
    "FlowhawkStalled": [
        Case("a part does nothing", {HEART: "0+60x10 600x50"}, "20m", [{**ON_BUSY, "stage": "judge"}]),
        Case("it may take a while to begin", {HEART: "0x30 1800+60x50"}, "25m"),
        Case("it lives again", {HEART: "0+60x10 600x10 1260+60x50"}, "30m"),
    ],
    "FlowhawkHeartbeatLost": [
        Case("none comes through", {ARRIVED: "0+60x10 600x50"}, "30m", [{"job": "flowhawk", "sink": "webhook"}]),
        Case("another worker tells the sink now", {ARRIVED: "0+60x10 600x50", **TAKEN_OVER}, "30m"),
        Case("none has come yet", {ARRIVED: "0x60"}, "30m"),
        Case("it comes again", {ARRIVED: "0+60x10 600x10 1260+60x50"}, "30m"),
    ],
    "FlowhawkNoRecords": [
        Case("none come", {RECORDS: "0+1000x10 10000x50"}, "50m", [{}]),
        Case("a pause", {RECORDS: "0+1000x10 10000x10 11000+1000x50"}, "20m"),
    ],
    "FlowhawkLagGrowing": [
        Case("more and more waits", {LAG: "0+100x60", CAUGHT_UP: "0+30x60"}, "50m", OF_PARTITION),
        Case("nothing goes on", {LAG: "0x5 500x55", CAUGHT_UP: "0+60x5 300x55"}, "50m", OF_PARTITION),
        Case("a backlog is worked off", {LAG: "9000-100x60", CAUGHT_UP: "0+30x60"}, "50m"),
        Case("many messages that are young", {LAG: "0+100x60"}, "50m"),
        Case("just started, and nobody can tell", {LAG: "0+100x60", CAUGHT_UP: ""}, "50m"),
    ],
    "FlowhawkWatermarkStuck": [
        Case("records come and time stands still", {WATERMARK: "0+60x10 600x50"}, "40m", [ON_BUSY]),
        Case("nothing comes", {WATERMARK: "0+60x10 600x50", RECORDS: "0+1000x10 10000x50"}, "40m"),
    ],
    "FlowhawkCoverageLost": [
        Case("flows were skipped", {SKIPPED: "0x10 5+5x50"}, "30m", [{}]),
        Case("that is long over", {SKIPPED: "0x10 5x50"}, "40m"),
    ],
    "FlowhawkHostTableFull": [
        Case("hosts go", {HOSTS: "0x10 7+7x50"}, "30m", [ON_BUSY]),
        Case("rows of another table go", {f'flowhawk_evicted_total{{{BUSY}, table="contacts"}}': "0+9x60"}, "30m"),
    ],
    "FlowhawkDeadLetters": [
        Case("one in ten", {REFUSED: "0+100x60"}, "30m", [{}]),
        Case("one in a thousand", {}, "30m"),
        Case("all of them", {REFUSED: "0+100x60", RECORDS: "0x60"}, "30m", [{}]),
        Case("nothing comes at all", {REFUSED: "0x60", RECORDS: "0x60"}, "30m"),
    ],
    "FlowhawkSinkFailing": [
        Case("it fails every minute", {FAILURES: "0x10 1+1x50"}, "40m", [{**ON_BUSY, "sink": "webhook"}]),
        Case("it failed twice", {FAILURES: "0x10 1 2x50"}, "18m"),
    ],
    "FlowhawkSinkRefusing": [
        Case("one is refused", {HOPELESS: "0x10 1x50"}, "15m", [{**ON_BUSY, "sink": "webhook"}]),
        Case("that is long over", {HOPELESS: "0x10 1x50"}, "40m"),
    ],
    "FlowhawkAlertmanagerFailing": [
        Case("it fails", {ERRORS: "0x10 9+9x50"}, "30m", [{**ON_BUSY, "alertmanager": "a:9093"}]),
        Case("too many wait for it", {DROPPED: "0x10 9+9x50"}, "30m", [{**ON_BUSY, "alertmanager": "a:9093"}]),
        Case("that is long over", {ERRORS: "0x10 9x50"}, "30m"),
    ],
    "FlowhawkRestarting": [
        Case("three times", {STARTED: "0x15 100x3 200x3 300x30"}, "30m", [ON_BUSY]),
        Case("that is over", {STARTED: "0x15 100x3 200x3 300x60"}, "55m"),
        Case("once, for an upgrade", {STARTED: "0x15 100x60"}, "30m"),
        Case(
            "somebody else restarts",
            {'process_start_time_seconds{job="flowhawk", instance="192.0.2.3:3000"}': "0+1x60"},
            "30m",
        ),
    ],
    "FlowhawkCheckpointOld": [
        Case("records come and checkpoints do not", {WRITTEN: "0+60x10 600x50"}, "30m", [{}]),
        Case("not for long", {WRITTEN: "0+60x10 600x50"}, "14m"),
        Case("no records come", {WRITTEN: "0+60x10 600x50", RECORDS: "0+1000x12 12000x50"}, "30m"),
    ],
    "FlowhawkDetectorDegraded": [
        Case(
            "it is slow, time and again",
            {DEGRADED: "0x10 1+1x50"},
            "30m",
            [{**ON_BUSY, "detector": "slow_scan", "reason": "slow"}],
        ),
        Case("it was slow once", {DEGRADED: "0x10 1x50"}, "40m"),
    ],
    "FlowhawkConfigReloadFailed": [
        Case("a mistake", {RELOADED: "1x10 0x20 1x30"}, "25m", [ON_BUSY]),
        Case("just now", {RELOADED: "1x10 0x20 1x30"}, "15m"),
        Case("mended", {RELOADED: "1x10 0x20 1x30"}, "40m"),
    ],
    "FlowhawkFindingsRising": [
        Case("ten times as many", {FOUND: "0+1x1440 1450+10x60"}, "24h30m", [{"detector": "slow_scan"}]),
        Case("twice as many", {FOUND: "0+10x1440 14420+20x60"}, "24h30m"),
        Case("few, where there were none", {FOUND: "0x1440 1+1x60"}, "24h20m"),
        Case("as many as always", {FOUND: "0+100x1600"}, "26h"),
    ],
}
"""When each rule fires, and when it does not."""

ALL: Final = [(name, case) for name, cases in CASES.items() for case in cases]


def rules() -> list[Mapping[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def severity(name: str) -> str:
    (found,) = [rule["labels"]["severity"] for rule in rules() if rule["alert"] == name]
    return str(found)


def play(folder: Path, series: Mapping[str, str], at: str, fires: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Play series to all rules, and compare the labels of the alerts of some of them."""
    without = [{key: value for key, value in rule.items() if key != "annotations"} for rule in rules()]
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": without}]}))
    expected = [
        {
            "alertname": name,
            "eval_time": at,
            "exp_alerts": [{"exp_labels": {"severity": severity(name), **labels}} for labels in alerts],
        }
        for name, alerts in fires.items()
    ]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
        "alert_rule_test": expected,
    }
    test = folder / "test.yml"
    test.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [case]}))
    answer = subprocess.run(
        [installed("promtool"), "test", "rules", str(test)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_rule_is_seen_to_fire_and_not_to_fire() -> None:
    assert CASES.keys() == {rule["alert"] for rule in rules()}
    for name, cases in CASES.items():
        assert {bool(case.fires) for case in cases} == {True, False}, name


@pytest.mark.parametrize(("name", "case"), ALL, ids=[f"{name}: {case.why}" for name, case in ALL])
def test_a_rule_fires_when_it_should(name: str, case: Case, tmp_path: Path) -> None:
    play(tmp_path, {**HEALTHY, **case.series}, case.at, {name: case.fires})


@pytest.mark.parametrize("at", ["30m", "26h"])
def test_nothing_fires_while_one_worker_reads_and_another_stands_by(at: str, tmp_path: Path) -> None:
    play(tmp_path, HEALTHY, at, dict.fromkeys(CASES, ()))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_what_is_wrong_and_where_to_read_on(rule: Mapping[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"https://flowhawk.example.org/runbooks/{rule['alert']}"
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["for"]


def test_only_findings_have_a_kind() -> None:
    labels = [label for cases in CASES.values() for case in cases for alert in case.fires for label in alert]
    assert "kind" not in labels
