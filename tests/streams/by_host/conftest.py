"""The topology by-host on a real broker: two partitions of flows, three of hosts."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from faust.types import TP

from streams.by_host.roles import Role, Worker
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.metrics import Metrics
from streams.output import Output
from streams.settings import Settings, TimeSettings
from streams.topics import create_topics
from streams.transport import Fetched
from tests.kafka.broker import KafkaBroker


@pytest.fixture
def by_host_topics(topic_settings: TopicSettings) -> TopicSettings:
    """Give names that no other test has."""
    partitions = {"flows": 2, "flows_by_host": 3}
    return topic_settings.model_copy(
        update={
            name: getattr(topic_settings, name).model_copy(update={"partitions": count})
            for name, count in partitions.items()
        }
    )


@pytest.fixture
def settings(kafka_broker: KafkaBroker, by_host_topics: TopicSettings) -> Settings:
    """Give settings whose topics are there; silent partitions of flows are waited for."""
    kafka = KafkaSettings(
        bootstrap_servers=(kafka_broker.bootstrap,), group_id=f"group-{by_host_topics.flows.name}", fetch_wait_ms=5
    )
    create_topics(kafka, by_host_topics, topology="by-host")
    return Settings(kafka=kafka, topics=by_host_topics, topology="by-host", time=TimeSettings(idle_seconds=3600))


class Noted(Role):
    """Notes what it is asked for, and always says the same of where it is."""

    def __init__(self, worker: Worker, partition: TP) -> None:
        super().__init__(worker, partition)
        self.done: list[str] = []

    @property
    def expected(self) -> int | None:
        return 7

    @property
    def committable(self) -> int | None:
        return 5

    async def take(self, fetched: Fetched) -> None:
        raise NotImplementedError

    async def checkpoint(self) -> None:
        self.done.append("checkpoint")

    async def close(self) -> None:
        self.done.append("close")


class FailedError(Exception):
    """Instead of the end of the process."""


def failed(what: str, error: Exception) -> NoReturn:
    """Raise instead of ending the process."""
    raise FailedError(f"{what}: {error}") from error


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    """Give what all roles of a worker share."""
    topics = settings.topics
    with ThreadPoolExecutor(1) as stages, ThreadPoolExecutor(1) as judges:
        said = Output(settings.kafka, linger_ms=0)
        await said.start()
        yield Worker(
            settings,
            Metrics(),
            stages,
            judges,
            said,
            parts=topics.flows_by_host.partitions,
            state_partitions=1,
            sources=[f"{topics.flows.name}/{each}" for each in range(topics.flows.partitions)],
            failed=failed,
        )
        await said.close()
