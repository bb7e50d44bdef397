"""A story of what happens and what is to be seen then, played with real servers."""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.topics import create_topics
from tests.compose import ROOT
from tests.kafka.broker import KafkaBroker
from tests.monitoring.servers import AlertmanagerServer, PrometheusServer, Received
from tests.streams.flow_lines import block
from tests.streams.programs import Program, environment_of, free_port, get, samples
from tests.streams.topic_records import write

CONFIG: Final = ROOT / "config"
RESEND_SECONDS: Final = 8.0
"""How often alerts are sent again: long enough that a worker may be started anew within four times that."""

_POLL_SECONDS: Final = 0.1
_PUBLISH_SECONDS: Final = 0.3
_MINUTES: Final = re.compile(r"\b(\d+)m\b")


@dataclass(frozen=True)
class At:
    """Something happens."""

    what: str
    do: Callable[[], object]

    def play(self) -> None:
        self.do()


@dataclass(frozen=True)
class Then:
    """Something is to be seen within so many seconds, and until then something else all the time."""

    within: float
    what: str
    seen: Callable[[], object]
    meanwhile: Callable[[], object] | None = None

    def play(self) -> None:
        deadline = time.monotonic() + self.within
        while not self.seen():
            assert self.meanwhile is None or self.meanwhile(), f"not all the time until: {self.what}"
            assert time.monotonic() < deadline, f"not seen within {self.within} s: {self.what}"
            time.sleep(_POLL_SECONDS)


Story = Sequence[At | Then]


def play(story: Story) -> None:
    """Play a story; its steps are on record with the time since it began."""
    begun = time.monotonic()
    for step in story:
        print(f"{time.monotonic() - begun:6.1f} s  {'' if isinstance(step, At) else '  then '}{step.what}")  # noqa: T201 - shown where it fails
        step.play()


class Stack:
    """Kafka, a worker, Prometheus and Alertmanager, configured as they are shipped, but quicker.

    Parameters
    ----------
    broker
        Kafka, which the story may stop.
    topics
        The topics.
    folder
        An empty folder.
    """

    def __init__(self, broker: KafkaBroker, topics: TopicSettings, folder: Path) -> None:
        self.broker = broker
        self._topics = topics
        self._folder = folder
        self._open = ExitStack()
        self._port = free_port()
        self.receiver = Received()
        self.alertmanager = AlertmanagerServer(self._sub("alertmanager"), quick_alertmanager(self.receiver.url))
        self.prometheus = PrometheusServer(self._sub("prometheus"), self._quick_prometheus())
        self._worker: Program | None = None
        self._quiet = threading.Event()
        self._publishing: threading.Thread | None = None

    def __enter__(self) -> Self:
        kafka = KafkaSettings(bootstrap_servers=(self.broker.bootstrap,))
        create_topics(kafka, self._topics)
        for each in (self.receiver, self.alertmanager, self.prometheus):
            self._open.enter_context(each)
        self.start_worker()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_publishing()
        if self._worker is not None:
            self._worker.__exit__(kind, error, trace)
        self._open.close()

    def start_worker(self) -> None:
        """Start the worker, or one that takes the place of the one before."""
        environment = environment_of(self.broker.bootstrap, self._topics) | {
            "FLOWHAWK__HTTP__PORT": str(self._port),
            "FLOWHAWK__KAFKA__SESSION_TIMEOUT_SECONDS": "6",
            "FLOWHAWK__SINKS__TERMINAL": "false",
            "FLOWHAWK__SINKS__ALERTMANAGER__URLS": self.alertmanager.url,
            "FLOWHAWK__SINKS__ALERTMANAGER__INTERVAL_SECONDS": "0.2",
            "FLOWHAWK__SINKS__ALERTMANAGER__RESEND_SECONDS": str(RESEND_SECONDS),
        }
        self._worker = Program("run", environment=environment, folder=self._sub("worker")).__enter__()

    def kill_worker(self) -> None:
        """End the worker at once, as a power cut would."""
        assert self._worker is not None
        self._worker.process.kill()
        self._worker.process.wait()

    def publish(self, *lines: str) -> None:
        """Put flow records on the topic."""
        write(self.broker.bootstrap, self._topics.flows.name, [block(lines)])

    def publish_on_and_on(self, *lines: str) -> None:
        """Put the same records on the topic several times a second, until the broker is stopped."""

        def publish() -> None:
            while not self._quiet.wait(_PUBLISH_SECONDS):
                self.publish(*lines)

        self._quiet.clear()
        self._publishing = threading.Thread(target=publish, daemon=True)
        self._publishing.start()

    def stop_broker(self) -> None:
        """Stop whoever publishes, and then the broker."""
        self._stop_publishing()
        self.broker.stop()

    def _stop_publishing(self) -> None:
        self._quiet.set()
        if self._publishing is not None:
            self._publishing.join()

    def metric(self, name: str) -> float:
        """Read a sample of the worker, summed over its labels; 0 where it cannot be had."""
        try:
            _, page = get(("127.0.0.1", self._port), "/metrics")
        except OSError:
            return 0.0
        return sum(value for sample, value in samples(page).items() if sample.partition("{")[0] == name)

    def alerts(self, **labels: str) -> list[Mapping[str, Any]]:
        """Return the alerts that Alertmanager holds for open, with such labels."""
        found = self.alertmanager.alerts()
        return [each for each in found if all(each["labels"].get(name) == value for name, value in labels.items())]

    def told(self, status: str, **labels: str) -> list[Mapping[str, Any]]:
        """Return the notifications that the receiver was sent about alerts of a status and with such labels."""
        return [
            body
            for body in self.receiver.bodies
            for each in body["alerts"]
            if each["status"] == status and all(each["labels"].get(name) == value for name, value in labels.items())
        ]

    def _sub(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _quick_prometheus(self) -> Path:
        """Write the shipped configuration for servers on loopback, with seconds for minutes."""
        shipped = document("prometheus/prometheus.yml")
        shipped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        targets = {
            "flowhawk": f"127.0.0.1:{self._port}",
            "alertmanager": self.alertmanager.url.removeprefix("http://"),
        }
        shipped["scrape_configs"] = [
            {"job_name": job["job_name"], "static_configs": [{"targets": [targets[job["job_name"]]]}]}
            for job in shipped["scrape_configs"]
            if job["job_name"] in targets
        ]
        shipped["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [targets["alertmanager"]]}]}]
        folder = self._sub("prometheus")
        (folder / "rules").mkdir()
        for path in (CONFIG / "prometheus" / "rules").glob("*.yml"):
            (folder / "rules" / path.name).write_text(_seconds_for_minutes(path.read_text(encoding="utf-8")))
        configuration = folder / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(shipped))
        return configuration


def document(name: str) -> Any:
    """Read a shipped file."""
    return yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))


def _seconds_for_minutes(text: str) -> str:
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            for key in ("expr", "for", "keep_firing_for"):
                if key in rule:
                    rule[key] = _quick(str(rule[key]))
    return str(yaml.safe_dump(rules))


def _quick(text: str) -> str:
    """Write seconds for minutes in what Prometheus reads: 15m becomes 15s.

    >>> _quick("sum(increase(flowhawk_records_total[15m])) == 0")
    'sum(increase(flowhawk_records_total[15s])) == 0'
    """
    return _MINUTES.sub(r"\1s", text)


def quick_alertmanager(receiver: str) -> Any:
    """Give the shipped configuration, but its receiver tells somebody, and everything waits for a second only."""
    shipped = document("alertmanager/alertmanager.yml")
    for route in (shipped["route"], *shipped["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in shipped["receivers"]:
        if each["name"] == "nobody":
            each["webhook_configs"] = [{"url": receiver, "send_resolved": True}]
    return shipped
