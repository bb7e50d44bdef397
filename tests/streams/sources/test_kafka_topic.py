import threading
from collections.abc import Callable, Sequence

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block, Position, source_at
from streams.sources.kafka_topic import KafkaTopicSource
from tests.kafka.broker import PASSWORD, USER, KafkaBroker
from tests.streams.programs import every
from tests.streams.topic_records import write


class World:
    """A topic of two partitions."""

    def __init__(self, broker: KafkaBroker, topic: str) -> None:
        self.broker, self.topic = broker.bootstrap, topic
        self.place = f"kafka://{self.broker}/{topic}"
        with KafkaAdminClient(bootstrap_servers=self.broker) as admin:
            admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}})
            admin.wait_for_topics([topic])

    def write(self, *values: bytes, partition: int = 0, headers: dict[str, bytes] | None = None) -> None:
        write(self.broker, self.topic, values, partition=partition, headers=headers)

    def opened(self, query: str = "?until_end=true") -> KafkaTopicSource:
        source = source_at(f"{self.place}{query}")
        assert isinstance(source, KafkaTopicSource)
        return source


@pytest.fixture
def world(kafka_broker: KafkaBroker, topic_names: Callable[[str], str]) -> World:
    return World(kafka_broker, topic_names("others"))


def values(blocks: Sequence[Block]) -> list[bytes]:
    return sorted(block.value for block in blocks)


def test_messages_of_all_partitions_become_blocks_with_what_says_their_format(world: World) -> None:
    world.write(b"one\ntwo\n", b"", headers={FORMAT_HEADER: b"srcaddr", "other": b"x"})
    world.write(b"three", partition=1)
    blocks = list(world.opened().blocks())
    assert values(blocks) == [b"one\ntwo", b"three"]
    first = next(block for block in blocks if block.lines == 2)
    assert (first.headers, first.origin, first.position) == ({FORMAT_HEADER: b"srcaddr"}, f"{world.place}#0", 1)


def test_it_goes_on_behind_each_partitions_position(world: World) -> None:
    for partition in (0, 1):
        world.write(*(b"%d of %d" % (number, partition) for number in range(5)), partition=partition)
    source = world.opened()
    source.resume({f"{world.place}#0": Position(4), f"{world.place}#1": Position(2)})
    assert values(list(source.blocks())) == [b"2 of 1", b"3 of 1", b"4 of 0", b"4 of 1"]


def test_from_latest_only_new_messages_are_read_until_it_is_stopped(world: World) -> None:
    world.write(b"old")
    source = world.opened("?from=latest&format=srcaddr")
    seen: list[Block] = []
    began = threading.Event()
    begin = source._begin

    def noted() -> None:
        begin()
        began.set()

    source._begin = noted  # type: ignore[method-assign]  # to know when it has looked for the end
    reading = threading.Thread(target=lambda: seen.extend(source.blocks()))
    reading.start()
    assert began.wait(60)
    world.write(b"new")
    assert any(seen for _ in every(0.05, seconds=60))
    source.stop()
    reading.join(60)
    assert not reading.is_alive()
    assert [(block.value, block.headers) for block in seen] == [(b"new", {FORMAT_HEADER: b"srcaddr"})]


def test_messages_that_were_deleted_before_they_were_read_are_told_of(world: World) -> None:
    world.write(b"one", b"two", b"three")
    with KafkaAdminClient(bootstrap_servers=world.broker) as admin:
        admin.delete_records({TopicPartition(world.topic, 0): 2})
    source = world.opened()
    source.resume({f"{world.place}#0": Position(1)})
    problems: list[str] = []
    source.on_problem = lambda error: problems.append(str(error))
    assert values(list(source.blocks())) == [b"three"]
    assert problems == [f"{world.place}#0: 1 messages were deleted before they were read; keep the topic for longer"]


def test_a_login_stands_in_a_settings_file(
    kafka_broker: KafkaBroker, world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world.write(b"one")
    config = tmp_path_factory.mktemp("login") / "flowhawk.yaml"
    config.write_text(
        f"kafka: {{security_protocol: SASL_PLAINTEXT, sasl_mechanism: PLAIN, sasl_username: {USER}, "
        f"sasl_password: {PASSWORD}}}\n"
    )
    source = source_at(f"kafka://{kafka_broker.sasl_bootstrap}/{world.topic}?until_end=true&config={config}")
    assert values(list(source.blocks())) == [b"one"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("kafka://{broker}/no-such-topic", ": the broker has no topic no-such-topic, or does not show it"),
        ("kafka://{broker}", ": names no topic; write kafka://host:port/topic"),
        ("kafka:///topic", ": names no broker; write kafka://host:port/topic"),
    ],
)
def test_a_place_that_cannot_be_read_is_named(kafka_broker: KafkaBroker, place: str, message: str) -> None:
    place = place.format(broker=kafka_broker.bootstrap)
    with pytest.raises(InputError) as caught:
        source_at(place)
    assert str(caught.value) == place + message
