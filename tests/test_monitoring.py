import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import promql_parser
import pytest
import yaml

from streams.declared_metrics import DECLARED, INGEST, names
from streams.settings import Settings
from tests.compose import ROOT, stack
from tests.streams.programs import installed

CONFIG = ROOT / "config"
RULES = CONFIG / "prometheus" / "rules" / "flowhawk.yml"
DASHBOARDS = sorted((CONFIG / "grafana" / "dashboards").glob("*.json"))
SERVICES = stack().services
TARGET = ("instance", "job")
FOREIGN = {"up", "process_start_time_seconds", "process_resident_memory_bytes"}


def run(program: str, *arguments: str) -> None:
    answer = subprocess.run([installed(program), *arguments], capture_output=True, text=True, check=False, timeout=60)
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


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    run("promtool", "check", "config", str(CONFIG / "prometheus" / "prometheus.yml"))


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", str(CONFIG / "alertmanager" / "alertmanager.yml"))


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


def parts(query: str) -> list[Any]:
    """List every part of a query, variables of Grafana filled in."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(re.sub(r"\$__(range|rate_interval)", "5m", query)), found.append)
    return found


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    several = [part for part in parts(query) if isinstance(part, promql_parser.VectorSelector)]
    return several + [part.vector_selector for part in parts(query) if isinstance(part, promql_parser.MatrixSelector)]


def labels_of(name: str) -> set[str]:
    """Return the labels of a series; all have those of the target."""
    if name.startswith("flowhawk_"):
        metric = name if name in DECLARED else name.rpartition("_")[0]
        return {*DECLARED[metric][2], *({"le"} if name.endswith("_bucket") else ()), *TARGET}
    assert name in FOREIGN
    return {*TARGET}


def made(query: str) -> set[str]:
    """Return the labels that a query makes itself."""
    calls = [part for part in parts(query) if isinstance(part, promql_parser.Call)]
    return {str(call.args[1].val) for call in calls if call.func.name == "label_replace"}


def grouped(query: str) -> set[str]:
    """Return the labels that a query groups or matches by."""
    several = set[str]()
    for part in parts(query):
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            several |= set(part.modifier.labels)
        if isinstance(part, promql_parser.BinaryExpr) and part.modifier is not None:
            several |= set(part.modifier.matching.labels if part.modifier.matching is not None else ())
    return several


@pytest.mark.parametrize("query", dashboard_queries() + rule_queries())
def test_queries_use_only_metrics_and_labels_that_exist(query: str) -> None:
    used = selectors(query)
    assert used
    for selector in used:
        assert selector.name in names() | FOREIGN
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= labels_of(selector.name)
    assert grouped(query) <= made(query).union(*(labels_of(selector.name) for selector in used if selector.name))


@pytest.mark.parametrize(
    "query", ["flowhawk_nothing_total", 'flowhawk_hosts{host="a"}', "sum by (vpc) (flowhawk_hosts)"]
)
def test_a_query_for_what_does_not_exist_is_noticed(query: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        test_queries_use_only_metrics_and_labels_that_exist(query)


@pytest.mark.parametrize("panel", list(panels()), ids=lambda panel: panel["title"])
def test_names_of_series_are_labels_that_the_query_has(panel: Mapping[str, Any]) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        aggregated = any(isinstance(part, promql_parser.AggregateExpr) for part in parts(target["expr"]))
        bare = {label for selector in selectors(target["expr"]) for label in labels_of(selector.name or "")}
        assert shown <= (grouped(target["expr"]) if aggregated else bare)


def test_every_metric_of_traffic_and_of_findings_is_on_a_dashboard() -> None:
    shown = {selector.name for query in dashboard_queries() for selector in selectors(query)}
    assert not [name for name in DECLARED if name.startswith("flowhawk_traffic_") and name not in shown]
    for name in (
        "flowhawk_open_findings",
        "flowhawk_findings_total",
        "flowhawk_lag_messages",
        "flowhawk_stage_seconds_sum",
    ):
        assert name in shown


def test_metrics_named_in_pages_exist() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = {
        (page.name, name) for page in pages for name in re.findall(r"`(flowhawk_[a-z_]+)", page.read_text("utf-8"))
    }
    known = names() | DECLARED.keys() | INGEST.keys()
    assert [
        each for each in named if each[1] not in known and not any(name.startswith(each[1]) for name in known)
    ] == []


@pytest.mark.parametrize("query", dashboard_queries())
def test_prometheus_understands_the_queries_of_the_dashboards(query: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    expression = re.sub(r"\$__(range|rate_interval)", "5m", query)
    rules.write_text(json.dumps({"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": expression}]}]}))
    run("promtool", "check", "rules", str(rules))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_do_not_cover_each_other(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert dashboard["uid"] == path.stem
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_the_page_that_grafana_opens_with_is_one_of_the_dashboards() -> None:
    home = SERVICES["grafana"].environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).name in {path.name for path in DASHBOARDS}
