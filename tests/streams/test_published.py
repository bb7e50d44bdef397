"""Which provisional findings are out, read from a real broker."""

import asyncio
from typing import Any

import pytest
from kafka import KafkaProducer

from detectors.episodes import opened
from detectors.finding import Finding
from streams.kafka_settings import KafkaSettings
from streams.published import PublishedError, provisional
from streams.topics import create_topics
from tests.detectors.records import INSIDE, attempt, found
from tests.kafka.broker import KafkaBroker
from tests.streams.test_running import topics


def finding(number: int, **changes: Any) -> Finding:
    rows = [attempt(f"198.51.100.{number}", INSIDE, port) for port in (1, 2, 3)]
    (detection,) = found("vertical_scan", rows, ports=3)
    return opened(detection).model_copy(update={"provisional": True, **changes})


def out(broker: str, findings: list[Finding], *others: bytes) -> list[Finding]:
    """Publish findings, and messages that are none, and ask which provisional ones are out."""
    names, kafka = topics(), KafkaSettings(bootstrap_servers=(broker,))
    create_topics(kafka, names, report=lambda *_, **__: None)
    topic = names.findings.name
    with KafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for each in findings:
            producer.send(topic, each.model_dump_json().encode(), key=each.id.encode())
        for other in others:
            producer.send(topic, other, key=b"other")
    return asyncio.run(provisional(kafka, topic))


def test_nothing_is_out_on_an_empty_topic(kafka_broker: KafkaBroker) -> None:
    assert out(kafka_broker.bootstrap, []) == []


def test_what_was_neither_confirmed_nor_settled_is_out(kafka_broker: KafkaBroker) -> None:
    told = [finding(number) for number in range(1, 5)]
    settled = [
        finding(1, status="retracted"),
        finding(2, provisional=False),
        finding(3, status="superseded", superseded_by="another"),
    ]
    assert out(kafka_broker.bootstrap, [*told, *settled]) == [told[3]]


def test_the_last_state_counts(kafka_broker: KafkaBroker) -> None:
    assert out(kafka_broker.bootstrap, [finding(1), finding(1, value=9.0)]) == [finding(1, value=9.0)]


def test_what_is_no_finding_of_this_version_is_left_alone(kafka_broker: KafkaBroker) -> None:
    assert out(kafka_broker.bootstrap, [finding(1)], b'{"provisional":true}', b"\xff") == [finding(1)]


def test_a_broker_that_is_not_there_is_an_error_in_one_line() -> None:
    kafka = KafkaSettings(bootstrap_servers=("127.0.0.1:1",))
    with pytest.raises(PublishedError, match="the findings topic findings cannot be read"):
        asyncio.run(provisional(kafka, "findings"))
