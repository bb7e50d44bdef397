"""A worker goes on while any one broker of three is dead, and what it counts is what the log holds."""

import random
from pathlib import Path
from typing import Final

import pytest
from kafka.errors import KafkaError

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.settings import Settings
from streams.topics import create_topics
from tests.faults import oracle, stored
from tests.faults.supervised import Worker
from tests.faults.traffic import good_lines
from tests.kafka.cluster import KafkaCluster
from tests.streams.programs import environment_of, every
from tests.streams.topic_records import committed_offset, end_offset, read, write

MINUTES: Final = 10
LINES: Final = 100
"""In a message."""


@pytest.fixture
def settings(kafka_cluster: KafkaCluster, topic_settings: TopicSettings) -> Settings:
    fields = [name for name in TopicSettings.model_fields if name != "create"]
    copied = {
        name: getattr(topic_settings, name).model_copy(update={"replication": 3, "min_in_sync": 2}) for name in fields
    }
    kafka = KafkaSettings(
        bootstrap_servers=tuple(kafka_cluster.bootstrap.split(",")), group_id=f"group-{topic_settings.flows.name}"
    )
    topics = topic_settings.model_copy(update=copied)
    create_topics(kafka, topics)
    return Settings(kafka=kafka, topics=topics)


def wait_until_all_is_committed(cluster: KafkaCluster, settings: Settings, worker: Worker) -> None:
    flows, committed = settings.topics.flows.name, None
    for _ in every(0.1, seconds=90):
        # Until the loss is noticed, those who are asked may send the question to the broker that is dead.
        try:
            committed = committed_offset(cluster.bootstrap, settings.kafka.group_id, flows)
            if committed == end_offset(cluster.bootstrap, flows):
                return
        except KafkaError:
            continue
    raise AssertionError(f"{committed} is committed: {worker.errors}")


def test_a_worker_goes_on_while_the_broker_that_leads_what_it_needs_is_dead(
    kafka_cluster: KafkaCluster, settings: Settings, tmp_path: Path
) -> None:
    environment = environment_of(kafka_cluster.bootstrap, settings.topics) | {
        "FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "0.5",
        "FLOWHAWK__RECORDS__FORMAT": oracle.FIELDS,
        "FLOWHAWK__TOPICS__CREATE": "false",
    }
    lines = good_lines(random.Random(1), MINUTES)  # noqa: S311 - the same traffic every time
    values = ["\n".join(lines[at : at + LINES]).encode() for at in range(0, len(lines), LINES)]
    flows, state = settings.topics.flows.name, settings.topics.state.name
    needed = (flows, state, "__transaction_state", "__consumer_offsets")
    with Worker("one", environment, tmp_path) as worker:
        worker.wait_for(" took over ")
        write(kafka_cluster.bootstrap, flows, values[0 :: len(needed) + 1])
        wait_until_all_is_committed(kafka_cluster, settings, worker)
        for number, topic in enumerate(needed, 1):
            dead = kafka_cluster.leader(topic)
            kafka_cluster.kill(dead)
            write(kafka_cluster.bootstrap, flows, values[number :: len(needed) + 1])
            wait_until_all_is_committed(kafka_cluster, settings, worker)
            kafka_cluster.start(dead)
            kafka_cluster.wait_until_in_sync()
        assert worker.ended == []
        assert worker.stop(seconds=10) == 0

    logged = [line for record in read(kafka_cluster.bootstrap, flows) for line in record.value.decode().splitlines()]
    assert len(logged) >= len(lines)
    in_time, _ = oracle.told_apart(logged)
    counted = stored.contacts(stored.checkpoint(settings))
    assert len({contact.pane for contact in counted}) >= MINUTES
    assert counted == oracle.contacts(in_time)
