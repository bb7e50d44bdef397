from collections.abc import Callable

import pytest

from streams.errors import InputError, KafkaUnavailable
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.positions import read_positions
from streams.publish import MESSAGE_BYTES
from streams.sources import Block, Position
from streams.topics import create_topics
from streams.transactions import TakenOverError, Transactions
from tests.kafka.broker import KafkaBroker
from tests.streams.topic_records import read, write


def block(value: bytes, position: int = 1) -> Block:
    return Block(value, {"flowhawk-format": b"srcaddr"}, 1, "a.log", position)


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> KafkaSettings:
    settings = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_settings.flows.name)
    create_topics(settings, topic_settings)
    return settings


def test_blocks_and_positions_are_there_together(
    kafka_broker: KafkaBroker, kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    with Transactions(kafka, topic_settings, "ingest") as transactions:
        transactions.send(block(b"one"))
        transactions.commit({"a.log": Position(4, "etag")}, ["b.log"])
        transactions.send(block(b"two"))
    with Transactions(kafka, topic_settings, "ingest"):
        (record,) = read(kafka_broker.bootstrap, topic_settings.flows.name)
        assert record.value == b"one"
        assert record.headers == {
            "flowhawk-format": b"srcaddr",
            "flowhawk-source": b"a.log",
            "flowhawk-position": b"1",
            "flowhawk-source-line": b"1",
        }
        assert read_positions(kafka, topic_settings.positions, "ingest") == {"a.log": Position(4, "etag")}


def test_the_last_position_counts_until_it_is_forgotten_and_names_are_apart(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    with Transactions(kafka, topic_settings, "one") as one, Transactions(kafka, topic_settings, "two") as two:
        one.commit({"a.log": Position(1), "b.log": Position(1), "päth\udcff": Position(3)}, [])
        two.commit({"a.log": Position(9)}, [])
        one.commit({"a.log": Position(2)}, ["b.log"])
    assert read_positions(kafka, topic_settings.positions, "one") == {"a.log": Position(2), "päth\udcff": Position(3)}
    assert read_positions(kafka, topic_settings.positions, "two") == {"a.log": Position(9)}
    assert read_positions(kafka, topic_settings.positions, "three") == {}


def test_who_begins_under_the_same_name_ends_the_other(
    kafka_broker: KafkaBroker, kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    with Transactions(kafka, topic_settings, "ingest") as first:
        first.send(block(b"of the first"))
        with Transactions(kafka, topic_settings, "ingest") as second:
            second.send(block(b"of the second"))
            second.commit({"a.log": Position(1)}, [])
            with pytest.raises(TakenOverError, match="another ingest named ingest has begun"):
                first.commit({"a.log": Position(2)}, [])
    assert [record.value for record in read(kafka_broker.bootstrap, topic_settings.flows.name)] == [b"of the second"]


def test_what_no_message_can_hold_is_left_out(
    kafka_broker: KafkaBroker, kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    with Transactions(kafka, topic_settings, "ingest") as transactions:
        transactions.send(block(b"before"))
        with pytest.raises(InputError, match=r"^a\.log:1: .* do not fit into a Kafka message"):
            transactions.send(block(b"x" * (MESSAGE_BYTES + 1)))
        transactions.commit({}, [])
    assert [record.value for record in read(kafka_broker.bootstrap, topic_settings.flows.name)] == [b"before"]


def test_a_topic_that_is_missing_is_named(
    kafka_broker: KafkaBroker, topic_names: Callable[[str], str], topic_settings: TopicSettings
) -> None:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_names("group"))
    with pytest.raises(KafkaUnavailable, match=topic_settings.positions.name):
        Transactions(kafka, topic_settings, "ingest")


def test_something_else_on_the_topic_of_positions_is_named(
    kafka_broker: KafkaBroker, kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    write(kafka_broker.bootstrap, topic_settings.positions.name, [b"nonsense"], keys=[b"ingest/a.log"])
    with pytest.raises(KafkaUnavailable, match=r"holds b'nonsense' under b'ingest/a\.log', which is no position"):
        read_positions(kafka, topic_settings.positions, "ingest")
