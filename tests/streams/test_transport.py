import asyncio
from collections.abc import Callable
from typing import cast

from aiokafka import AIOKafkaProducer
from faust.types import TP
from kafka.admin import KafkaAdminClient

from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics
from streams.transport import BatchingConsumer
from tests.streams.readers import Reader, assert_unbroken, committed, numbers, publish, ranges, running, until_committed
from tests.streams.topic_records import read


async def test_events_hold_all_records_in_order_across_polls(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 2500)

    async with running(Reader(kafka, flows.name, poll_records=1000)) as reader:
        await reader.until(lambda: len(reader.records) == 2500)
        await asyncio.to_thread(publish, kafka, flows, 2500, 3000)
        await reader.until(lambda: len(reader.records) >= 3000)

    assert numbers(reader.records) == list(range(3000))
    assert [record.offset for record in reader.records] == list(range(3000))
    assert {event.partition for event in reader.values} == {TP(flows.name, 0)}
    sizes = [len(event.records) for event in reader.values]
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
        await until_committed(kafka, flows, 100)
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
    by_partition = [
        [record for event in reader.values if event.partition.partition == partition for record in event.records]
        for partition in (0, 1)
    ]
    assert [numbers(each) for each in by_partition] == [list(range(900)), list(range(1000, 1900))]


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


async def test_ranges_of_offsets_follow_on_each_other(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 900)
    async with running(Reader(kafka, flows.name, poll_records=100)) as reader:
        await reader.until(lambda: len(reader.records) == 900)
    assert_unbroken(ranges(reader), 0)
    assert all(event.end == event.records[-1].offset + 1 for event in reader.values)
    assert len(reader.values) >= 9


async def test_what_compaction_left_out_is_in_the_ranges(
    kafka: KafkaSettings, topic_names: Callable[[str], str]
) -> None:
    topic = Topic(name=topic_names("compacted"), compacted=True)
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers[0]) as admin:
        settings = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.001"}
        admin.create_topics({topic.name: {"num_partitions": 1, "replication_factor": 1, "configs": settings}})
        admin.wait_for_topics([topic.name])
    for _ in range(4):
        publish(kafka, topic, 0, 50)
        await asyncio.sleep(0.1)
    publish(kafka, topic, 100, 110)
    async with asyncio.timeout(60):
        while len(await asyncio.to_thread(read, kafka.bootstrap_servers[0], topic.name)) > 100:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    async with running(Reader(kafka, topic.name, poll_records=7)) as reader:
        await reader.until(lambda: bool(reader.records) and reader.records[-1].value == b"109")
    assert_unbroken(ranges(reader), 0)
    assert reader.values[-1].end == 210
    assert len(reader.records) <= 100
    assert reader.records[0].offset > 0


async def test_what_transactions_left_out_is_in_the_ranges_and_not_delivered(
    kafka: KafkaSettings, flows: Topic
) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers[0], transactional_id=kafka.group_id
    ) as producer:

        async def transaction(values: range, *, commit: bool) -> None:
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(flows.name, b"%d" % value)
            await (producer.commit_transaction() if commit else producer.abort_transaction())

        await transaction(range(90, 95), commit=False)
        await transaction(range(3), commit=True)
        async with running(Reader(kafka, flows.name, poll_records=2)) as reader:
            await reader.until(lambda: len(reader.records) == 3)
            await transaction(range(95, 99), commit=False)
            await producer.begin_transaction()
            await producer.send_and_wait(flows.name, b"3")
            await asyncio.sleep(0.5)
            assert len(reader.records) == 3
            await producer.commit_transaction()
            await reader.until(lambda: len(reader.records) == 4)
    assert numbers(reader.records) == [0, 1, 2, 3]
    assert_unbroken(ranges(reader), 0)
    # One more, for the mark of the transaction.
    assert reader.values[-1].end == reader.records[-1].offset + 2
    assert await committed(kafka, flows) == reader.values[-1].end


async def test_fetches_wait_as_long_as_they_are_told(kafka: KafkaSettings, flows: Topic) -> None:
    async with running(Reader(kafka.model_copy(update={"fetch_wait_ms": 77}), flows.name)) as reader:
        consumer = cast("BatchingConsumer", reader.app.consumer)._thread._ensure_consumer()
        assert consumer._fetcher._fetch_max_wait_ms == 77
