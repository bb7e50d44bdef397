"""The service against a real Kafka: check what it needs, run until a signal, stop in order."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from rich.console import Console

from streams.errors import KafkaUnavailable
from streams.http import HttpEndpoints
from streams.kafka_settings import MOST_PARTS, Topic
from streams.kept_sinks import KeptSinks
from streams.log_limits import RateLimit
from streams.metrics import Metrics
from streams.reload import Reload, Reloaded
from streams.service import Service, stopped
from streams.settings import Settings
from streams.sink_settings import configured_sinks
from streams.sinks import Surroundings
from streams.topics import create_topics, partition_count, require_topics

log = structlog.get_logger(__name__)

_TRACK_SECONDS = 5.0


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set an event on the first SIGINT or SIGTERM; the second one ends the process as usual."""
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, received, number)


def reload_on_signal(reload: Reload) -> None:
    """Read the settings again on SIGHUP."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[Reloaded]] = set()

    def received() -> None:
        task = loop.create_task(reload(), name="reload")
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, received)


async def run(settings: Settings, read: Callable[[], Settings], limit: RateLimit) -> None:
    """Run the service until a signal.

    Parameters
    ----------
    settings
        All settings.
    read
        Reads them again.
    limit
        What keeps lines of the log back.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When no broker answers, a topic is missing, or one has a number of partitions that the topology cannot use.
    streams.errors.ServiceError
        When the port for metrics is taken.
    """
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    await asyncio.to_thread(_prepare_topics, settings)
    log.info("starting", topics=len(settings.topics.of(settings.topology)))
    stop = asyncio.Event()
    metrics = Metrics()
    limit.counted = partial(metrics.add, "flowhawk_log_suppressed_total", 1)
    surroundings = Surroundings(Console(soft_wrap=True), metrics)
    service = Service(settings, configured_sinks(settings.sinks, surroundings), metrics=metrics)
    kept = KeptSinks(settings.sinks, surroundings)

    async def apply(changed: Settings) -> Sequence[str]:
        sinks = await kept.change(changed.sinks)
        await service.retune(changed, sinks)
        return sinks.names

    with HttpEndpoints(settings.http, service.metrics, service.not_ready) as http:
        stop_on_signals(stop)
        reload = Reload(settings, read, apply, service.metrics)
        reload_on_signal(reload)
        async with service:
            http.reload = reload.from_thread
            log.info("running", metrics=f"{http.address}/metrics", flows=settings.topics.flows.name)
            while not await stopped(stop, _TRACK_SECONDS):
                await service.track()
                await service.require_progress()
                limit.tell()
            http.reload = None
            log.info("stopping")
    limit.tell(everything=True)
    log.info("stopped")


def _prepare_topics(settings: Settings) -> None:
    if settings.topics.create:
        create_topics(settings.kafka, settings.topics, report=log.info, topology=settings.topology)
    else:
        require_topics(settings.kafka, settings.topics.of(settings.topology))
    if settings.topology == "by-host":
        _require_single(settings, settings.topics.partials, settings.topics.questions)
        _require_parts(settings)
        return
    flows = settings.topics.flows
    count = partition_count(settings.kafka, flows)
    if count != 1:
        raise KafkaUnavailable(
            f"topology direct reads a topic of one partition, and {flows.name} has {count}; "
            "name another topic in topics.flows.name, or set topology to by-host"
        )


def _require_single(settings: Settings, *topics: Topic) -> None:
    for topic in topics:
        count = partition_count(settings.kafka, topic)
        if count != 1:
            raise KafkaUnavailable(
                f"{topic.name} has {count} partitions where it must have one, as everybody hears everything; delete it "
                "while no worker runs, and create it again with: flowhawk topics create"
            )


def _require_parts(settings: Settings) -> None:
    hosts = settings.topics.flows_by_host
    count = partition_count(settings.kafka, hosts)
    if count > MOST_PARTS:
        raise KafkaUnavailable(
            f"{hosts.name} has {count} partitions, above the {MOST_PARTS} shards of hosts that can be shared out; name "
            "another topic in topics.flows_by_host.name"
        )
