"""Everything in one process: an embedded broker, the service, and sources published through them."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from detectors.finding import Finding
from streams.embedded import API_VERSION, BATCH_BYTES, LINGER_MS, EmbeddedBroker, Pace
from streams.errors import InputError
from streams.http import HttpEndpoints
from streams.pipeline import Batch
from streams.publish import Publisher
from streams.running import stop_on_signals
from streams.service import Service, stopped
from streams.settings import Settings
from streams.sinks import Delivery, Sink, Surroundings
from streams.sinks.json_lines import JsonLines
from streams.sinks.terminal import Terminal
from streams.sources import Source
from streams.sources.merged import MergedSource

FETCH_WAIT_MS: Final = 5
"""The mock broker does not wake a waiting fetch when data arrives, so there the wait is the latency."""

_REFRESH_SECONDS: Final = 0.1
_COUNT_SECONDS: Final = 0.5
"""Hosts are counted in the thread of the stages, which has better to do."""

_STAY_SECONDS: Final = 1.0
_GIVE_UP_SECONDS: Final = 2.0
"""How long a publisher that was told to stop may go on; a read of a pipe may never return."""


@dataclass
class Summary:
    """What a run came to.

    Attributes
    ----------
    published, records, refused, late
        Lines sent; records counted, lines refused, records too late.
    seconds
        From the first line to the last finding.
    hosts
        Distinct hosts among the records of the last hour.
    findings
        Findings raised, by kind.
    metrics, json_lines
        Where the metrics are, and where the findings were written.
    failures
        Why sources could not be read to their end.
    interrupted
        Whether it was told to stop before everything was read.
    """

    published: int = 0
    records: int = 0
    refused: int = 0
    late: int = 0
    seconds: float = 0.0
    hosts: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    metrics: str = ""
    json_lines: Path | None = None
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False


class _TallySettings(BaseModel):
    """Nothing can be set."""


class _Tally(Sink):
    """Counts the findings by kind, each once."""

    name = "tally"
    settings = _TallySettings

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    @classmethod
    def make(cls, settings: _TallySettings, surroundings: Surroundings) -> Self:
        del settings, surroundings
        return cls()

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        self._kinds |= {finding.id: finding.kind for finding in findings}
        return Delivery.DELIVERED

    def by_kind(self) -> Counter[str]:
        return Counter(self._kinds.values())


class Up:
    """One run of everything.

    Parameters
    ----------
    settings
        All settings; the broker's address is replaced by the embedded one.
    sources
        What to publish.
    json_lines
        File for the findings.
    output, messages
        Where findings and where progress are shown.
    """

    def __init__(
        self, settings: Settings, sources: Sequence[Source], json_lines: Path, output: Console, messages: Console
    ) -> None:
        self._settings = settings
        self._source = MergedSource(sources, settings.records)
        self._output = output
        self._messages = messages
        self._pace = Pace()
        self._sent_messages: int | None = None
        self._consumed_messages = 0
        self.summary = Summary(json_lines=json_lines)

    async def run(self, *, stay: bool = False) -> Summary:
        """Publish the sources and wait until every finding is out; with `stay`, then wait for a signal.

        Raises
        ------
        streams.errors.FlowhawkError
            When the service cannot start, or the broker fails.
        """
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        # aiokafka announces each topic that it meets for the first time on a broker that creates it.
        logging.getLogger("aiokafka").setLevel(logging.ERROR)
        stop = asyncio.Event()
        tally = _Tally()
        assert self.summary.json_lines is not None  # noqa: S101 - set by the constructor
        sinks = [tally, JsonLines(self.summary.json_lines), Terminal(self._output)]
        with EmbeddedBroker() as broker:
            settings = self._embedded(broker.address)
            broker.create(*(topic.name for topic in settings.topics.all))
            service = Service(settings, sinks, self._consumed, durable=False, early=False)
            with HttpEndpoints(settings.http, service.metrics, service.not_ready) as http:
                self.summary.metrics = f"{http.address}/metrics"
                stop_on_signals(stop)
                async with service:
                    await self._until_done(service, settings, stop)
                    self.summary.findings = tally.by_kind()
                    await self._count(service)
                    show(self.summary, self._messages)
                    while stay and not await stopped(stop, _STAY_SECONDS):
                        await service.track()
        return self.summary

    def _embedded(self, address: str) -> Settings:
        kafka = self._settings.kafka.model_copy(
            update={"bootstrap_servers": (address,), "security_protocol": "PLAINTEXT", "fetch_wait_ms": FETCH_WAIT_MS}
        )
        # One process has all partitions there are, and a broker that keeps nothing has no use for others.
        return self._settings.model_copy(update={"kafka": kafka, "topology": "direct"})

    async def _until_done(self, service: Service, settings: Settings, stop: asyncio.Event) -> None:
        begun = counted = time.monotonic()
        publishing = self._publishing(settings)
        with self._progress() as progress:
            task = progress.add_task("", total=None)
            while not self._done(service, publishing):
                if await stopped(stop, _REFRESH_SECONDS):
                    self.summary.interrupted = True
                    break
                self.summary.seconds = time.monotonic() - begun
                if time.monotonic() - counted >= _COUNT_SECONDS:
                    await self._count(service)
                    counted = time.monotonic()
                progress.update(
                    task,
                    total=self._source.size or None,
                    completed=self._source.consumed,
                    description=self._speed(),
                )
        self._pace.stop()
        await asyncio.wait([publishing], timeout=_GIVE_UP_SECONDS)
        if publishing.done():
            publishing.result()
        self.summary.seconds = time.monotonic() - begun

    def _publishing(self, settings: Settings) -> "asyncio.Future[None]":
        """Publish in a thread that ends with the process, whatever it waits for."""
        published: Future[None] = Future()

        def publish() -> None:
            try:
                self._publish(settings)
            except Exception as error:  # noqa: BLE001 - raised again where the outcome is awaited
                published.set_exception(error)
            else:
                published.set_result(None)

        threading.Thread(target=publish, name="publish", daemon=True).start()
        return asyncio.wrap_future(published)

    def _done(self, service: Service, publishing: "asyncio.Future[None]") -> bool:
        if not publishing.done():
            return False
        publishing.result()
        everything = self._consumed_messages == self._sent_messages
        return everything and service.notify.notified >= service.watch.published

    def _publish(self, settings: Settings) -> None:
        with Publisher(
            settings.kafka,
            settings.topics.flows,
            admit=self._pace.admit,
            partition=0,
            compression=None,
            api_version=API_VERSION,
            batch_bytes=BATCH_BYTES,
            linger_ms=LINGER_MS,
        ) as publisher:
            try:
                publisher.publish(self._source)
            except InputError as error:
                self.summary.failures = str(error).splitlines()
            published = publisher.finish(complete=True)
        self._sent_messages = published.messages
        self.summary.published = published.records

    def _consumed(self, batch: Batch) -> None:
        self._consumed_messages += len(batch.messages)
        self._pace.consumed(batch.bytes)

    async def _count(self, service: Service) -> None:
        metrics, summary = service.metrics, self.summary
        await service.track()
        summary.records = int(metrics.value("flowhawk_records_total"))
        summary.refused = int(metrics.value("flowhawk_refused_total"))
        summary.late = int(metrics.value("flowhawk_late_total"))
        summary.hosts = max(summary.hosts, int(metrics.value("flowhawk_hosts")))

    def _speed(self) -> str:
        rate = self.summary.records / max(self.summary.seconds, 1e-3)
        return f"{self.summary.records:,} records, {rate:,.0f} a second, {self.summary.hosts:,} hosts"

    def _progress(self) -> Progress:
        return Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._messages,
            transient=True,
            disable=not self._messages.is_terminal,
        )


def show(summary: Summary, console: Console) -> None:
    """Print what a run came to."""
    rows: Iterable[tuple[str, str]] = (
        ("records", _records(summary)),
        ("hosts", f"{summary.hosts:,}"),
        ("findings", _findings(summary.findings)),
        ("metrics", summary.metrics),
        ("written to", str(summary.json_lines)),
    )
    console.print()
    if summary.interrupted:
        console.print("interrupted: what was not read by then is not counted")
    for name, value in rows:
        console.print(Text.assemble((name.ljust(12), "dim"), value), soft_wrap=True)


def _records(summary: Summary) -> str:
    rate = summary.records / max(summary.seconds, 1e-3)
    parts = [f"{summary.records:,} in {summary.seconds:.1f} s, {rate:,.0f} a second"]
    parts += [f"{summary.refused:,} refused"] if summary.refused else []
    parts += [f"{summary.late:,} too late"] if summary.late else []
    return "; ".join(parts)


def _findings(findings: Counter[str]) -> str:
    if not findings:
        return "none"
    return f"{findings.total():,}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(findings.items()))


def raise_failures(summary: Summary) -> None:
    """Fail when a source could not be read, now that everything else is done.

    Raises
    ------
    streams.errors.InputError
        When there was one.
    """
    if summary.failures:
        raise InputError("\n".join(summary.failures))
