import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from faust.types import TP
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.metrics import Metrics
from streams.output import FencedError, OutputError, ProducerRecord
from streams.partitions import Partitions
from streams.pipeline import Outcome
from streams.settings import Settings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import block, scan
from tests.streams.found import batch
from tests.streams.topic_records import write


class FailedError(Exception):
    """Instead of the end of the process."""


def failed(what: str, error: Exception) -> NoReturn:
    raise FailedError(f"{what}: {error}") from error


@pytest.fixture
def settings(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Settings:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=f"group-{topic_settings.flows.name}")
    create_topics(kafka, topic_settings)
    write(kafka_broker.bootstrap, topic_settings.flows.name, [block(scan())] * 4)
    return Settings(kafka=kafka, topics=topic_settings)


@pytest.fixture
def flows(settings: Settings) -> TP:
    return TP(settings.topics.flows.name, 0)


Make = Callable[..., Partitions]


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[Make]:
    """Give a function that makes the partitions of one worker."""
    made: list[Partitions] = []
    with ThreadPoolExecutor(1) as executor:

        def make(*, durable: bool = True) -> Partitions:
            made.append(Partitions(settings, Metrics(), executor, durable=durable, failed=failed))
            return made[-1]

        yield make
        for each in made:
            await each.close()


async def take(partitions: Partitions, partition: TP, *, begin: int, messages: int) -> None:
    """Process messages of a partition."""

    async def write_nothing(_: Outcome) -> None:
        pass

    owned = partitions.get(partition)
    assert owned is not None
    source = f"{partition.topic}/{partition.partition}"
    await owned.pipeline.process(batch([block(scan())] * messages, begin=begin, source=source), write_nothing)


async def test_a_partition_that_was_never_read_begins_where_the_group_says(worker: Make, flows: TP) -> None:
    partitions = worker()
    await partitions.assigned(flows)
    assert [each.pipeline.expected for each in partitions] == [None]
    assert (partitions.position(flows), partitions.committable(flows)) == (None, 0)


async def test_the_next_owner_goes_on_from_the_last_checkpoint(worker: Make, flows: TP) -> None:
    first, second = worker(), worker()
    await first.assigned(flows)
    await take(first, flows, begin=0, messages=2)
    await first.checkpoint()
    await take(first, flows, begin=2, messages=1)
    await first.revoked(flows)
    assert first.get(flows) is None
    await second.assigned(flows)
    assert (second.position(flows), second.committable(flows)) == (2, 2)


async def test_a_partition_of_others_offers_nothing_to_commit(worker: Make, flows: TP) -> None:
    assert worker().committable(flows) == 0


async def test_other_topics_are_left_to_the_group(worker: Make, settings: Settings) -> None:
    findings = TP(settings.topics.findings.name, 0)
    partitions = worker()
    await partitions.assigned(findings)
    await partitions.revoked(findings)
    assert (partitions.position(findings), partitions.committable(findings), list(partitions)) == (None, None, [])


async def test_whoever_takes_over_shuts_out_the_one_before(worker: Make, flows: TP, settings: Settings) -> None:
    zombie, successor = worker(), worker()
    await zombie.assigned(flows)
    await take(zombie, flows, begin=0, messages=1)
    await zombie.checkpoint()
    await take(zombie, flows, begin=1, messages=1)
    await successor.assigned(flows)
    owned = zombie.get(flows)
    assert owned is not None
    with pytest.raises(FencedError):
        await owned.output.write([ProducerRecord(settings.topics.findings.name, b"stale", b"id")])
    with pytest.raises(OutputError):
        await zombie.checkpoint()
    assert zombie.committable(flows) == 1
    await take(successor, flows, begin=1, messages=3)
    await successor.checkpoint()
    assert successor.committable(flows) == 4


async def test_nobody_lets_go_of_state_that_is_being_changed(worker: Make, flows: TP) -> None:
    partitions = worker()
    await partitions.assigned(flows)
    async with partitions.lock:
        letting_go = asyncio.create_task(partitions.revoked(flows))
        await asyncio.sleep(0.1)
        assert partitions.get(flows) is not None
        assert not letting_go.done()
    await letting_go
    assert partitions.get(flows) is None


# aiokafka, cancelled while it connects, leaves the connection to the collector; it is collected within the test.
@pytest.mark.filterwarnings("ignore:Unclosed AIOKafka:ResourceWarning")
async def test_taking_over_can_be_broken_off(worker: Make, flows: TP) -> None:
    partitions = worker()
    taking = asyncio.create_task(partitions.assigned(flows))
    await asyncio.sleep(0.01)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert partitions.get(flows) is None
    await partitions.assigned(flows)
    assert partitions.get(flows) is not None
    gc.collect()


async def test_state_in_memory_only_outlives_a_rebalance(worker: Make, flows: TP) -> None:
    partitions = worker(durable=False)
    await partitions.assigned(flows)
    await take(partitions, flows, begin=0, messages=2)
    await partitions.checkpoint_if_due()
    await partitions.revoked(flows)
    await partitions.assigned(flows)
    assert (partitions.position(flows), partitions.committable(flows)) == (2, None)


async def test_a_damaged_checkpoint_is_refused_with_what_to_do(worker: Make, flows: TP, settings: Settings) -> None:
    address, state = settings.kafka.bootstrap_servers[0], settings.topics.state.name
    key = f"{settings.kafka.group_id}/{flows.topic}/0/manifest/000000000001/somebody/0"
    await asyncio.to_thread(write, address, state, [b'{"version": [1, 1], "checks'], keys=[key.encode()])
    with pytest.raises(
        FailedError, match=re.escape(f"{flows.topic}/0 cannot be taken over: no checkpoint can be used")
    ):
        await worker().assigned(flows)


@pytest.mark.parametrize("reason", ["records were deleted", "the topic was made anew"])
async def test_a_log_that_does_not_hold_what_comes_next_is_refused(
    worker: Make, flows: TP, settings: Settings, reason: str
) -> None:
    first, second = worker(), worker()
    await first.assigned(flows)
    await take(first, flows, begin=0, messages=2 if reason == "records were deleted" else 9)
    await first.checkpoint()
    await first.revoked(flows)
    if reason == "records were deleted":
        with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers[0]) as admin:
            admin.delete_records({TopicPartition(*flows): 3})
    with pytest.raises(FailedError, match=rf"goes on at offset \d, and the log holds \d to 4: .*{reason}"):
        await second.assigned(flows)
