import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from streams.declared_metrics import DECLARED, names
from streams.settings import Settings
from tests.compose import ROOT, stack

CONFIG = ROOT / "config"
RULES = CONFIG / "prometheus" / "rules" / "flowhawk.yml"
DASHBOARDS = sorted((CONFIG / "grafana" / "dashboards").glob("*.json"))
SERVICES = stack().services


def run(program: str, *arguments: str) -> None:
    """Run a checker; where it is missing, CI fails and others are told what was not checked."""
    if shutil.which(program) is None:
        reason = f"not checked, for {program} is not installed; on Debian it is in prometheus, prometheus-alertmanager"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def panels() -> Iterator[Mapping[str, Any]]:
    for path in DASHBOARDS:
        yield from json.loads(path.read_text(encoding="utf-8"))["panels"]


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def rule_queries() -> list[str]:
    return [rule["expr"] for group in document(RULES)["groups"] for rule in group["rules"]]


def scrape_jobs() -> Mapping[str, Mapping[str, Any]]:
    return {job["job_name"]: job for job in document(CONFIG / "prometheus" / "prometheus.yml")["scrape_configs"]}


def assert_answers(address: str) -> None:
    """Assert that a host:port of the containers' network is a service that listens there."""
    host, port = address.split(":")
    assert int(port) in SERVICES[host].listens_on


def rule_test(
    tmp_path: Path, series: Mapping[str, str], at: str, firing: Mapping[str, list[Mapping[str, str]]]
) -> None:
    """Play series to the rules and compare the labels of the alerts that fire."""
    expected = [
        {
            "alertname": name,
            "eval_time": at,
            "exp_alerts": [{"exp_labels": labels} for labels in firing.get(name, [])],
        }
        for name in (
            "FlowhawkDown",
            "FlowhawkNoRecords",
            "FlowhawkRestarting",
            "FlowhawkCheckpointOld",
            "FlowhawkConfigReloadFailed",
        )
    ]
    rules = document(RULES)
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": expected,
    }
    test = tmp_path / "test.yml"
    test.write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [case]}))
    run("promtool", "test", "rules", str(test))


UP = 'up{job="flowhawk", instance="192.0.2.1:9469"}'
STANDBY = 'up{job="flowhawk", instance="192.0.2.2:9469"}'
RECORDS = 'flowhawk_records_total{job="flowhawk", instance="192.0.2.1:9469"}'
STANDBY_RECORDS = 'flowhawk_records_total{job="flowhawk", instance="192.0.2.2:9469"}'


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    run("promtool", "check", "config", str(CONFIG / "prometheus" / "prometheus.yml"))


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", str(CONFIG / "alertmanager" / "alertmanager.yml"))


def test_no_alert_fires_while_one_worker_reads_and_another_stands_by(tmp_path: Path) -> None:
    series = {UP: "1x60", STANDBY: "1x60", RECORDS: "0+1000x60", STANDBY_RECORDS: "0x60"}
    rule_test(tmp_path, series, "50m", {})


def test_a_worker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    series = {UP: "1x60", STANDBY: "1x10 0x50", RECORDS: "0+1000x60"}
    labels = {"severity": "critical", "job": "flowhawk", "instance": "192.0.2.2:9469"}
    rule_test(tmp_path, series, "20m", {"FlowhawkDown": [labels]})


def test_an_alert_fires_when_no_worker_is_left_to_be_asked(tmp_path: Path) -> None:
    series = {UP: "1x10 stale", RECORDS: "0+1000x10 stale"}
    rule_test(tmp_path, series, "20m", {"FlowhawkDown": [{"severity": "critical", "job": "flowhawk"}]})


def test_an_alert_fires_when_no_records_come(tmp_path: Path) -> None:
    series = {UP: "1x60", RECORDS: "0+1000x10 10000x50"}
    rule_test(tmp_path, series, "50m", {"FlowhawkNoRecords": [{"severity": "warning"}]})


def test_a_worker_that_keeps_restarting_is_named(tmp_path: Path) -> None:
    started = 'process_start_time_seconds{job="flowhawk", instance="192.0.2.2:9469"}'
    other = 'process_start_time_seconds{job="grafana", instance="192.0.2.3:3000"}'
    build = 'flowhawk_build_info{job="flowhawk", instance="192.0.2.2:9469"}'
    series = {UP: "1x60", RECORDS: "0+1000x60", started: "0x15 100x3 200x3 300x30", other: "0+1x60", build: "1x60"}
    labels = {"severity": "critical", "job": "flowhawk", "instance": "192.0.2.2:9469"}
    rule_test(tmp_path, series, "30m", {"FlowhawkRestarting": [labels]})
    rule_test(tmp_path, series, "55m", {})


def test_an_alert_fires_when_records_come_and_checkpoints_do_not(tmp_path: Path) -> None:
    written = 'flowhawk_checkpoint_timestamp_seconds{job="flowhawk", instance="192.0.2.1:9469"}'
    standby = 'flowhawk_checkpoint_timestamp_seconds{job="flowhawk", instance="192.0.2.2:9469"}'
    series = {UP: "1x60", RECORDS: "0+1000x60", written: "0+60x10 600x50", standby: "0x60"}
    rule_test(tmp_path, series, "9m", {})
    rule_test(tmp_path, series, "30m", {"FlowhawkCheckpointOld": [{"severity": "warning"}]})
    rule_test(tmp_path, series | {RECORDS: "0+1000x12 12000x50"}, "20m", {})


def test_a_worker_that_could_not_read_its_settings_again_is_named(tmp_path: Path) -> None:
    good = 'flowhawk_config_last_reload_successful{job="flowhawk", instance="192.0.2.1:9469"}'
    bad = 'flowhawk_config_last_reload_successful{job="flowhawk", instance="192.0.2.2:9469"}'
    series = {UP: "1x60", STANDBY: "1x60", RECORDS: "0+1000x60", good: "1x60", bad: "1x10 0x20 1x30"}
    labels = {"severity": "warning", "job": "flowhawk", "instance": "192.0.2.2:9469"}
    rule_test(tmp_path, series, "15m", {})
    rule_test(tmp_path, series, "25m", {"FlowhawkConfigReloadFailed": [labels]})
    rule_test(tmp_path, series, "40m", {})


def test_every_target_is_a_service_that_listens_there() -> None:
    jobs = scrape_jobs()
    (discovery,) = jobs["flowhawk"]["dns_sd_configs"]
    assert discovery["names"] == ["flowhawk"]
    assert_answers(f"flowhawk:{discovery['port']}")
    for name, job in jobs.items():
        for target in (target for group in job.get("static_configs", []) for target in group["targets"]):
            assert_answers(target.replace("localhost", name))


def test_alerts_go_to_alertmanager() -> None:
    alerting = document(CONFIG / "prometheus" / "prometheus.yml")["alerting"]
    (address,) = alerting["alertmanagers"][0]["static_configs"][0]["targets"]
    assert address.split(":")[0] == "alertmanager"
    assert_answers(address)


def test_the_port_that_is_scraped_is_the_default_setting() -> None:
    (discovery,) = scrape_jobs()["flowhawk"]["dns_sd_configs"]
    assert discovery["port"] == Settings().http.port


def test_grafana_asks_a_service_that_listens_there() -> None:
    (source,) = document(CONFIG / "grafana" / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert_answers(urlsplit(source["url"]).netloc)
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    (provider,) = document(CONFIG / "grafana" / "provisioning" / "dashboards" / "flowhawk.yml")["providers"]
    folder = SERVICES["grafana"].files[provider["options"]["path"]]
    assert sorted(folder.glob("*.json")) == DASHBOARDS != []


@pytest.mark.parametrize("query", dashboard_queries() + rule_queries())
def test_queries_use_only_metrics_and_labels_that_exist(query: str) -> None:
    used = set(re.findall(r"\bflowhawk_\w+", query))
    assert used <= names()
    assert used or "up{" in query
    labels = {label for name in used for label in DECLARED.get(name, ("", "", ()))[2]}
    grouped = re.findall(r"\b(?:by|without) \(([^)]*)\)", query)
    assert {label.strip() for group in grouped for label in group.split(",")} <= labels | {"instance", "job"}


@pytest.mark.parametrize("query", dashboard_queries())
def test_prometheus_understands_the_queries_of_the_dashboards(query: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    expression = re.sub(r"\$__(range|rate_interval)", "5m", query)
    rules.write_text(json.dumps({"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": expression}]}]}))
    run("promtool", "check", "rules", str(rules))


def test_panels_do_not_cover_each_other() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
