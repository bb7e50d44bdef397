"""Which alerts keep which quiet: findings of the stages, and the shipped configuration in a real Alertmanager."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from detectors.finding import Finding
from streams.alertmanager.alerts import alert, labels, surge, told, written
from streams.alertmanager.settings import AlertmanagerSettings
from tests.monitoring.servers import AlertmanagerServer, ask, until
from tests.monitoring.timeline import document
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.found import process

SETTINGS: Final = AlertmanagerSettings(urls=("http://alertmanager.example.org:9093",))
SCANNER: Final = "203.0.113.9"
HOST: Final = "10.0.0.5"
MINUTE: Final = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AlertmanagerServer]:
    with AlertmanagerServer(tmp_path, document("alertmanager/alertmanager.yml")) as server:
        yield server


def found(*lines: str) -> list[Finding]:
    """Return what was found behind ten minutes in which nothing was refused, as if it went on."""
    before = [flow(end=NINE + MINUTE * minute) for minute in range(10)]
    last = {each.id: each for each in process([*before, *lines]).findings}
    return [each.model_copy(update={"status": "open"}) for each in last.values()]


def probes(source: str, target: str) -> list[str]:
    return scan(source, target, ports=200, end=NINE + 10 * MINUTE + 30)


def refused(target: str, *sources: str, records: int = 80) -> list[str]:
    end = NINE + 10 * MINUTE + 30
    return [flow(sources[each % len(sources)], target, port=8080, action="REJECT", end=end) for each in range(records)]


def states(server: AlertmanagerServer, findings: Sequence[Finding], *more: Any) -> dict[tuple[str, str], str]:
    """Send alerts, and return what Alertmanager makes of each, by kind and host."""
    open_ones = [alert(labels(each, {}), [told(each, SETTINGS)]) for each in findings]
    body = written([*open_ones, *more], time.time() + 600)
    ask(f"{server.url}/api/v2/alerts", data=body)
    count = len({each.labels for each in (*open_ones, *more)})
    until(lambda: len(server.alerts()) == count)
    until(lambda: all(each["status"]["state"] != "unprocessed" for each in server.alerts()))
    return {
        (each["labels"]["alertname"], each["labels"].get("host", "")): each["status"]["state"]
        for each in server.alerts()
    }


def test_a_scan_that_is_refused_is_no_spike_of_the_host_that_it_scans() -> None:
    assert [(each.kind, each.entity) for each in found(*probes(SCANNER, HOST))] == [("vertical_scan", SCANNER)]


def test_what_else_is_refused_at_the_host_is_news_beside_a_scan_of_it(server: AlertmanagerServer) -> None:
    others = [f"198.51.100.{number}" for number in range(1, 21)]
    findings = found(*probes(SCANNER, HOST), *refused(HOST, *others))
    (spike,) = [each for each in findings if each.kind == "rejected_spike"]
    assert (spike.target, spike.value) == (HOST, 80)
    assert states(server, findings) == {("VerticalScan", SCANNER): "active", ("RejectedSpike", HOST): "active"}


def test_a_spike_of_a_host_that_scans_is_no_news_beside_the_scan(server: AlertmanagerServer) -> None:
    several = [line for number in range(10) for line in refused(f"10.0.1.{number}", SCANNER, records=10)]
    findings = found(*probes(SCANNER, HOST), *several)
    (spike,) = [each for each in findings if each.kind == "rejected_spike"]
    assert (spike.entity, spike.source) == (SCANNER, SCANNER)
    assert states(server, findings) == {("VerticalScan", SCANNER): "active", ("RejectedSpike", SCANNER): "suppressed"}


def test_a_finding_whose_severity_rose_keeps_what_it_was_quiet(server: AlertmanagerServer) -> None:
    (one,) = found(*probes(SCANNER, HOST))
    critical = one.model_copy(update={"severity": "critical"})
    body = written([alert(labels(each, {}), [told(each, SETTINGS)]) for each in (one, critical)], time.time() + 600)
    ask(f"{server.url}/api/v2/alerts", data=body)
    until(lambda: len(server.alerts()) == 2)
    by_severity = {each["labels"]["severity"]: each["status"]["state"] for each in server.alerts()}
    assert by_severity == {one.severity: "suppressed", "critical": "active"}


def test_in_a_flood_only_what_is_severe_is_news_beside_it(server: AlertmanagerServer) -> None:
    (one,) = found(*probes(SCANNER, HOST))
    several = [
        one.model_copy(update={"severity": severity, "entity": severity})
        for severity in ("low", "medium", "high", "critical")
    ]
    one_surge = surge({"low": 9}, 0, SETTINGS, time.time() - 1)
    found_states = states(server, several, one_surge)
    assert {host: state for (_, host), state in found_states.items()} == {
        "low": "suppressed",
        "medium": "suppressed",
        "high": "active",
        "critical": "active",
        "": "active",
    }
