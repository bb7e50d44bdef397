import threading
import time
from collections.abc import Callable

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.embedded import API_VERSION, EmbeddedBroker, Pace
from streams.kafka_settings import KafkaSettings, Topic
from streams.topics import missing_topics
from tests.streams.programs import every


def kafka(broker: EmbeddedBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(broker.address,))


def missing(broker: EmbeddedBroker, *names: str) -> list[str]:
    return missing_topics(kafka(broker), [Topic(name=name) for name in names], api_version=API_VERSION)


def soon(holds: Callable[[], bool]) -> bool:
    return any(holds() for _ in every(0.01, seconds=10))


class TestBroker:
    def test_listens_on_loopback_and_has_the_topics_it_was_asked_for(self) -> None:
        with EmbeddedBroker() as broker:
            broker.create("flows", "findings")
            assert broker.address.startswith("127.0.0.1:")
            assert missing(broker, "flows", "findings", "other") == ["other"]

    def test_keeps_messages_with_their_headers(self) -> None:
        with EmbeddedBroker() as broker:
            broker.create("flows")
            with KafkaProducer(bootstrap_servers=broker.address, api_version=API_VERSION) as producer:
                producer.send("flows", b"value", headers=[("name", b"header")], partition=0).get(timeout=10)
            with KafkaConsumer(bootstrap_servers=broker.address, api_version=API_VERSION) as consumer:
                partition = TopicPartition("flows", 0)
                consumer.assign([partition])
                consumer.seek_to_beginning()
                (record,) = consumer.poll(timeout_ms=10_000)[partition]
        assert (record.value, record.headers) == (b"value", [("name", b"header")])

    def test_is_one_of_many_in_a_process(self) -> None:
        with EmbeddedBroker() as first, EmbeddedBroker() as second:
            first.create("only-here")
            assert first.address != second.address
            assert missing(second, "only-here") == ["only-here"]


class TestPace:
    def test_lets_a_publisher_run_ahead_and_then_wait_for_the_reader(self) -> None:
        pace, sent = Pace(ahead_bytes=100, burst_bytes=0), list[int]()

        def publish() -> None:
            for size in (60, 60, 60):
                pace.admit(size)
                sent.append(size)

        publisher = threading.Thread(target=publish)
        publisher.start()
        assert soon(lambda: len(sent) == 2)
        time.sleep(0.05)
        assert len(sent) == 2
        pace.consumed(60)
        publisher.join(10)
        assert len(sent) == 3

    def test_lets_a_publisher_that_waited_go_on_once_there_is_room_for_a_burst(self) -> None:
        pace, sent = Pace(ahead_bytes=100, burst_bytes=60), list[int]()

        def publish() -> None:
            for size in (50, 60, 10, 50, 10):
                pace.admit(size)
                sent.append(size)

        publisher = threading.Thread(target=publish)
        publisher.start()
        assert soon(lambda: len(sent) == 2)
        pace.consumed(50)
        time.sleep(0.05)
        assert len(sent) == 2
        pace.consumed(20)
        publisher.join(10)
        assert sent == [50, 60, 10, 50, 10]

    def test_admits_what_is_larger_than_all_it_allows(self) -> None:
        assert Pace(ahead_bytes=10).admit(1000)

    def test_releases_who_waits_when_it_is_stopped_and_admits_nothing_more(self) -> None:
        pace, answers = Pace(ahead_bytes=10), list[bool]()
        assert pace.admit(50)
        publisher = threading.Thread(target=lambda: answers.append(pace.admit(1)))
        publisher.start()
        pace.stop()
        publisher.join(10)
        assert answers == [False]
        assert not pace.admit(1)
