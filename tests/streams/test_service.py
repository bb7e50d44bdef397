import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP
from pydantic import BaseModel

from detectors.finding import Finding
from streams.agents import WatchAgent
from streams.checkpoint_settings import CheckpointSettings
from streams.errors import FAILED, ServiceError
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.metrics import HEARTBEATS
from streams.output import Output
from streams.pipeline import STAGES, Batch
from streams.records.contract import WATERMARK_HEADER
from streams.service import Service, stopped
from streams.settings import Settings
from streams.sinks import Delivery, Sink, Surroundings
from streams.topics import create_topics
from streams.transport import BatchingConsumer
from streams.watchdog import WatchdogSettings
from tests.faults import oracle, stored
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import findings
from tests.streams.programs import environment_of
from tests.streams.topic_records import committed_offset, end_offset, write


class Heard(Sink):
    """Keeps what it hears."""

    name = "heard"
    settings = BaseModel

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.closed = False

    @classmethod
    def make(cls, settings: BaseModel, surroundings: Surroundings) -> Self:
        raise NotImplementedError

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        self.findings += findings
        return Delivery.DELIVERED

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def settings(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Settings:
    kafka = KafkaSettings(
        bootstrap_servers=(kafka_broker.bootstrap,), group_id=f"group-{topic_settings.flows.name}", fetch_wait_ms=5
    )
    create_topics(kafka, topic_settings)
    return Settings(kafka=kafka, topics=topic_settings)


def publish(settings: Settings, topic: str, *values: bytes) -> None:
    write(settings.kafka.bootstrap_servers[0], topic, values)


def agents(service: Service) -> WatchAgent:
    assert isinstance(service.watch, WatchAgent)
    return service.watch


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.01)


async def test_flows_become_findings_that_sinks_hear_of(settings: Settings) -> None:
    sink, batches = Heard(), list[Batch]()
    flows = settings.topics.flows.name
    publish(settings, flows, block([flow(end=NINE)]), block(scan()), b"garbage")
    service = Service(settings, [sink], batches.append)
    async with service:
        await until(lambda: sum(len(batch.messages) for batch in batches) == 3)
        assert sink.findings == []
        await asyncio.to_thread(publish, settings, flows, block([flow(end=NINE + 3600)]))
        await until(lambda: len(sink.findings) == 2)
        await service.track()

    assert [(each.kind, each.status) for each in sink.findings] == [
        ("vertical_scan", "open"),
        ("vertical_scan", "closed"),
    ]
    assert service.metrics.value("flowhawk_records_total") == 22
    assert service.metrics.value("flowhawk_refused_total") == 1
    assert service.metrics.value("flowhawk_hosts") >= 2
    assert service.metrics.value("flowhawk_port_records_total", {"port": "443", "action": "ACCEPT"}) == 2
    assert service.metrics.value("flowhawk_state_rows", {"part": "contacts"}) > 0
    for stage in STAGES:
        assert service.metrics.value("flowhawk_stage_seconds_count", {"stage": stage}) > 0
    assert service.metrics.value("flowhawk_rebalance_seconds_count") >= 1
    assert sink.closed


async def test_it_says_how_far_behind_it_is_and_that_its_parts_live(settings: Settings) -> None:
    flows = settings.topics.flows.name
    partition = {"partition": f"{flows}/0"}
    batches = list[Batch]()
    service = Service(settings, [], batches.append)

    def caught_up() -> float:
        return service.metrics.value("flowhawk_caught_up_timestamp_seconds", partition)

    async with service:
        await until(lambda: not service.not_ready())
        begun = time.time()
        await service.require_progress()
        assert caught_up() >= begun
        await asyncio.to_thread(publish, settings, flows, block(scan()))
        await until(lambda: bool(batches))
        async with agents(service).partitions.lock:
            # What is published now waits.
            await asyncio.to_thread(publish, settings, flows, block(scan()), block(scan()))
            await service.require_progress()
            assert service.metrics.value("flowhawk_lag_messages", partition) == 2
            assert begun <= caught_up() <= time.time()
            waiting_since = caught_up()
        await until(lambda: sum(len(batch.messages) for batch in batches) == 3)
        await service.require_progress()
        assert service.metrics.value("flowhawk_lag_messages", partition) == 0
        assert caught_up() > waiting_since
        await service.track()
    for stage in HEARTBEATS:
        assert service.metrics.value("flowhawk_heartbeat_timestamp_seconds", {"stage": stage}) >= begun


async def test_what_a_transaction_left_unfinished_is_nothing_that_waits(settings: Settings) -> None:
    address, flows = settings.kafka.bootstrap_servers[0], settings.topics.flows.name
    batches = list[Batch]()
    service = Service(settings, [], batches.append)
    async with service, AIOKafkaProducer(bootstrap_servers=address, transactional_id=flows) as producer:
        async with producer.transaction():
            await producer.send_and_wait(flows, block(scan()))
        await until(lambda: bool(batches))
        await producer.begin_transaction()
        await producer.send_and_wait(flows, block(scan()))
        await producer.abort_transaction()
        await until(lambda: cast("BatchingConsumer", service.app.consumer).behind_gap(TP(flows, 0), 2) == 4)
        assert (await service._progress())[1] == 0
    assert await asyncio.to_thread(end_offset, address, flows) == 4
    assert len(batches) == 1


async def test_a_thread_that_hangs_does_not_keep_the_watchdog_from_its_round(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.service._ANSWER_SECONDS", 0.1)
    go_on = threading.Event()
    service = Service(settings, [])
    async with service:
        await until(lambda: not service.not_ready())
        agents(service)._executor.submit(go_on.wait, 30)
        await service.track()
        assert service.metrics.value("flowhawk_heartbeat_timestamp_seconds", {"stage": "judge"}) == 0
        go_on.set()


async def test_a_heartbeat_goes_from_the_stages_through_the_topic_to_a_sink(settings: Settings) -> None:
    settings = settings.model_copy(update={"watchdog": WatchdogSettings(heartbeat_seconds=0.1)})
    sink = Heard()
    service = Service(settings, [sink])

    def arrived() -> float:
        return service.metrics.value("flowhawk_sink_arrived_heartbeat_timestamp_seconds", {"sink": sink.name})

    def ticked() -> float:
        return service.metrics.value("flowhawk_sink_heartbeat_timestamp_seconds", {"sink": sink.name})

    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(30)

    async with service:
        await until(lambda: arrived() > 0)
        first = arrived()
        await until(lambda: arrived() > first)
        agents(service)._executor.submit(hang)
        await until(hangs.is_set)
        since = time.time()
        await until(lambda: ticked() > since + 1)
        assert arrived() <= since
        go_on.set()
        await until(lambda: arrived() > since)
    assert sink.findings == []


async def test_a_heartbeat_that_cannot_be_written_keeps_the_service_from_nothing_when_it_stops(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"watchdog": WatchdogSettings(heartbeat_seconds=0.1)})
    service = Service(settings, [])
    hangs = asyncio.Event()

    async def never() -> bool:
        async with agents(service).partitions.lock:
            hangs.set()
            return await asyncio.Future()

    async with service:
        await until(lambda: not service.not_ready())
        publish(settings, settings.topics.flows.name, block(scan()))
        await until(lambda: service.watch.progress == 1)
        monkeypatch.setattr(service.watch, "beat", never)
        await hangs.wait()

    committed = await asyncio.to_thread(
        committed_offset, settings.kafka.bootstrap_servers[0], settings.kafka.group_id, settings.topics.flows.name
    )
    assert committed == 1


async def test_the_mark_of_a_complete_input_closes_everything(settings: Settings) -> None:
    sink = Heard()
    address, flows = settings.kafka.bootstrap_servers[0], settings.topics.flows.name
    publish(settings, flows, block(scan()))
    write(address, flows, [b""], headers={WATERMARK_HEADER: b"end"})
    async with Service(settings, [sink]):
        await until(lambda: [each.status for each in sink.findings] == ["open", "closed"])


async def test_readiness_says_what_is_missing(settings: Settings) -> None:
    service = Service(settings, [])
    assert service.not_ready() == ["the service is starting"]
    async with service:
        await until(lambda: not service.not_ready())
    assert service.not_ready() == ["the service is stopping"]


async def test_between_the_start_of_faust_and_of_its_consumer_the_service_is_starting(settings: Settings) -> None:
    service = Service(settings, [])
    service.app._started.set()
    assert service.not_ready() == ["the service is starting"]
    cast("BatchingConsumer", service.app.consumer)._thread.thread_loop.close()


async def test_a_restart_goes_on_where_the_last_run_ended(settings: Settings) -> None:
    topics, first, second = settings.topics, Heard(), Heard()
    publish(settings, topics.findings.name, *(each.model_dump_json().encode() for each in findings()))
    async with Service(settings, [first]):
        await until(lambda: len(first.findings) == 2)
    publish(settings, topics.findings.name, findings()[0].model_copy(update={"id": "other"}).model_dump_json().encode())
    async with Service(settings, [second]):
        await until(lambda: bool(second.findings))

    assert first.findings == findings()
    assert [each.id for each in second.findings] == ["other"]


class Slow:
    """Something that the stages do, which takes so long that an order to stop comes in the middle of it."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.begun = threading.Event()
        self._work = work

    def __call__(self, **options: Any) -> Any:
        done = self._work(**options)
        self.begun.set()
        time.sleep(0.5)
        return done


async def slowed(service: Service, name: str) -> Slow:
    """Slow down what the only partition's stages do."""
    await until(lambda: bool(list(service.watch.partitions)))
    (owned,) = agents(service).partitions
    slow = Slow(getattr(owned.pipeline.pipeline, name))
    setattr(owned.pipeline.pipeline, name, slow)
    return slow


async def test_a_checkpoint_that_an_order_to_stop_meets_loses_nothing(settings: Settings) -> None:
    settings = settings.model_copy(update={"checkpoints": CheckpointSettings(interval_seconds=2)})
    lines = scan()
    async with Service(settings, []) as service:
        taking = await slowed(service, "changes")
        await asyncio.to_thread(publish, settings, settings.topics.flows.name, block(lines))
        await until(taking.begun.is_set)

    changes = await asyncio.to_thread(stored.checkpoint, settings)
    assert stored.offset(changes, settings) == 1
    assert stored.contacts(changes) == oracle.contacts(map(oracle.of_default_format, lines))


async def test_a_look_that_an_order_to_stop_meets_leaves_room_for_the_last_checkpoint(settings: Settings) -> None:
    settings = settings.model_copy(update={"checkpoints": CheckpointSettings(interval_seconds=1000)})
    async with Service(settings, []) as service:
        looking = await slowed(service, "look")
        await asyncio.to_thread(publish, settings, settings.topics.flows.name, block(scan()))
        await until(lambda: service.watch.progress == 1)
        looking.begun.clear()
        await until(looking.begun.is_set)

    committed = await asyncio.to_thread(
        committed_offset, settings.kafka.bootstrap_servers[0], settings.kafka.group_id, settings.topics.flows.name
    )
    assert committed == 1


async def test_who_has_lost_its_partition_to_another_stops_in_order_and_commits_nothing(settings: Settings) -> None:
    settings = settings.model_copy(update={"checkpoints": CheckpointSettings(interval_seconds=1000)})
    flows, group = settings.topics.flows.name, settings.kafka.group_id
    other = Output(settings.kafka, f"{group}/{flows}/0")
    async with Service(settings, [], early=False) as service:
        await asyncio.to_thread(publish, settings, flows, block(scan()))
        await until(lambda: service.watch.progress == 1)
        await other.start()
    await other.close()

    assert not await asyncio.to_thread(committed_offset, settings.kafka.bootstrap_servers[0], group, flows)


async def test_what_is_no_finding_on_the_findings_topic_is_passed_over(settings: Settings) -> None:
    sink = Heard()
    finding = findings()[0]
    publish(settings, settings.topics.findings.name, b"", b"{}", b"\xff\x00", finding.model_dump_json().encode())
    async with Service(settings, [sink]):
        await until(lambda: bool(sink.findings))
    assert sink.findings == [finding]


async def test_a_service_that_faust_gave_up_does_not_go_on_as_if_nothing_were(settings: Settings) -> None:
    service = Service(settings, [])
    async with service:
        await service.track()
        await service.app.crash(RuntimeError("no more"))
        with pytest.raises(ServiceError, match="cannot go on: RuntimeError"):
            await service.track()


BROKEN_STAGES = """
import asyncio
from streams.pipeline import Pipeline
from streams.service import Service
from streams.settings import load

def broken(self, batch, decoded):
    raise ZeroDivisionError("a bug in the stages")

async def run():
    Pipeline.process = broken
    service = Service(load(), [])
    async with service:
        await asyncio.sleep(60)

asyncio.run(run())
"""


def test_an_error_nobody_expected_ends_the_process_and_commits_nothing(settings: Settings) -> None:
    address, group = settings.kafka.bootstrap_servers[0], settings.kafka.group_id
    name = settings.topics.flows.name
    publish(settings, name, *(each.model_dump_json().encode() for each in findings(5)))

    done = subprocess.run(
        [sys.executable, "-c", BROKEN_STAGES],
        env=os.environ | environment_of(address, settings.topics),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == FAILED == 70
    assert "the watch agent met an error nobody expected; stopping" in done.stderr
    assert "ZeroDivisionError: a bug in" in done.stderr
    assert committed_offset(address, group, name) is None
    assert end_offset(address, name) == 10


async def test_waiting_for_an_event_says_whether_it_came() -> None:
    event = asyncio.Event()
    assert not await stopped(event, 0.01)
    event.set()
    assert await stopped(event, 0.01)
