from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics
from tests.kafka.cluster import KafkaCluster
from tests.kafka.libraries import BrokerError
from tests.streams.topic_records import read

MANY = 200


@pytest.fixture
def topic(kafka_cluster: KafkaCluster, topic_names: Callable[[str], str]) -> str:
    """Give a topic of one partition, shaped as the cluster wants it."""
    name = topic_names("copied")
    with KafkaAdminClient(bootstrap_servers=kafka_cluster.bootstrap) as admin:
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": -1}}, wait_for_metadata=True)
    kafka_cluster.wait_until_in_sync()
    return name


def other_than(leader: int) -> int:
    return leader % 3 + 1


@contextmanager
def idempotent(cluster: KafkaCluster) -> Iterator[KafkaProducer]:
    with KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all", enable_idempotence=True) as producer:
        yield producer


def send(producer: KafkaProducer, topic: str, values: range) -> list[Any]:
    return [producer.send(topic, b"%d" % value, partition=0) for value in values]


def wait_for(sent: list[Any]) -> None:
    for each in sent:
        each.get(timeout=60)


def values(cluster: KafkaCluster, topic: str) -> list[int]:
    return [int(record.value) for record in read(cluster.bootstrap, topic)]


def shapes_of(cluster: KafkaCluster, topics: list[str]) -> dict[str, tuple[int, str]]:
    """Tell of topics how many copies they have, and how many of them must be in sync."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    with KafkaAdminClient(bootstrap_servers=cluster.bootstrap) as admin:
        configured = admin.describe_configs(resources, config_filter="all")["topic"]
        return {
            each["name"]: (
                len(each["partitions"][0]["replica_nodes"]),
                configured[each["name"]]["min.insync.replicas"]["value"],
            )
            for each in admin.describe_topics(topics)
        }


@pytest.mark.parametrize("victim", [lambda leader: leader, other_than], ids=["the leader", "a follower"])
def test_what_is_written_before_during_and_after_a_kill_is_there_once(
    kafka_cluster: KafkaCluster, topic: str, victim: Callable[[int], int]
) -> None:
    cluster, killed = kafka_cluster, victim(kafka_cluster.leader(topic))
    with idempotent(cluster) as producer:
        wait_for(send(producer, topic, range(MANY)))
        during = send(producer, topic, range(MANY, 2 * MANY))
        cluster.kill(killed)
        during += send(producer, topic, range(2 * MANY, 3 * MANY))
        wait_for(during)
        cluster.wait_until_noticed()
        wait_for(send(producer, topic, range(3 * MANY, 4 * MANY)))

    assert cluster.leader(topic) != killed
    assert values(cluster, topic) == list(range(4 * MANY))

    cluster.start(killed)
    cluster.wait_until_in_sync()
    assert values(cluster, topic) == list(range(4 * MANY))


async def test_transactions_go_through_while_the_broker_of_their_coordinator_is_dead(
    kafka_cluster: KafkaCluster, topic: str
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka_cluster.bootstrap, transactional_id=topic) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"1", partition=0)
        kafka_cluster.wait_until_in_sync()
        coordinator = kafka_cluster.leader("__transaction_state")

        async with producer.transaction():
            await producer.send_and_wait(topic, b"2", partition=0)
            kafka_cluster.kill(coordinator)
            await producer.send_and_wait(topic, b"3", partition=0)
        async with producer.transaction():
            await producer.send_and_wait(topic, b"4", partition=0)

    assert kafka_cluster.dead == [coordinator]
    assert kafka_cluster.leader("__transaction_state") != coordinator
    assert values(kafka_cluster, topic) == [1, 2, 3, 4]


def test_with_two_dead_nothing_is_taken_and_with_one_back_it_is(kafka_cluster: KafkaCluster, topic: str) -> None:
    cluster, leader = kafka_cluster, kafka_cluster.leader(topic)
    one, two = sorted({1, 2, 3} - {leader})
    impatient = KafkaProducer(
        bootstrap_servers=cluster.bootstrap,
        acks="all",
        enable_idempotence=False,
        retries=0,
        request_timeout_ms=1000,
        delivery_timeout_ms=1500,
        max_block_ms=1500,
    )
    with impatient:
        impatient.send(topic, b"1", partition=0).get(timeout=60)
        cluster.kill(one, two)
        with pytest.raises(KafkaError):
            impatient.send(topic, b"2", partition=0).get(timeout=60)

    cluster.start(one)
    with idempotent(cluster) as producer:
        producer.send(topic, b"3", partition=0).get(timeout=60)

    # Nobody promised that what was refused is not there, and the leader had taken it.
    assert [each for each in values(cluster, topic) if each != 2] == [1, 3]
    cluster.start(two)
    cluster.wait_until_in_sync()
    assert [each for each in values(cluster, topic) if each != 2] == [1, 3]


def test_every_topic_has_three_copies_and_wants_two_in_sync(kafka_cluster: KafkaCluster, topic: str) -> None:
    address, partition = kafka_cluster.bootstrap, TopicPartition(topic, 0)
    with KafkaProducer(bootstrap_servers=address, transactional_id=topic) as producer:
        producer.init_transactions()
    with KafkaConsumer(bootstrap_servers=address, group_id=topic, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        consumer.commit({partition: OffsetAndMetadata(0, "", -1)})

    names = [topic, "__transaction_state", "__consumer_offsets"]
    assert shapes_of(kafka_cluster, names) == dict.fromkeys(names, (3, "2"))


def test_topics_are_created_with_the_copies_that_are_set(
    kafka_cluster: KafkaCluster, topic_settings: TopicSettings
) -> None:
    topics = topic_settings.model_copy(
        update={
            "flows": Topic(name=topic_settings.flows.name, replication=3, min_in_sync=1),
            "findings": Topic(name=topic_settings.findings.name, replication=3, min_in_sync=3, compacted=True),
            "state": Topic(name=topic_settings.state.name, replication=3, compacted=True),
        }
    )
    names = [topics.flows.name, topics.findings.name, topics.state.name, topics.flows_late.name]
    create_topics(KafkaSettings(bootstrap_servers=tuple(kafka_cluster.bootstrap.split(","))), topics)

    shapes = shapes_of(kafka_cluster, names)
    # Where nothing is set, the brokers decide.
    assert [shapes[name] for name in names] == [(3, "1"), (3, "3"), (3, "2"), (1, "2")]


def test_a_loss_is_noticed_where_a_topic_has_its_only_copy_on_the_broker_that_is_dead(
    kafka_cluster: KafkaCluster, topic: str
) -> None:
    single = f"{topic}-single"
    with KafkaAdminClient(bootstrap_servers=kafka_cluster.bootstrap) as admin:
        admin.create_topics({single: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    kafka_cluster.wait_until_in_sync()
    dead = kafka_cluster.leader(single)

    kafka_cluster.kill(dead)
    kafka_cluster.wait_until_noticed()
    assert kafka_cluster.leader(topic) != dead
    with pytest.raises(BrokerError, match=f"knows no leader of {single}-0"):
        kafka_cluster.leader(single)


def test_a_broker_comes_back_as_it_was(kafka_cluster: KafkaCluster, topic: str) -> None:
    addresses = kafka_cluster.bootstrap
    kafka_cluster.kill(2)
    assert (kafka_cluster.running, kafka_cluster.dead) == ([1, 3], [2])
    with pytest.raises(BrokerError, match=r"brokers \[2\] do not run"):
        kafka_cluster.wait_until_in_sync()

    kafka_cluster.start(2)
    kafka_cluster.wait_until_in_sync()
    assert (kafka_cluster.running, kafka_cluster.dead) == ([1, 2, 3], [])
    assert kafka_cluster.bootstrap == addresses
    assert kafka_cluster.leader(topic) in {1, 2, 3}


def test_nothing_runs_on_when_a_broker_cannot_be_started(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path)
    (tmp_path / "broker-2" / "data").write_text("no folder")

    with pytest.raises(BrokerError, match=r"(?s)the data folder of broker 2 cannot be made:\n.*broker-2/data"), cluster:
        pytest.fail("it starts")
    assert cluster.running == []
