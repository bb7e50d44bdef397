"""Sinks that change while the service runs: a worker on a real Kafka, web servers and a real Alertmanager."""

import json
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.monitoring.servers import AlertmanagerServer
from tests.streams.found import findings
from tests.streams.programs import Program, environment_of, flowhawk, free_port, get, samples
from tests.streams.topic_records import write
from tests.streams.web_server import ThreadedWebServer, serving

HOST: Final = "203.0.113.9"


class Worker:
    """A worker whose sinks are written to its settings and read again."""

    def __init__(self, broker: str, topics: TopicSettings, folder: Path) -> None:
        self.broker, self.topics = broker, topics
        self.config = folder / "flowhawk.yaml"
        self.address = "127.0.0.1", free_port()
        self.environment = environment_of(broker, topics) | {"FLOWHAWK__HTTP__PORT": str(self.address[1])}
        self.folder = folder

    def configure(self, **sinks: Any) -> None:
        self.config.write_text(yaml.safe_dump({"sinks": {"terminal": False, **sinks}}))

    def reload(self) -> tuple[int, str]:
        return get(self.address, "/-/reload", "POST")

    def publish(self, *names: str) -> None:
        found = [findings()[0].model_copy(update={"id": name}) for name in names]
        values = [each.model_dump_json().encode() for each in found]
        write(self.broker, self.topics.findings.name, values, keys=[name.encode() for name in names])

    def value(self, name: str) -> float | None:
        return samples(get(self.address, "/metrics")[1]).get(name)


@pytest.fixture
def worker(kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path) -> Worker:
    worker = Worker(kafka_broker.bootstrap, topic_settings, tmp_path)
    assert flowhawk("topics", "create", environment=worker.environment).returncode == 0
    return worker


def told(server: ThreadedWebServer) -> list[str]:
    return [each["id"] for body in server.bodies for each in json.loads(body)]


def lines(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_sinks_change_all_or_none_and_nothing_is_lost(worker: Worker, tmp_path: Path) -> None:
    first, second, path = ThreadedWebServer(), ThreadedWebServer(), tmp_path / "findings.jsonl"
    steady = {"json_lines": {"path": str(path)}}
    worker.configure(webhook={"url": first.url}, **steady)
    with ExitStack() as stack:
        stack.enter_context(serving(first))
        stack.enter_context(serving(second))
        program = stack.enter_context(
            Program("run", "--config", worker.config, environment=worker.environment, folder=tmp_path)
        )
        program.metrics_address()
        program.wait_until(lambda: get(worker.address, "/-/ready")[0] == 200)
        worker.publish("a")
        program.wait_until(lambda: told(first) == ["a"] and lines(path) == ["a"])
        program.wait_until(lambda: worker.value('flowhawk_sink_lag{sink="webhook"}') == 0)

        broken = {"host": "collector.example.org", "tls_ca_file": str(tmp_path / "none.pem")}
        worker.configure(webhook={"url": second.url}, syslog=broken, **steady)
        status, answer = worker.reload()
        assert status == 400
        assert "sinks.syslog.tls_*_file" in answer
        worker.publish("b")
        program.wait_until(lambda: told(first) == ["a", "b"])
        assert told(second) == []

        worker.configure(webhook={"url": second.url}, **steady)
        assert worker.reload() == (200, "applied: sinks.webhook\n")
        worker.publish("c")
        program.wait_until(lambda: told(second)[-1:] == ["c"] and lines(path) == ["a", "b", "c"])
        assert told(first) == ["a", "b"]
        # What was delivered, and whose position was not stored yet, may come once more.
        assert set(told(second)) <= {"b", "c"}

        worker.configure(**steady)
        program.process.send_signal(signal.SIGHUP)
        program.wait_until(lambda: worker.value('flowhawk_sink_delivered_total{sink="webhook"}') is None)
        worker.publish("d")
        program.wait_until(lambda: lines(path) == ["a", "b", "c", "d"])
        worker.configure(webhook={"url": first.url}, **steady)
        assert worker.reload() == (200, "applied: sinks.webhook\n")
        program.wait_until(lambda: told(first)[-1:] == ["d"])
        assert program.stop(signal.SIGTERM, seconds=10) == 0
    assert "Traceback" not in program.errors


def test_an_alert_stays_open_while_its_sink_is_made_anew(worker: Worker, tmp_path: Path) -> None:
    quick = {"interval_seconds": 0.2, "resend_seconds": 5}
    (tmp_path / "alertmanager").mkdir()
    with AlertmanagerServer(tmp_path / "alertmanager") as server:

        def fingerprints() -> list[tuple[str, str]]:
            return [(each["fingerprint"], each["status"]["state"]) for each in server.alerts()]

        worker.configure(alertmanager={"urls": [server.url], **quick})
        with Program("run", "--config", worker.config, environment=worker.environment, folder=tmp_path) as program:
            program.metrics_address()
            program.wait_until(lambda: get(worker.address, "/-/ready")[0] == 200)
            worker.publish("a")
            program.wait_until(lambda: len(fingerprints()) == 1)
            before = fingerprints()
            worker.configure(alertmanager={"urls": [server.url], **quick, "resend_seconds": 4})
            assert worker.reload() == (200, "applied: sinks.alertmanager\n")
            sent = f'flowhawk_alertmanager_sent_total{{alertmanager="{server.url.removeprefix("http://")}"}}'
            program.wait_until(lambda: (worker.value(sent) or 0) > 0)
            assert fingerprints() == before
            worker.configure()
            assert worker.reload() == (200, "applied: sinks.alertmanager\n")
            assert (worker.value(sent), worker.value("flowhawk_alerts_open")) == (None, 0)
            assert program.stop(signal.SIGTERM, seconds=10) == 0
