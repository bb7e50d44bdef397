import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from detectors.state import Change
from streams.checkpoint import Checkpoints
from streams.kafka_settings import KafkaSettings, TopicSettings, asyncio_arguments
from streams.kafka_storage import KafkaStorage
from streams.output import FencedError, Output
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> KafkaSettings:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_settings.flows.name)
    create_topics(kafka, topic_settings)
    return kafka


@asynccontextmanager
async def storage(
    kafka: KafkaSettings, topics: TopicSettings, *, source: str = "flows/0"
) -> AsyncIterator[KafkaStorage]:
    """Take the storage over, and let go of it."""
    output = Output(kafka, f"{kafka.group_id}/{source}")
    opened = KafkaStorage(kafka, topics.state.name, 0, source, output)
    await output.start()
    try:
        yield opened
    finally:
        await opened.close()
        await output.close()


async def test_what_is_written_can_be_read_by_whoever_comes_next(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    async with storage(kafka, topic_settings) as first:
        assert await first.read() == {}
        await first.write({"a": b"1", "b": b"2", "c": b"3"})
        await first.write({"a": b"11", "b": None})
        await first.seal("m", b"4")
    async with storage(kafka, topic_settings) as second:
        assert await second.read() == {"a": b"11", "c": b"3", "m": b"4"}


async def test_what_is_behind_a_transaction_that_somebody_left_unfinished_is_waited_for(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    dead = AIOKafkaProducer(**asyncio_arguments(kafka), transactional_id=f"{kafka.group_id}/flows/1")
    async with storage(kafka, topic_settings) as opened, dead:
        await dead.begin_transaction()
        await dead.send_and_wait(topic_settings.state.name, b"half", f"{kafka.group_id}/flows/1/m".encode())
        await opened.seal("m", b"1")
        reading = asyncio.create_task(opened.read())
        await asyncio.wait({reading}, timeout=1)
        assert not reading.done()
        await dead.abort_transaction()
        assert await reading == {"m": b"1"}


async def test_reading_does_not_wait_for_more_behind_the_mark_of_a_transaction(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    async with storage(kafka, topic_settings) as opened:
        for number in range(3):
            await opened.seal("m", b"%d" % number)
        begun = time.monotonic()
        assert await opened.read() == {"m": b"2"}
        assert time.monotonic() - begun < 5


async def test_a_successor_shuts_out_what_would_make_a_checkpoint_valid(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    async with storage(kafka, topic_settings) as old:
        await old.seal("m", b"old")
        async with storage(kafka, topic_settings) as new:
            await old.write({"piece": b"old"})
            with pytest.raises(FencedError):
                await old.seal("m", b"too late")
            assert (await new.read())["m"] == b"old"


async def test_other_groups_and_other_sources_keep_theirs_beside_it(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    other = kafka.model_copy(update={"group_id": f"{kafka.group_id}/flows"})
    async with (
        storage(kafka, topic_settings) as one,
        storage(other, topic_settings) as two,
        storage(kafka, topic_settings, source="flows/1") as three,
    ):
        for number, each in enumerate((one, two, three)):
            await each.write({"a": b"%d" % number})
        assert [await each.read() for each in (one, two, three)] == [{"a": b"0"}, {"a": b"1"}, {"a": b"2"}]


async def test_whole_checkpoints_go_through_it(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    large = Change("large", bytes(range(256)) * 20_000)
    async with storage(kafka, topic_settings) as first:
        checkpoints = Checkpoints(first)
        assert (await checkpoints.load()).changes == []
        await checkpoints.save([large, Change("small", b"1")])
        await checkpoints.save([Change("small", b"2")])
    async with storage(kafka, topic_settings) as second:
        assert (await Checkpoints(second).load()).changes == [large, Change("small", b"2")]
