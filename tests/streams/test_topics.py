import socket
import threading
import time
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from pydantic import SecretStr

from streams.commands.topics import command
from streams.errors import KafkaUnavailable, SettingsError
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.topics import create_topics, missing_topics, require_topics
from tests.kafka.broker import PASSWORD, USER, KafkaBroker


def _settings(broker: KafkaBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(broker.bootstrap,))


def test_creates_what_is_missing_with_its_shape_and_then_nothing(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    kafka = _settings(kafka_broker)
    topics = topic_settings.model_copy(
        update={"flows": topic_settings.flows.model_copy(update={"partitions": 3, "retention_hours": 2})}
    )
    names = [topic.name for topic in topics.all]

    assert missing_topics(kafka, topics.all) == names
    assert create_topics(kafka, topics) == names
    assert create_topics(kafka, topics) == []
    assert missing_topics(kafka, topics.all) == []

    with KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap) as admin:
        partitions = {each["name"]: len(each["partitions"]) for each in admin.describe_topics(names)}
        configured = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, names[index]) for index in (0, 3, 4)]
        )["topic"]
    assert partitions == dict(zip(names, (3, 1, 1, 1, 1, 1), strict=True))
    assert configured[names[0]]["retention.ms"]["value"] == "7200000"
    assert configured[names[0]]["cleanup.policy"]["value"] == "delete"
    assert configured[names[3]]["cleanup.policy"]["value"] == "compact"
    assert configured[names[4]]["cleanup.policy"]["value"] == "compact"
    assert configured[names[4]]["segment.bytes"]["value"] == str(64 << 20)


def test_command_prints_a_line_a_topic_and_says_when_partitions_differ(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    settings = {
        "FLOWHAWK__KAFKA__BOOTSTRAP_SERVERS": f'["{kafka_broker.bootstrap}"]',
        **{
            f"FLOWHAWK__TOPICS__{field.upper()}__NAME": getattr(topic_settings, field).name
            for field in ("flows", "flows_dead_letter", "flows_late", "findings", "state", "positions")
        },
    }
    flows, *others = (topic.name for topic in topic_settings.all)

    first = CliRunner().invoke(command, ["create"], env=settings, catch_exceptions=False)
    again = CliRunner().invoke(
        command, ["create"], env=settings | {"FLOWHAWK__TOPICS__FLOWS__PARTITIONS": "4"}, catch_exceptions=False
    )

    assert first.exit_code == again.exit_code == 0
    assert first.stdout.splitlines() == [f"{name}: created, 1 partition" for name in (flows, *others)]
    assert again.stdout.splitlines() == [
        f"{flows}: exists with 1 partition where 4 are configured; it stays as it is",
        *[f"{name}: exists, 1 partition" for name in others],
    ]


def test_two_workers_may_create_at_once(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> None:
    created: list[str] = []
    workers = [
        threading.Thread(target=lambda: created.extend(create_topics(_settings(kafka_broker), topic_settings)))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert set(created) == {topic.name for topic in topic_settings.all}
    assert missing_topics(_settings(kafka_broker), topic_settings.all) == []


def test_a_refused_topic_is_named_with_the_reason_and_the_others_are_created(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    topics = topic_settings.model_copy(
        update={"flows_late": topic_settings.flows_late.model_copy(update={"replication": 3})}
    )

    with pytest.raises(KafkaUnavailable, match=f"refuses to create topics: {topics.flows_late.name}: .*replic"):
        create_topics(_settings(kafka_broker), topics)
    assert missing_topics(_settings(kafka_broker), topics.all) == [topics.flows_late.name]


def test_a_missing_topic_is_named_with_what_to_do(kafka_broker: KafkaBroker, topic_names: Callable[[str], str]) -> None:
    name = topic_names("nowhere")

    with pytest.raises(KafkaUnavailable, match=f"topic {name} is not on the broker .* flowhawk topics create"):
        require_topics(_settings(kafka_broker), [Topic(name=name)])


def test_an_unreachable_broker_is_one_clear_line_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        begin = time.monotonic()

        with pytest.raises(KafkaUnavailable) as caught:
            missing_topics(KafkaSettings(bootstrap_servers=(address,)), TopicSettings().all)

    assert time.monotonic() - begin < 10
    assert str(caught.value) == (
        f"no Kafka broker answers at {address}; check kafka.bootstrap_servers, and that the broker is up "
        "(Connection refused)"
    )


def test_a_reachable_broker_among_unreachable_ones_is_enough(kafka_broker: KafkaBroker) -> None:
    kafka = KafkaSettings(bootstrap_servers=("127.0.0.1:1", kafka_broker.bootstrap))

    assert missing_topics(kafka, []) == []


def test_an_address_without_a_port_is_said_to_be_none() -> None:
    with pytest.raises(SettingsError, match=r"kafka.bootstrap_servers: 'localhost' is not host:port"):
        missing_topics(KafkaSettings(bootstrap_servers=("localhost",)), [])


def test_a_listener_that_does_not_speak_kafka_is_told_from_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()

        with pytest.raises(
            KafkaUnavailable, match=f"listens at {address} does not answer as a Kafka broker over PLAIN"
        ):
            missing_topics(KafkaSettings(bootstrap_servers=(address,)), TopicSettings().all)

    assert time.monotonic() - begin < 12


def _with_login(broker: KafkaBroker, password: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=(broker.sasl_bootstrap,),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username=USER,
        sasl_password=SecretStr(password),
    )


def test_a_login_lets_in(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> None:
    assert create_topics(_with_login(kafka_broker, PASSWORD), topic_settings)


def test_a_wrong_password_is_one_clear_line_without_it(kafka_broker: KafkaBroker) -> None:
    begin = time.monotonic()

    with pytest.raises(KafkaUnavailable, match=f"does not let {USER} in .* check kafka.sasl_username") as caught:
        missing_topics(_with_login(kafka_broker, "mistaken"), TopicSettings().all)

    assert time.monotonic() - begin < 12
    assert "mistaken" not in str(caught.value)
    assert "\n" not in str(caught.value)
