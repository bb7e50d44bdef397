import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaConsumer, TopicPartition

from streams.embedded import API_VERSION, EmbeddedBroker
from streams.errors import InputError, KafkaUnavailable
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.publish import Published, Publisher
from streams.records.contract import FORMAT_HEADER, WATERMARK_HEADER
from streams.sources.files import FileSource
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)


class _Record(NamedTuple):
    partition: int
    value: bytes
    headers: Mapping[str, bytes]


def _lines(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)  # noqa: S311 - the same lines every time
    return [
        f"2 123456789012 eni-0a1b2c3d 10.0.0.{chance.randrange(256)} 198.51.100.{chance.randrange(256)} "
        f"{chance.randrange(1024, 65536)} 443 6 {chance.randrange(1, 100)} {chance.randrange(40, 9000)} "
        f"{1700000000 + index // 100} {1700000060 + index // 100} ACCEPT OK"
        for index in range(count)
    ]


def _kafka(address: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(address,))


def _read(address: str, topic: str, *, api_version: tuple[int, int] | None = None) -> list[_Record]:
    """Read everything that the topic holds, partition after partition."""
    with KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, api_version=api_version) as consumer:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found: list[_Record] = []
        while any(consumer.position(each) < ends[each] for each in partitions):
            for records in consumer.poll(timeout_ms=200).values():
                found += [_Record(each.partition, each.value, dict(each.headers)) for each in records]
        return sorted(found, key=lambda record: record.partition)


def _text(records: Sequence[_Record]) -> bytes:
    return b"\n".join(record.value for record in records)


@pytest.fixture
def flows(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Topic:
    create_topics(_kafka(kafka_broker.bootstrap), topic_settings)
    return topic_settings.flows


@pytest.mark.parametrize("name", ["flows.log", "flows.log.gz"])
def test_a_file_arrives_byte_for_byte_with_its_format_in_the_headers(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path, name: str
) -> None:
    text = "\n".join([HEADER, *_lines(5000)]).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    source = FileSource(str(path))
    seen: list[Published] = []

    with Publisher(_kafka(kafka_broker.bootstrap), flows, progress=seen.append) as publisher:
        publisher.publish(source)
        published = publisher.finish()

    records = _read(kafka_broker.bootstrap, flows.name)
    assert _text(records) == text
    assert {record.headers[FORMAT_HEADER] for record in records} == {HEADER.encode()}
    assert 1 < len(records) == published.messages
    assert published.records == 5000
    assert published.bytes == sum(len(record.value) for record in records)
    assert source.acknowledged == len(text)
    assert seen == sorted(seen)
    assert seen[-1] == published


def test_one_record_per_message_keeps_order_and_headers(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path
) -> None:
    lines = [HEADER, *_lines(3000)]
    path = tmp_path / "flows.log"
    path.write_text("\n".join(lines) + "\n")
    source = FileSource(str(path), block_bytes=20_000)

    with Publisher(_kafka(kafka_broker.bootstrap), flows, records_per_message=1) as publisher:
        publisher.publish(source)
        published = publisher.finish()

    records = _read(kafka_broker.bootstrap, flows.name)
    assert [record.value.decode() for record in records] == lines
    assert {record.headers[FORMAT_HEADER] for record in records} == {HEADER.encode()}
    assert published == Published(3000, sum(map(len, lines)), 3001)
    assert source.acknowledged == path.stat().st_size


def test_blocks_are_cut_into_messages_of_so_many_records(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path
) -> None:
    lines = _lines(10)
    path = tmp_path / "flows.log"
    path.write_text("\n".join(lines) + "\n")

    with Publisher(_kafka(kafka_broker.bootstrap), flows, records_per_message=4) as publisher:
        publisher.publish(FileSource(str(path)))
        publisher.finish()

    values = [record.value.decode().split("\n") for record in _read(kafka_broker.bootstrap, flows.name)]
    assert values == [lines[:4], lines[4:8], lines[8:]]


def test_a_complete_input_ends_every_partition_with_the_mark(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    flows = topic_settings.flows.model_copy(update={"partitions": 3})
    create_topics(_kafka(kafka_broker.bootstrap), topic_settings.model_copy(update={"flows": flows}))
    path = tmp_path / "flows.log"
    path.write_text("\n".join(_lines(2000)))

    with Publisher(_kafka(kafka_broker.bootstrap), flows) as publisher:
        publisher.publish(FileSource(str(path), block_bytes=4096))
        publisher.finish(complete=True)

    records = _read(kafka_broker.bootstrap, flows.name)
    for partition in range(3):
        last = [record for record in records if record.partition == partition][-1]
        assert last == _Record(partition, b"", {WATERMARK_HEADER: b"end"})
    assert len([record for record in records if WATERMARK_HEADER in record.headers]) == 3


def test_admission_is_asked_for_every_message_and_may_put_an_end_to_it(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path
) -> None:
    path = tmp_path / "flows.log"
    path.write_text("\n".join(_lines(4000)))
    asked: list[int] = []

    def admit(size: int) -> bool:
        asked.append(size)
        return len(asked) <= 3

    with Publisher(_kafka(kafka_broker.bootstrap), flows, admit=admit) as publisher:
        publisher.publish(FileSource(str(path), block_bytes=8192))
        publisher.publish(FileSource(str(path), block_bytes=8192))
        publisher.finish(complete=True)

    assert [len(record.value) for record in _read(kafka_broker.bootstrap, flows.name)] == asked[:3]
    assert len(asked) == 4


def test_bytes_in_flight_are_bounded(kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text("\n".join(_lines(20_000)))
    sent = 0
    ahead: list[int] = []

    def admit(size: int) -> bool:
        nonlocal sent
        ahead.append(sent - publisher.published.bytes)
        sent += size
        return True

    with Publisher(_kafka(kafka_broker.bootstrap), flows, admit=admit, in_flight_bytes=50_000) as publisher:
        publisher.publish(FileSource(str(path), block_bytes=10_000))
        publisher.finish()

    assert max(ahead) <= 50_000
    assert len(ahead) > 100


def test_a_block_that_no_message_can_hold_is_named_and_the_next_source_goes(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path
) -> None:
    binary, good = tmp_path / "binary", tmp_path / "good.log"
    binary.write_bytes((b"x" * 1023 + b"\n") * (5 << 10))
    good.write_text("\n".join(_lines(10)))

    with Publisher(_kafka(kafka_broker.bootstrap), flows) as publisher:
        with pytest.raises(InputError, match=r"binary:1: 5,242,879 bytes of lines do not fit"):
            publisher.publish(FileSource(str(binary), block_bytes=5 << 20))
        publisher.publish(FileSource(str(good)))
        publisher.finish()

    assert _text(_read(kafka_broker.bootstrap, flows.name)) == good.read_bytes()


def test_a_message_that_the_topic_refuses_is_told_with_its_remedy(
    kafka_broker: KafkaBroker, flows: Topic, tmp_path: Path
) -> None:
    path = tmp_path / "noise"
    path.write_bytes(random.Random(1).randbytes(2 << 20))  # noqa: S311 - noise, no secret

    with Publisher(_kafka(kafka_broker.bootstrap), flows) as publisher:
        publisher.publish(FileSource(str(path), block_bytes=2 << 20))
        with pytest.raises(KafkaUnavailable, match=f"raise max.message.bytes of the topic {flows.name}"):
            publisher.finish()


def test_through_the_embedded_broker(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text("\n".join(_lines(5000)))

    with EmbeddedBroker() as broker:
        broker.create("flows")
        with Publisher(
            _kafka(broker.address), Topic(name="flows"), partition=0, compression=None, api_version=API_VERSION
        ) as publisher:
            publisher.publish(FileSource(str(path)))
            publisher.finish(complete=True)
        *records, last = _read(broker.address, "flows", api_version=API_VERSION)

    assert _text(records) == path.read_bytes()
    assert last == _Record(0, b"", {WATERMARK_HEADER: b"end"})


def test_a_missing_topic_says_how_to_create_it(kafka_broker: KafkaBroker, topic_names: Callable[[str], str]) -> None:
    name = topic_names("nowhere")

    with pytest.raises(KafkaUnavailable, match=f"topic {name} is not on the broker .* flowhawk topics create"):
        Publisher(_kafka(kafka_broker.bootstrap), Topic(name=name))


def test_an_unreachable_broker_is_one_clear_line() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(KafkaUnavailable, match=f"no Kafka broker answers at {address}; check kafka.bootstrap"):
            Publisher(_kafka(address), Topic(name="flows"))


def test_nothing_is_acknowledged_that_a_killed_broker_does_not_have(
    own_kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    broker, flows = own_kafka_broker, TopicSettings().flows
    create_topics(_kafka(broker.bootstrap), TopicSettings())
    text = "\n".join(_lines(60_000)).encode()
    path = tmp_path / "flows.log"
    path.write_bytes(text)
    source = FileSource(str(path), block_bytes=10_000)

    def kill_when_under_way(_: int) -> bool:
        if source.acknowledged > 500_000 and killed.acquire(blocking=False):
            broker.kill()
        return True

    killed = threading.Lock()
    begin = time.monotonic()
    with Publisher(
        _kafka(broker.bootstrap), flows, admit=kill_when_under_way, in_flight_bytes=200_000, delivery_seconds=2
    ) as publisher:
        with pytest.raises(KafkaUnavailable, match="does not take records any more"):
            publisher.publish(source)
        published = publisher.published
    assert time.monotonic() - begin < 30

    broker.start()
    kept = _text(_read(broker.bootstrap, flows.name))
    assert 500_000 < source.acknowledged < len(text)
    assert kept == text[: len(kept)]
    assert len(kept) >= source.acknowledged - 1
    assert published.records == text[: source.acknowledged].count(b"\n")


def test_a_broker_that_comes_back_in_time_gets_everything_once_and_in_order(
    own_kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    broker, flows = own_kafka_broker, TopicSettings().flows
    create_topics(_kafka(broker.bootstrap), TopicSettings())
    path = tmp_path / "flows.log"
    path.write_text("\n".join(_lines(60_000)))
    source = FileSource(str(path), block_bytes=10_000)
    back = threading.Thread(target=broker.start)

    def kill_when_under_way(_: int) -> bool:
        if source.acknowledged > 500_000 and killed.acquire(blocking=False):
            broker.kill()
            back.start()
        return True

    killed = threading.Lock()
    with Publisher(_kafka(broker.bootstrap), flows, admit=kill_when_under_way, in_flight_bytes=200_000) as publisher:
        publisher.publish(source)
        publisher.finish()
    back.join()

    assert killed.locked()
    assert _text(_read(broker.bootstrap, flows.name)) == path.read_bytes()
