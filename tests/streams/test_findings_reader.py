import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from aiokafka import ConsumerRecord
from kafka import KafkaProducer

from detectors.finding import Finding
from streams.embedded import API_VERSION, EmbeddedBroker
from streams.findings_reader import FindingsReader, Read, findings_in
from streams.heartbeat import heartbeat
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.found import findings
from tests.streams.topic_records import write

GROUP = "readers"


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> KafkaSettings:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), session_timeout_seconds=6)
    create_topics(kafka, topic_settings)
    return kafka


@pytest.fixture
def topic(topic_settings: TopicSettings) -> str:
    return topic_settings.findings.name


def named(name: str) -> Finding:
    return findings()[0].model_copy(update={"id": name})


def publish(kafka: KafkaSettings, topic: str, *names: str) -> None:
    write(kafka.bootstrap_servers[0], topic, [named(name).model_dump_json().encode() for name in names])


@asynccontextmanager
async def opened(kafka: KafkaSettings, topic: str, *, replays: bool = False) -> AsyncIterator[FindingsReader]:
    reader = FindingsReader(kafka, topic, f"{GROUP}-{topic}", replays=replays)
    await reader.open()
    try:
        yield reader
    finally:
        await reader.close()


async def reading(reader: FindingsReader, holds: Callable[[Read], bool]) -> Read:
    """Read until something holds of what was read."""
    async with asyncio.timeout(60):
        while not holds(read := await reader.read()):
            pass
    return read


def ids(read: Read) -> list[str]:
    return [each.id for each in read.findings]


async def test_reading_goes_on_behind_what_is_done(kafka: KafkaSettings, topic: str) -> None:
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    async with opened(kafka, topic) as reader:
        read = await reading(reader, lambda read: bool(read.findings))
        assert ids(read) == ["a", "b"]
        assert await reader.lag() == 2
        await reader.done(read)
        assert await reader.lag() == 0
        await asyncio.to_thread(publish, kafka, topic, "c")
        await reading(reader, lambda read: ids(read) == ["c"])
    async with opened(kafka, topic) as reader:
        await reading(reader, lambda read: ids(read) == ["c"])


async def test_who_replays_begins_anew_and_hears_when_it_has_caught_up(kafka: KafkaSettings, topic: str) -> None:
    await asyncio.to_thread(publish, kafka, topic, "a", "b")
    for _ in range(2):
        async with opened(kafka, topic, replays=True) as reader:
            read = await reading(reader, lambda read: bool(read.findings))
            assert ids(read) == ["a", "b"]
            await reader.done(read)
            assert read.caught_up
            await asyncio.to_thread(publish, kafka, topic, "c")
            read = await reading(reader, lambda read: ids(read) == ["c"])
            assert not read.caught_up
            await asyncio.to_thread(write, kafka.bootstrap_servers[0], topic, [b""])
        # So that the second round finds what the first did.
        kafka, topic = await fresh(kafka, topic)
        await asyncio.to_thread(publish, kafka, topic, "a", "b")


async def test_a_heartbeat_is_noted_and_is_no_finding(kafka: KafkaSettings, topic: str) -> None:
    beats = [heartbeat(topic, now) for now in (7.25, 9.5)]
    for each in beats:
        await asyncio.to_thread(
            write, kafka.bootstrap_servers[0], topic, [each.value], keys=[each.key or b""], headers=each.headers
        )
    with structlog.testing.capture_logs() as log:
        async with opened(kafka, topic) as reader:
            read = await reading(reader, lambda read: read.beat is not None and max(read.ends.values()) == 2)
            await reader.done(read)
            assert (read.findings, read.beat, await reader.lag()) == ([], 9.5, 0)
    assert [each for each in log if each["log_level"] == "error"] == []


async def fresh(kafka: KafkaSettings, topic: str) -> tuple[KafkaSettings, str]:
    another = f"{topic}-again"
    usual = TopicSettings()
    await asyncio.to_thread(
        create_topics, kafka, usual.model_copy(update={"findings": usual.findings.model_copy(update={"name": another})})
    )
    return kafka, another


async def test_an_empty_topic_is_caught_up_with_at_once(kafka: KafkaSettings, topic: str) -> None:
    async with opened(kafka, topic, replays=True) as reader:
        read = await reading(reader, lambda read: read.caught_up)
        assert read.findings == []


async def test_of_two_readers_one_reads_and_the_other_takes_over(kafka: KafkaSettings, topic: str) -> None:
    await asyncio.to_thread(publish, kafka, topic, "a")
    async with opened(kafka, topic) as second:
        async with opened(kafka, topic) as first:
            got: list[str] = []
            async with asyncio.timeout(60):
                while not got:
                    for reader in (first, second):
                        read = await reader.read()
                        if read.findings and reader.is_current(read):
                            got += ids(read)
            assert got == ["a"]
        # Nothing was done with it, so that whoever is left is given it.
        assert ids(await reading(second, lambda read: bool(read.findings))) == ["a"]


async def test_without_a_group_all_partitions_are_read_from_their_beginning() -> None:
    with EmbeddedBroker() as broker:
        broker.create("findings")
        kafka = KafkaSettings(bootstrap_servers=(broker.address,))
        reader = FindingsReader(kafka, "findings", None, replays=False)
        await asyncio.to_thread(embedded_publish, broker.address)
        await reader.open()
        try:
            got: set[str] = set()
            async with asyncio.timeout(60):
                while len(got) < 8:
                    read = await reader.read()
                    await reader.done(read)
                    got |= set(ids(read))
            assert await reader.lag() == 0
        finally:
            await reader.close()
    assert got == set("abcdefgh")


def embedded_publish(address: str) -> None:
    with KafkaProducer(bootstrap_servers=address, api_version=API_VERSION) as producer:
        for name in "abcdefgh":
            producer.send("findings", named(name).model_dump_json().encode(), name.encode())


def record(value: bytes | None, offset: int = 0) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("findings", 0, offset, 1_767_603_600_000, 0, b"key", value, None, 3, -1, ())


def test_messages_that_are_no_findings_are_named_and_passed_over() -> None:
    good = findings()[0]
    newer = good.model_dump_json().replace('"schema_version":1', '"schema_version":2,"new_field":1')
    values = [b"{}", good.model_dump_json().encode(), None, b"", b"\xff", newer.encode()]
    records = [record(value, offset) for offset, value in enumerate(values)]
    with structlog.testing.capture_logs() as captured:
        assert list(findings_in(records)) == [good]
    assert [entry["where"] for entry in captured] == [f"findings/0 at {offset}" for offset in (0, 4, 5)]
