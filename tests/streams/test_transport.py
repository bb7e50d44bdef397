import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import faust
import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from streams.app import build
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics
from streams.transport import BatchingConsumer
from tests.kafka.broker import KafkaBroker
from tests.streams.topic_records import committed_offset, write

Event = list["ConsumerRecord[bytes, bytes]"]


class Reader:
    """An agent that keeps what it reads, and can be held in the middle of an event."""

    def __init__(self, kafka: KafkaSettings, topic: str, *, batched: bool = True, poll_records: int = 20_000) -> None:
        self.app = build(kafka, frozenset({topic}) if batched else frozenset())
        self.app.conf.broker_max_poll_records = poll_records
        self.app.conf.broker_commit_interval = 0.2
        self.values: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.app.agent(self.app.topic(topic), name="reader", concurrency=1)(self._read)

    @property
    def records(self) -> "Event":
        """The records of all events."""
        return [record for value in self.values for record in value]

    async def _read(self, stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            self.values.append(event.value)
            await self.go_on.wait()

    def under_way(self, topic: str) -> list[int]:
        """Events under way on each partition of a topic that is assigned."""
        consumer = cast("BatchingConsumer", self.app.consumer)
        return [consumer.under_way(each) for each in self.assigned() if each.topic == topic]

    def assigned(self) -> list[TP]:
        """Partitions that this reader reads."""
        return sorted(self.app.consumer.assignment())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, for as long as a broker may reasonably take."""
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 - what holds is a matter of other threads and programs
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[Reader]:
    await reader.app.start()
    try:
        yield reader
    finally:
        reader.go_on.set()
        await reader.app.stop()


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_names: Callable[[str], str]) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_names("group"), fetch_wait_ms=5)


@pytest.fixture
def flows(kafka: KafkaSettings, topic_settings: TopicSettings) -> Topic:
    create_topics(kafka, topic_settings)
    return topic_settings.flows


def publish(kafka: KafkaSettings, topic: Topic, first: int, end: int, *, partition: int = 0) -> None:
    values = [b"%d" % number for number in range(first, end)]
    write(kafka.bootstrap_servers[0], topic.name, values, partition=partition)


async def committed(kafka: KafkaSettings, topic: Topic) -> int | None:
    return await asyncio.to_thread(committed_offset, kafka.bootstrap_servers[0], kafka.group_id, topic.name)


def numbers(records: Event) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def test_events_hold_all_records_in_order_across_polls(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 2500)

    async with running(Reader(kafka, flows.name, poll_records=1000)) as reader:
        await reader.until(lambda: len(reader.records) == 2500)
        await asyncio.to_thread(publish, kafka, flows, 2500, 3000)
        await reader.until(lambda: len(reader.records) >= 3000)

    assert numbers(reader.records) == list(range(3000))
    assert [record.offset for record in reader.records] == list(range(3000))
    assert {(record.topic, record.partition) for record in reader.records} == {(flows.name, 0)}
    sizes = [len(event) for event in reader.values]
    assert max(sizes) == 1000
    assert len(sizes) < 100


async def test_what_was_read_is_committed_by_a_clean_stop_and_not_read_again(
    kafka: KafkaSettings, flows: Topic
) -> None:
    publish(kafka, flows, 0, 500)
    async with running(Reader(kafka, flows.name)) as first:
        await first.until(lambda: len(first.records) == 500)
    assert await committed(kafka, flows) == 500

    publish(kafka, flows, 500, 700)
    async with running(Reader(kafka, flows.name)) as second:
        await second.until(lambda: len(second.records) >= 200)

    assert numbers(second.records) == list(range(500, 700))
    assert await committed(kafka, flows) == 700


async def test_a_stop_in_the_middle_neither_skips_nor_repeats_anything(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 3000)
    async with running(Reader(kafka, flows.name, poll_records=100)) as first:
        await first.until(lambda: len(first.values) >= 5)
    half = len(first.records)
    assert await committed(kafka, flows) == half

    async with running(Reader(kafka, flows.name)) as second:
        await second.until(lambda: half + len(second.records) >= 3000)

    assert numbers(first.records) + numbers(second.records) == list(range(3000))


async def test_offsets_are_committed_while_it_runs_but_never_of_an_event_under_way(
    kafka: KafkaSettings, flows: Topic
) -> None:
    publish(kafka, flows, 0, 100)
    async with running(Reader(kafka, flows.name)) as reader:
        await reader.until(lambda: len(reader.records) == 100)
        async with asyncio.timeout(10):
            while await committed(kafka, flows) != 100:  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(0.05)
        reader.go_on.clear()
        await asyncio.to_thread(publish, kafka, flows, 100, 200)
        await reader.until(lambda: len(reader.records) > 100)
        await asyncio.sleep(2.5 * reader.app.conf.broker_commit_interval)
        assert await committed(kafka, flows) == 100


async def test_at_most_two_events_of_a_partition_are_under_way(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 5000)
    async with running(Reader(kafka, flows.name, poll_records=500)) as reader:
        reader.go_on.clear()
        await reader.until(lambda: len(reader.values) == 1)
        await asyncio.sleep(0.5)
        held = reader.under_way(flows.name)
        reader.go_on.set()
        await reader.until(lambda: len(reader.records) >= 5000)
        await reader.until(lambda: reader.under_way(flows.name) == [0])

    assert held == [2]
    assert numbers(reader.records) == list(range(5000))


async def test_the_bound_holds_for_each_partition_and_each_keeps_its_order(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    flows = topic_settings.flows.model_copy(update={"partitions": 2})
    create_topics(kafka, topic_settings.model_copy(update={"flows": flows}))
    publish(kafka, flows, 0, 900)
    publish(kafka, flows, 1000, 1900, partition=1)
    async with running(Reader(kafka, flows.name, poll_records=100)) as reader:
        reader.go_on.clear()
        await reader.until(lambda: reader.under_way(flows.name) == [2, 2])
        await asyncio.sleep(0.2)
        held = reader.under_way(flows.name)
        reader.go_on.set()
        await reader.until(lambda: len(reader.records) >= 1800)

    assert held == [2, 2]
    by_partition = [[each for each in reader.records if each.partition == partition] for partition in (0, 1)]
    assert [numbers(each) for each in by_partition] == [list(range(900)), list(range(1000, 1900))]
    assert all(len({record.partition for record in event}) == 1 for event in reader.values)


async def test_a_group_that_another_worker_joins_reads_on_without_a_loss(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    flows = topic_settings.flows.model_copy(update={"partitions": 2})
    create_topics(kafka, topic_settings.model_copy(update={"flows": flows}))
    publish(kafka, flows, 0, 500)
    publish(kafka, flows, 500, 1000, partition=1)
    async with running(Reader(kafka, flows.name, poll_records=50)) as first:
        await first.until(lambda: len(first.records) >= 200)
        async with running(Reader(kafka, flows.name, poll_records=50)) as second:
            await second.until(lambda: len(set(first.assigned()) ^ set(second.assigned())) == 2)
            await asyncio.to_thread(publish, kafka, flows, 1000, 1500)
            await asyncio.to_thread(publish, kafka, flows, 1500, 2000, partition=1)
            everything = set(range(2000))
            await second.until(lambda: {*numbers(first.records), *numbers(second.records)} == everything)
        assert len(second.records) >= 500


async def test_topics_that_are_not_batched_are_as_faust_makes_them(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 300)

    async with running(Reader(kafka, flows.name, batched=False)) as reader:
        await reader.until(lambda: len(reader.values) == 300)

    assert reader.values == [b"%d" % number for number in range(300)]
    assert await committed(kafka, flows) == 300
