import asyncio

import pytest
from faust.types import TP
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics
from streams.transport import Positions
from tests.streams.readers import Reader, committed, numbers, publish, ranges, running, until_committed


class KeptPositions(Positions):
    """Positions that a test decides on."""

    def __init__(self, position: int | None = None, committable: int | None = None) -> None:
        self.at, self.safe = position, committable
        self.go_on = asyncio.Event()
        self.let_go = asyncio.Event()
        for each in (self.go_on, self.let_go):
            each.set()
        self.calls: list[str] = []

    async def assigned(self, partition: TP) -> None:
        self.calls.append(f"assigned {partition.partition}")
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.calls.append(f"cancelled {partition.partition}")
            raise

    async def revoked(self, partition: TP) -> None:
        self.calls.append(f"revoked {partition.partition}")
        await self.let_go.wait()

    def position(self, partition: TP) -> int | None:
        del partition
        return self.at

    def committable(self, partition: TP) -> int | None:
        del partition
        return self.safe


async def test_a_log_that_was_cut_off_shows_as_a_gap(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 100)
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers[0]) as admin:
        admin.delete_records({TopicPartition(flows.name, 0): 60})
    async with running(Reader(kafka, flows.name, positions=KeptPositions(position=10))) as reader:
        await reader.until(lambda: len(reader.records) == 40)
    assert ranges(reader)[0][0] == 60


@pytest.mark.parametrize("committed_before", [None, 10, 90])
async def test_a_position_that_is_kept_elsewhere_counts_more_than_the_committed_one(
    kafka: KafkaSettings, flows: Topic, committed_before: int | None
) -> None:
    publish(kafka, flows, 0, 100)
    if committed_before is not None:
        with KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers[0]) as admin:
            offset = OffsetAndMetadata(committed_before, "", -1)
            admin.alter_group_offsets(kafka.group_id, {TopicPartition(flows.name, 0): offset})
    async with running(Reader(kafka, flows.name, positions=KeptPositions(position=50))) as reader:
        await reader.until(lambda: len(reader.records) >= 50)
        await asyncio.sleep(0.2)
    assert numbers(reader.records) == list(range(50, 100))
    assert ranges(reader)[0][0] == 50


async def test_nothing_is_delivered_before_the_position_is_known(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 10)
    positions = KeptPositions(position=4)
    positions.go_on.clear()
    async with running(Reader(kafka, flows.name, positions=positions)) as reader:
        await reader.until(lambda: positions.calls == ["assigned 0"])
        await asyncio.sleep(0.5)
        assert reader.values == []
        positions.go_on.set()
        await reader.until(lambda: len(reader.records) == 6)
    assert numbers(reader.records) == list(range(4, 10))


async def test_no_more_is_committed_than_is_allowed(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 100)
    positions = KeptPositions(committable=0)
    async with running(Reader(kafka, flows.name, positions=positions)) as reader:
        await reader.until(lambda: len(reader.records) == 100)
        await asyncio.sleep(3 * reader.app.conf.broker_commit_interval)
        assert await committed(kafka, flows) is None
        positions.safe = 40
        await until_committed(kafka, flows, 40)
        positions.safe = 70
    assert await committed(kafka, flows) == 70


async def test_a_commit_that_was_lost_is_made_up_for_without_anything_new(kafka: KafkaSettings, flows: Topic) -> None:
    publish(kafka, flows, 0, 100)
    async with running(Reader(kafka, flows.name, positions=KeptPositions(position=100, committable=100))):
        await until_committed(kafka, flows, 100)


async def test_a_position_that_cannot_be_found_stops_the_application(kafka: KafkaSettings, flows: Topic) -> None:
    class Broken(Positions):
        async def assigned(self, partition: TP) -> None:
            raise LookupError(f"no position of {partition.topic}")

    async with running(Reader(kafka, flows.name, positions=Broken())) as reader:
        await reader.until(lambda: reader.app.crashed)
        assert "no position of" in str(reader.app.crash_reason)


async def test_a_position_that_is_found_after_the_application_has_stopped_is_of_no_use_and_does_no_harm(
    kafka: KafkaSettings, flows: Topic
) -> None:
    positions = KeptPositions(position=0)
    positions.go_on.clear()
    async with running(Reader(kafka, flows.name, positions=positions)) as reader:
        await reader.until(lambda: positions.calls == ["assigned 0"])
    (finding,) = (each for each in asyncio.all_tasks() if "_find_position" in repr(each))
    positions.go_on.set()
    await finding
    assert not reader.app.crashed


async def test_a_partition_goes_to_others_once_it_was_let_go_of(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    flows = topic_settings.flows.model_copy(update={"partitions": 2})
    create_topics(kafka, topic_settings.model_copy(update={"flows": flows}))
    publish(kafka, flows, 0, 10)
    positions = KeptPositions()
    reader, second = Reader(kafka, flows.name, poll_records=1, positions=positions), Reader(kafka, flows.name)
    async with running(reader):
        await reader.until(lambda: len(reader.records) == 10)
        reader.go_on.clear()
        await asyncio.to_thread(publish, kafka, flows, 10, 20)
        await reader.until(lambda: reader.under_way(flows.name)[0] == 2)
        # Starting takes until the group has shared the partitions out.
        starting = asyncio.create_task(second.app.start())
        await reader.until(lambda: reader.app.rebalancing)
        await asyncio.sleep(0.5)
        assert len(positions.calls) == 2
        positions.let_go.clear()
        reader.go_on.set()
        await reader.until(lambda: len(positions.calls) == 3)
        await asyncio.sleep(0.5)
        assert not starting.done()
        positions.let_go.set()
        await starting
        await reader.until(lambda: set(range(20)) <= {*numbers(reader.records), *numbers(second.records)})
        await second.app.stop()
    assert sorted(positions.calls[:2]) == ["assigned 0", "assigned 1"]
    assert sorted(positions.calls[2:4]) == ["revoked 0", "revoked 1"]
    assert numbers(reader.records)[:11] == list(range(11))


async def test_finding_a_position_is_given_up_when_the_partition_is_revoked(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    create_topics(kafka, topic_settings)
    flows = topic_settings.flows
    publish(kafka, flows, 0, 10)
    positions = KeptPositions()
    positions.go_on.clear()
    reader = Reader(kafka, flows.name, positions=positions)
    async with running(reader):
        await reader.until(lambda: positions.calls == ["assigned 0"])
        async with running(Reader(kafka, flows.name)) as second:
            await reader.until(lambda: positions.calls[1:3] == ["cancelled 0", "revoked 0"])
            positions.go_on.set()
            await reader.until(lambda: len(reader.records) + len(second.records) == 10)
