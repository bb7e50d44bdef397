"""Settings that are read again while the service runs."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.errors import FlowhawkError, ServiceError, SettingsError
from streams.kafka_settings import TopicSettings
from streams.metrics import Metrics
from streams.reload import Reload, Reloaded
from streams.settings import Settings, load
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.programs import Program, environment_of, flowhawk, free_port, get, samples
from tests.streams.topic_records import read, write

SUCCESSFUL = "flowhawk_config_last_reload_successful"
SINCE = "flowhawk_config_last_reload_success_timestamp_seconds"


class Running:
    """A reload whose settings come from here, and that takes down what it applies."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.applied: list[Settings] = []
        self.sinks: list[str] = []
        self.refused: FlowhawkError | None = None
        self.given: Settings | SettingsError = Settings()
        self.reload = Reload(Settings(), self._read, self._apply, self.metrics)

    def _read(self) -> Settings:
        if isinstance(self.given, SettingsError):
            raise self.given
        return self.given

    async def _apply(self, settings: Settings) -> list[str]:
        if self.refused is not None:
            raise self.refused
        self.applied.append(settings)
        return self.sinks

    async def with_(self, **sections: Any) -> Reloaded:
        self.given = load(overrides=sections)
        return await self.reload()


async def test_what_can_be_applied_is_and_the_rest_is_named() -> None:
    running = Running()
    answer = await running.with_(
        modes={"slow_scan": "off"}, http={"port": 1}, detectors={"vertical_scan": {"ports": 20}}, log={"level": "debug"}
    )
    assert answer == Reloaded(
        successful=True, message="applied: detectors, modes\nneeds a restart: http.port, log.level"
    )
    (applied,) = running.applied
    assert (applied.modes, applied.http.port) == ({"slow_scan": "off"}, Settings().http.port)


async def test_what_needs_a_restart_is_named_until_there_is_one_and_the_rest_once() -> None:
    running = Running()
    await running.with_(modes={"slow_scan": "off"}, http={"port": 1})
    again = await running.with_(modes={"slow_scan": "off"}, http={"port": 1})
    assert again.message == "nothing to apply\nneeds a restart: http.port"
    assert (await running.with_()).message == "applied: modes"


async def test_a_mistake_changes_nothing_and_is_told() -> None:
    running = Running()
    since = running.metrics.value(SINCE)
    assert (running.metrics.value(SUCCESSFUL), since > 0) == (1, True)
    running.given = SettingsError("one\ntwo")
    assert await running.reload() == Reloaded(successful=False, message="one\ntwo")
    assert running.applied == []
    assert (running.metrics.value(SUCCESSFUL), running.metrics.value(SINCE)) == (0, since)
    await running.with_(modes={"slow_scan": "off"})
    assert running.metrics.value(SUCCESSFUL) == 1
    assert running.metrics.value(SINCE) > since


async def test_sinks_that_are_others_now_are_named() -> None:
    running = Running()
    running.sinks = ["webhook"]
    answer = await running.with_(modes={"slow_scan": "off"}, sinks={"webhook": {"url": "https://hooks.example.org"}})
    assert answer.message == "applied: modes, sinks.webhook"
    assert running.applied[0].sinks != Settings().sinks


async def test_a_sink_that_cannot_be_made_is_a_mistake_too() -> None:
    running = Running()
    running.refused = ServiceError("/: findings cannot be written there")
    assert not (await running.with_(modes={"slow_scan": "off"})).successful
    assert running.metrics.value(SUCCESSFUL) == 0
    running.refused = None
    assert (await running.with_(modes={"slow_scan": "off"})).message == "applied: modes"


async def test_another_thread_waits_for_the_answer() -> None:
    running = Running()
    assert await asyncio.to_thread(running.reload.from_thread) == Reloaded(successful=True, message="nothing to apply")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "flowhawk.yaml"
    path.write_text("detectors: {vertical_scan: {ports: 18}}")
    return path


def states(broker: str, topic: str) -> list[tuple[str, str, str | None]]:
    documents = [json.loads(record.value) for record in read(broker, topic)]
    return [(each["source"], each["status"], each["suppressed_by"]) for each in documents if not each["provisional"]]


def test_a_service_takes_other_settings_on_request_and_on_a_signal(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path, config: Path
) -> None:
    broker, names, port = kafka_broker.bootstrap, topic_settings, free_port()
    environment = environment_of(broker, names) | {"FLOWHAWK__HTTP__PORT": str(port)}
    address = "127.0.0.1", port

    def publish(*lines: str) -> None:
        write(broker, names.flows.name, [block(lines)])

    def value(name: str) -> float:
        return samples(get(address, "/metrics")[1]).get(name, 0)

    def told(expected: list[tuple[str, str, str | None]]) -> Callable[[], bool]:
        return lambda: states(broker, names.findings.name) == expected

    assert flowhawk("topics", "create", environment=environment).returncode == 0
    with Program("run", "--config", config, environment=environment, folder=tmp_path) as worker:
        worker.metrics_address()
        worker.wait_until(lambda: get(address, "/-/ready")[0] == 200)
        publish(*scan(), flow(end=NINE + 1800))
        worker.wait_until(told([("203.0.113.9", "open", None)]))

        config.write_text("suppressions: [{name: ours}]")
        status, answer = get(address, "/-/reload", "POST")
        assert (status, answer.splitlines()[0]) == (400, f"{config}: suppressions.0.owner: field required")
        assert value(SUCCESSFUL) == 0

        rule = "{name: ours, owner: me, reason: it scans, sources: [203.0.113.9]}"
        config.write_text(f"suppressions: [{rule}]\ntime: {{allowed_lateness_seconds: 1}}")
        expected = "applied: detectors, suppressions\nneeds a restart: time.allowed_lateness_seconds\n"
        assert get(address, "/-/reload", "POST") == (200, expected)
        worker.wait_until(told([("203.0.113.9", "open", None), ("203.0.113.9", "closed", "ours")]))
        assert value(SUCCESSFUL) == value('flowhawk_suppressed_total{kind="vertical_scan",suppression="ours"}') == 1
        worker.wait_until(
            lambda: (
                not any(
                    number
                    for name, number in samples(get(address, "/metrics")[1]).items()
                    if name.startswith("flowhawk_open_findings{")
                )
            )
        )

        config.write_text("modes: {vertical_scan: off}")
        worker.process.send_signal(signal.SIGHUP)
        worker.wait_until(lambda: "'modes'" in worker.errors)
        worker.wait_until(lambda: len(states(broker, names.findings.name)) == 3)
        publish(*scan("203.0.113.8", end=NINE + 1900), flow(end=NINE + 9 * 3600))
        worker.wait_until(lambda: value("flowhawk_records_total") == 42)
        worker.wait_until(lambda: len(states(broker, names.findings.name)) == 4)
        assert worker.stop(signal.SIGTERM, seconds=10) == 0
    assert states(broker, names.findings.name)[2:] == [("203.0.113.9", "open", None), ("203.0.113.9", "closed", None)]
    assert "Traceback" not in worker.errors
