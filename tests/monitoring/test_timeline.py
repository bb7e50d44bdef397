"""From a scan on the wire to somebody who is told: Kafka, the worker, Prometheus and Alertmanager, all of them real.

They run as they are shipped, with seconds where the shipped files say minutes. Each story says what happens (`At`) and
what is to be seen then, and by when (`Then`). The times are patience, not promises: a slow machine may take them.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.monitoring.timeline import At, Stack, Then, play
from tests.streams.flow_lines import flow, scan

MINUTE: Final = 60
PATIENCE: Final = 60.0
SCANNER: Final = "203.0.113.9"
OTHER: Final = "203.0.113.77"


@pytest.fixture
def stack(own_kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path) -> Iterator[Stack]:
    with Stack(own_kafka_broker, topic_settings, tmp_path) as stack:
        yield stack


def test_a_scan_becomes_an_alert_that_stays_as_long_as_it_does(stack: Stack) -> None:
    nine = int(time.time()) // MINUTE * MINUTE - 240 * MINUTE

    def is_open(host: str) -> bool:
        return len(stack.alerts(host=host)) == 1

    def nobody_heard_more() -> bool:
        return len(stack.told("firing", host=SCANNER)) == 1 and not stack.told("resolved", host=SCANNER)

    play([
        At("a host outside tries twenty ports", lambda: stack.publish(*scan(SCANNER, end=nine + 30))),
        Then(PATIENCE, "there is one alert", lambda: is_open(SCANNER)),
        Then(0, "its labels say who, what and how bad", lambda: stack.alerts()[0]["labels"] == {
            "alertname": "VerticalScan",
            "kind": "vertical_scan",
            "severity": "medium",
            "host": SCANNER,
            "account": "123456789012",
            "direction": "inbound",
        }),
        Then(0, "its text says what is known", lambda: (
            "tried 20 ports" in stack.alerts()[0]["annotations"]["summary"]
            and "failed ports: 20" in stack.alerts()[0]["annotations"]["description"]
        )),
        Then(PATIENCE, "somebody is told once, of the group as it is shipped", lambda: (
            [each["groupLabels"] for each in stack.told("firing", host=SCANNER)]
            == [{"kind": "vertical_scan", "severity": "medium", "account": "123456789012", "direction": "inbound"}]
        )),
        At("its minutes are over, and it goes on", lambda: stack.publish(
            *(line for after in (10, 20, 30, 40) for line in scan(SCANNER, end=nine + after * MINUTE))
        )),
        Then(PATIENCE, "it is certain now", lambda: stack.metric("flowhawk_findings_total") == 1, nobody_heard_more),
        At("the worker is killed", stack.kill_worker),
        At("another one is started", stack.start_worker),
        Then(PATIENCE, "it tells what is open, as if nothing had been", lambda: (
            stack.metric("flowhawk_alertmanager_sent_total") > 0 and is_open(SCANNER)
        ), lambda: is_open(SCANNER) and nobody_heard_more()),
        At("Alertmanager goes away", stack.alertmanager.stop),
        At("another host scans meanwhile", lambda: stack.publish(*scan(OTHER, "10.0.0.6", end=nine + 41 * MINUTE))),
        Then(PATIENCE, "the worker notices", lambda: stack.metric("flowhawk_alertmanager_errors_total") > 0),
        At("Alertmanager comes back", stack.alertmanager.start),
        Then(PATIENCE, "both are open", lambda: is_open(SCANNER) and is_open(OTHER)),
        Then(PATIENCE, "somebody is told of the second", lambda: stack.told("firing", host=OTHER)),
        Then(0, "nobody was told that the first was over", lambda: not stack.told("resolved", host=SCANNER)),
        At("two hours go by in which neither is seen", lambda: stack.publish(flow(end=nine + 170 * MINUTE))),
        Then(PATIENCE, "nothing is open", lambda: not stack.alerts(kind="vertical_scan")),
        Then(PATIENCE, "somebody is told that it is over", lambda: (
            stack.told("resolved", host=SCANNER) and stack.told("resolved", host=OTHER)
        )),
    ])  # fmt: skip


def test_prometheus_sees_the_worker_and_says_when_nothing_comes_any_more(stack: Stack) -> None:
    nine = int(time.time()) // MINUTE * MINUTE - 60 * MINUTE

    def ups() -> list[str]:
        return [each["health"] for each in stack.prometheus.asked("targets")["activeTargets"]]

    def wrong() -> set[str]:
        """Name the rules that say that no records come, and fire."""
        firing = {
            each["labels"]["alertname"]
            for each in stack.prometheus.asked("alerts")["alerts"]
            if each["state"] == "firing"
        }
        return firing & {"FlowhawkNoRecords", "FlowhawkDown"}

    def records() -> float:
        (result,) = stack.prometheus.asked("query?query=sum(flowhawk_records_total)")["result"] or [{"value": [0, 0]}]
        return float(result["value"][1])

    play([
        Then(PATIENCE, "its targets are up", lambda: ups() == ["up", "up"]),
        Then(0, "its rules are loaded and none of them fails", lambda: {
            rule["health"] for group in stack.prometheus.asked("rules")["groups"] for rule in group["rules"]
        } <= {"ok", "unknown"}),
        At("flows come all the time", lambda: stack.publish_on_and_on(flow(end=nine))),
        Then(PATIENCE, "it counts them, and no rule fires", lambda: records() > 3 and not wrong()),
        At("the broker stops", stack.stop_broker),
        Then(PATIENCE, "a rule of health fires", wrong),
        Then(PATIENCE, "Alertmanager has it", lambda: any(stack.alerts(alertname=name) for name in wrong())),
        Then(PATIENCE, "somebody is told", lambda: any(stack.told("firing", alertname=name) for name in wrong())),
    ])  # fmt: skip
