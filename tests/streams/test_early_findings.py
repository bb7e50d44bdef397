"""Findings told early by a worker on a real Kafka: before their panes close, and settled when they do."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kafka.broker import KafkaBroker
from tests.streams.programs import Program, environment_of, flowhawk, free_port
from tests.streams.test_running import topics
from tests.streams.topic_records import read

END = 1_700_000_045


def line(source: str, source_port: int, target: str, target_port: int, flags: int) -> str:
    return (
        f"5 123456789012 eni-1 {source} {target} {source_port} {target_port} 6 1 44 {END} {END} ACCEPT OK "
        f"vpc-1 {flags} IPv4 {source} {target} ingress"
    )


FORMAT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status vpc-id tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction"
)
SCAN = [line("198.51.100.7", 40_000, "10.0.0.9", port, 2) for port in range(1, 31)]
SLOW_CLIENT = [line("198.51.100.8", 40_000, "10.0.0.9", port, 2) for port in range(1, 31)]
ITS_ANSWERS = [line("10.0.0.9", port, "198.51.100.8", 40_000, 18) for port in range(1, 31)]


class Told:
    """What is on a findings topic."""

    def __init__(self, broker: str, topic: str) -> None:
        self._broker = broker
        self._topic = topic

    def last(self) -> dict[str, dict[str, Any]]:
        findings = [json.loads(record.value) for record in read(self._broker, self._topic)]
        return {finding["id"]: finding for finding in findings}

    def statuses(self) -> list[str]:
        return [finding["status"] for finding in self.last().values()]


def publish(folder: Path, environment: Mapping[str, str], lines: list[str], *options: str) -> None:
    path = folder / "flows.log"
    path.write_text("\n".join([FORMAT, *lines]) + "\n")
    assert flowhawk("publish", *options, path, environment=environment).returncode == 0


def test_a_scan_is_told_at_once_and_settled_when_its_pane_closes(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    names = topics()
    environment = environment_of(kafka_broker.bootstrap, names) | {"FLOWHAWK__HTTP__PORT": str(free_port())}
    told = Told(kafka_broker.bootstrap, names.findings.name)
    assert flowhawk("topics", "create", environment=environment).returncode == 0
    with Program("run", environment=environment, folder=tmp_path) as worker:
        publish(tmp_path, environment, [*SCAN, *SLOW_CLIENT])
        worker.wait_until(lambda: len(told.last()) == 2)
        early = {finding["source"]: finding for finding in told.last().values()}
        assert early.keys() == {"198.51.100.7", "198.51.100.8"}
        assert all(finding["provisional"] and finding["status"] == "open" for finding in early.values())
        publish(tmp_path, environment, ITS_ANSWERS, "--complete")
        worker.wait_until(lambda: "open" not in told.statuses())
        assert worker.stop(signal.SIGTERM, seconds=10) == 0
    last = told.last()
    settled = {finding["source"]: (finding["status"], finding["provisional"]) for finding in last.values()}
    assert settled == {"198.51.100.7": ("closed", False), "198.51.100.8": ("retracted", True)}
    assert {finding["id"] for finding in early.values()} == set(last)
    lines = [line for line in worker.output.splitlines() if "198.51.100.8" in line]
    assert [("early" in line, "retracted" in line) for line in lines] == [(True, False), (False, True)]


def test_what_was_told_before_a_crash_is_settled_after_it(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    names = topics()
    environment = environment_of(kafka_broker.bootstrap, names) | {
        "FLOWHAWK__HTTP__PORT": str(free_port()),
        "FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "1000",
        "FLOWHAWK__KAFKA__SESSION_TIMEOUT_SECONDS": "6",
    }
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    told = Told(kafka_broker.bootstrap, names.findings.name)
    assert flowhawk("topics", "create", environment=environment).returncode == 0
    publish(tmp_path, environment, SLOW_CLIENT)
    with Program("run", environment=environment, folder=folders[0]) as worker:
        worker.wait_until(lambda: len(told.last()) == 1)
        worker.process.kill()
        worker.process.wait()
    publish(tmp_path, environment, ITS_ANSWERS, "--complete")
    # Early looks are so rare now that whoever comes next has never seen the scan.
    environment["FLOWHAWK__TIME__EARLY_SECONDS"] = "1000"
    with Program("run", environment=environment, folder=folders[1]) as worker:
        worker.wait_until(lambda: told.statuses() == ["retracted"])
        assert worker.stop(signal.SIGTERM, seconds=10) == 0
