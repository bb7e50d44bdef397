"""An agent that keeps what it reads through the batching transport."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import faust
from aiokafka import ConsumerRecord
from faust.types import TP

from streams.app import build
from streams.kafka_settings import KafkaSettings, Topic
from streams.transport import BatchingConsumer, Positions
from tests.streams.topic_records import committed_offset, write

Event = list["ConsumerRecord[bytes, bytes]"]


class Reader:
    """An agent that keeps what it reads, and can be held in the middle of an event."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        batched: bool = True,
        poll_records: int = 20_000,
        positions: Positions | None = None,
    ) -> None:
        self.app = build(kafka, frozenset({topic}) if batched else frozenset(), positions)
        self.app.conf.broker_max_poll_records = poll_records
        self.app.conf.broker_commit_interval = 0.2
        self.values: list[Any] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.app.agent(self.app.topic(topic), name="reader", concurrency=1)(self._read)

    @property
    def records(self) -> "Event":
        """The records of all events."""
        return [record for value in self.values for record in value.records]

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


def publish(kafka: KafkaSettings, topic: Topic, first: int, end: int, *, partition: int = 0) -> None:
    values = [b"%d" % number for number in range(first, end)]
    write(kafka.bootstrap_servers[0], topic.name, values, partition=partition)


async def committed(kafka: KafkaSettings, topic: Topic) -> int | None:
    return await asyncio.to_thread(committed_offset, kafka.bootstrap_servers[0], kafka.group_id, topic.name)


def numbers(records: Event) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def until_committed(kafka: KafkaSettings, topic: Topic, offset: int) -> None:
    async with asyncio.timeout(10):
        while await committed(kafka, topic) != offset:  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.05)


def ranges(reader: Reader) -> list[tuple[int, int]]:
    return [(event.begin, event.end) for event in reader.values]


def assert_unbroken(found: list[tuple[int, int]], begin: int) -> None:
    """Each range must begin where the one before it ended."""
    assert [each[0] for each in found] == [begin, *(each[1] for each in found[:-1])]
