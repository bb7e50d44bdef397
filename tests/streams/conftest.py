"""A group and a topic of its own for each test that reads through the transport."""

from collections.abc import Callable

import pytest

from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_names: Callable[[str], str]) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_names("group"), fetch_wait_ms=5)


@pytest.fixture
def flows(kafka: KafkaSettings, topic_settings: TopicSettings) -> Topic:
    create_topics(kafka, topic_settings)
    return topic_settings.flows
