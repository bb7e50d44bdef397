import asyncio
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher

from streams.fetched_records import Records
from streams.fetching import keep_whole
from streams.kafka_settings import KafkaSettings, Topic
from streams.transport import BatchingTransport
from tests.streams.readers import Reader, assert_unbroken, publish, ranges, running

LINE = b"2 123456789010 eni-1 192.0.2.1 10.0.0.5 40000 22 6 3 180 1700000000 1700000050 REJECT OK"
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


async def published(kafka: KafkaSettings, flows: Topic, codec: str | None, each: list[dict[str, Any]]) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers[0], compression_type=codec, linger_ms=50
    ) as producer:
        sent = [await producer.send(flows.name, partition=0, **one) for one in each]
        await asyncio.gather(*sent)


async def test_records_are_what_aiokafka_makes_of_them_however_they_are_written(
    kafka: KafkaSettings, flows: Topic
) -> None:
    kinds: list[list[dict[str, Any]]] = [
        [{"value": LINE + b" %d" % number} for number in range(300)],
        [{"value": LINE, "key": b"host", "headers": [("a", b"b"), ("c", b"%d" % number)]} for number in range(30)],
        [{"value": None, "key": b"\0"}, {"value": b""}, {"value": b"\0" * 70}, {"value": bytes(range(256))}],
        [{"value": LINE, "timestamp_ms": 1_700_000_000_000 - number} for number in range(30)],
    ]
    count = 0
    for codec in CODECS:
        for kind in kinds:
            await published(kafka, flows, codec, kind)
            count += len(kind)
    async with AIOKafkaConsumer(
        flows.name, bootstrap_servers=kafka.bootstrap_servers[0], auto_offset_reset="earliest"
    ) as consumer:
        expected = [await consumer.getone() for _ in range(count)]
    async with running(Reader(kafka, flows.name)) as reader:
        await reader.until(lambda: len(reader.records) >= count)
    assert_unbroken(ranges(reader), 0)
    for found, known in zip(reader.records, expected, strict=True):
        assert (found.offset, found.timestamp) == (known.offset, known.timestamp)
        assert (found.value, tuple(found.headers)) == (known.value or b"", known.headers)


async def test_values_of_an_event_take_no_more_than_they_may_however_they_are_compressed(
    kafka: KafkaSettings, flows: Topic
) -> None:
    value = LINE * 100
    await published(kafka, flows, "zstd", [{"value": value} for _ in range(600)])
    reader = Reader(kafka, flows.name)
    cast("BatchingTransport", reader.app.transport).event_bytes = 1 << 20
    async with running(reader):
        await reader.until(lambda: len(reader.records) >= 600)
    sizes = [int(event.records.sizes.sum()) for event in reader.values]
    assert (1 << 20) - len(value) < max(sizes) <= 1 << 20
    assert_unbroken(ranges(reader), 0)


async def test_the_next_fetch_goes_out_with_the_last_records_of_the_one_before(
    kafka: KafkaSettings, flows: Topic
) -> None:
    publish(kafka, flows, 0, 10)
    async with AIOKafkaConsumer(
        flows.name, bootstrap_servers=kafka.bootstrap_servers[0], auto_offset_reset="earliest", max_poll_records=6
    ) as consumer:
        keep_whole(consumer, frozenset({flows.name}), 1 << 20)
        polls: list[Records] = []
        while sum(map(len, polls)) < 10:
            for (records,) in (await consumer.getmany(timeout_ms=1000, max_records=1)).values():
                polls.append(records)
    assert [poll.offsets.tolist() for poll in polls] == [list(range(6)), list(range(6, 10))]


async def test_batches_that_are_read_in_turn_are_one_event(kafka: KafkaSettings, flows: Topic) -> None:
    values = [b"%d " % number + LINE * 60 for number in range(900)]
    for part in (values[:400], values[400:500], values[500:]):
        headers = [("a", b"b")] if len(part) == 100 else []
        await published(kafka, flows, "zstd", [{"value": value, "headers": headers} for value in part])
    reader = Reader(kafka, flows.name)
    async with running(reader):
        await reader.until(lambda: len(reader.records) >= 900)
    assert len(reader.values) < 3
    assert [record.value for record in reader.records] == values
    assert [record.offset for record in reader.records] == list(range(900))
    assert [len(record.headers) for record in reader.records] == [0] * 400 + [1] * 100 + [0] * 400


async def test_another_aiokafka_that_makes_records_otherwise_is_not_run_with(
    kafka: KafkaSettings, flows: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def otherwise(*_: object) -> bool:
        return False

    async with AIOKafkaConsumer(flows.name, bootstrap_servers=kafka.bootstrap_servers[0]) as consumer:
        monkeypatch.setattr(Fetcher, "_proc_fetch_request", otherwise)
        with pytest.raises(RuntimeError, match=r"aiokafka .* makes records in another way"):
            keep_whole(consumer, frozenset({flows.name}), 1 << 20)
