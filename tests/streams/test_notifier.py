import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.kept_sinks import SinkChange
from streams.metrics import Metrics
from streams.notifier import Notifier
from streams.sinks import Delivery, Sink
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.found import findings
from tests.streams.sinks.stand_ins import Obedient, Other, Replaying, Stuck
from tests.streams.topic_records import committed_offset, write


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> KafkaSettings:
    kafka = KafkaSettings(
        bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_settings.flows.name, session_timeout_seconds=6
    )
    create_topics(kafka, topic_settings)
    return kafka


@pytest.fixture
def topic(topic_settings: TopicSettings) -> str:
    return topic_settings.findings.name


def publish(kafka: KafkaSettings, topic: str, *names: str) -> None:
    found = [findings()[0].model_copy(update={"id": name}) for name in names]
    write(kafka.bootstrap_servers[0], topic, [each.model_dump_json().encode() for each in found])


@asynccontextmanager
async def notifying(kafka: KafkaSettings, topic: str, *sinks: Sink) -> AsyncIterator[tuple[Notifier, Metrics]]:
    metrics = Metrics()
    notifier = Notifier(kafka, topic, sinks, metrics, durable=True)
    notifier.start()
    try:
        yield notifier, metrics
    finally:
        await notifier.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.01)


async def test_a_sink_that_never_answers_keeps_nothing_from_another(kafka: KafkaSettings, topic: str) -> None:
    stuck, other = Stuck(), Other()
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    async with notifying(kafka, topic, stuck, other) as (notifier, metrics):
        await until(lambda: other.ids == ["a", "b"])
        await asyncio.to_thread(publish, kafka, topic, "c")
        await until(lambda: other.ids == ["a", "b", "c"])
        assert notifier.notified == 0
        assert metrics.value("flowhawk_sink_delivered_total", {"sink": "other"}) == 3
        assert metrics.value("flowhawk_sink_delivered_total", {"sink": "stuck"}) == 0


async def test_each_sink_goes_on_where_it_was(kafka: KafkaSettings, topic: str) -> None:
    failing, other = Obedient(*[Delivery.RETRY] * 1000), Other()
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    async with notifying(kafka, topic, failing, other):
        await until(lambda: other.ids == ["a", "b"] and len(failing.offered) > 1)
    assert failing.taken == []
    address = kafka.bootstrap_servers[0]
    assert await asyncio.to_thread(committed_offset, address, f"{kafka.group_id}-other", topic) == 2
    assert await asyncio.to_thread(committed_offset, address, f"{kafka.group_id}-obedient", topic) is None

    well, other = Obedient(), Other()
    await asyncio.to_thread(publish, kafka, topic, "c")
    async with notifying(kafka, topic, well, other):
        await until(lambda: well.ids == ["a", "b", "c"] and other.ids == ["c"])


async def test_a_sink_that_replays_hears_everything_each_time(kafka: KafkaSettings, topic: str) -> None:
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    for _ in range(2):
        sink = Replaying()
        async with notifying(kafka, topic, sink):
            await until(lambda sink=sink: "caught up" in sink.log)  # type: ignore[misc]  # bound now, not later
        assert sink.ids == ["a", "b"]
        assert sink.log.index("restart") < sink.log.index("deliver")


async def test_a_broker_that_restarts_is_waited_for(
    own_kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    kafka = KafkaSettings(bootstrap_servers=(own_kafka_broker.bootstrap,), session_timeout_seconds=6)
    create_topics(kafka, topic_settings)
    topic, sink = topic_settings.findings.name, Obedient()
    await asyncio.to_thread(publish, kafka, topic, "a")
    async with notifying(kafka, topic, sink):
        await until(lambda: sink.ids == ["a"])
        await asyncio.to_thread(own_kafka_broker.restart)
        await asyncio.to_thread(publish, kafka, topic, "b")
        await until(lambda: "b" in sink.ids)


def test_the_metrics_of_each_sink_begin_at_zero() -> None:
    metrics = Metrics()
    Notifier(KafkaSettings(), "findings", [Obedient(), Other()], metrics, durable=True)
    for name in ("delivered_total", "hopeless_total", "failures_total", "lag", "last_success_timestamp_seconds"):
        for sink in ("obedient", "other"):
            assert metrics.registry.get_sample_value(f"flowhawk_sink_{name}", {"sink": sink}) == 0


async def test_a_sink_that_is_made_anew_reads_on_and_others_are_not_disturbed(kafka: KafkaSettings, topic: str) -> None:
    first, second, other = Obedient(), Obedient(), Other()
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    async with notifying(kafka, topic, first, other) as (notifier, metrics):
        await until(lambda: first.ids == other.ids == ["a", "b"])
        await notifier.change(SinkChange(frozenset({"obedient"}), (second,)))
        await asyncio.to_thread(publish, kafka, topic, "c")
        await until(lambda: second.ids == ["c"] and other.ids == ["a", "b", "c"])
        assert first.log[-1] == "close"
        assert "close" not in other.log
        assert other.log.count("start") == 1
        assert metrics.value("flowhawk_sink_delivered_total", {"sink": "obedient"}) == 1
        assert metrics.value("flowhawk_sink_delivered_total", {"sink": "other"}) == 3


async def test_what_a_sink_could_not_deliver_is_for_the_one_that_takes_its_place(
    kafka: KafkaSettings, topic: str
) -> None:
    failing, well = Obedient(*[Delivery.RETRY] * 1000), Obedient()
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    async with notifying(kafka, topic, failing) as (notifier, _):
        await until(lambda: len(failing.offered) > 1)
        await notifier.change(SinkChange(frozenset({"obedient"}), (well,)))
        await until(lambda: well.ids == ["a", "b"])


async def test_of_a_sink_that_ends_no_metric_is_left(kafka: KafkaSettings, topic: str) -> None:
    sink, other, new = Obedient(), Other(), Replaying()
    async with notifying(kafka, topic, sink, other) as (notifier, metrics):
        await until(lambda: "start" in sink.log)
        await notifier.change(SinkChange(frozenset({"obedient"}), (new,)))
        shown = generate_latest(metrics.registry).decode()
        assert [name in shown for name in ('sink="obedient"', 'sink="other"', 'sink="replaying"')] == [
            False,
            True,
            True,
        ]
        await notifier.change(SinkChange(frozenset({"other", "replaying"})))
        assert 'sink="' not in generate_latest(metrics.registry).decode()


async def test_a_sink_that_does_not_end_well_keeps_no_other_from_beginning(kafka: KafkaSettings, topic: str) -> None:
    class Broken(Other):
        async def close(self) -> None:
            raise ZeroDivisionError

    broken, sink = Broken(), Obedient()
    await asyncio.to_thread(publish, kafka, topic, "a")
    async with notifying(kafka, topic, broken) as (notifier, _):
        await until(lambda: broken.ids == ["a"])
        await notifier.change(SinkChange(frozenset({"other"}), (sink,)))
        await until(lambda: sink.ids == ["a"])
