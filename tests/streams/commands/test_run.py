import socket

import pytest

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.programs import environment_of, flowhawk


def line_of(environment: dict[str, str], status: int = 1) -> str:
    """Run the service, which cannot start, and return the one line that it leaves."""
    done = flowhawk("run", environment=environment)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    lines = [line for line in done.stderr.splitlines() if "[info" not in line]
    assert len(lines) == 1, done.stderr
    return lines[0].removeprefix("flowhawk: ")


@pytest.mark.parametrize("create", ["true", "false"])
def test_a_broker_that_does_not_answer_is_one_line(create: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        line = line_of(environment_of(address, TopicSettings()) | {"FLOWHAWK__TOPICS__CREATE": create})
    assert line == (
        f"no Kafka broker answers at {address}; check kafka.bootstrap_servers, and that the broker is up "
        "(Connection refused)"
    )


def test_topics_that_it_may_not_create_are_one_line_with_the_remedy(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    line = line_of(environment_of(kafka_broker.bootstrap, topic_settings) | {"FLOWHAWK__TOPICS__CREATE": "false"})
    names = ", ".join(topic.name for topic in topic_settings.all)
    assert line == (
        f"topics {names} are not on the broker at {kafka_broker.bootstrap}; "
        "create what is missing with: flowhawk topics create"
    )


def test_a_flows_topic_of_two_partitions_is_one_line_with_the_setting(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    flows = topic_settings.flows.model_copy(update={"partitions": 2})
    create_topics(
        KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,)), topic_settings.model_copy(update={"flows": flows})
    )
    assert line_of(environment_of(kafka_broker.bootstrap, topic_settings)) == (
        f"topology direct reads a topic of one partition, and {flows.name} has 2; "
        "name another topic in topics.flows.name, or set topology to by-host"
    )


def test_a_port_in_use_is_one_line_with_the_setting(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = line_of(environment_of(kafka_broker.bootstrap, topic_settings) | {"FLOWHAWK__HTTP__PORT": port})
    assert line.startswith(f"127.0.0.1:{port} cannot be listened on for /metrics: Address already in use; ")
    assert "http.port" in line


def test_a_password_file_that_is_not_there_is_one_line(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings
) -> None:
    environment = environment_of(kafka_broker.sasl_bootstrap, topic_settings) | {
        "FLOWHAWK__KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FLOWHAWK__KAFKA__SASL_MECHANISM": "PLAIN",
        "FLOWHAWK__KAFKA__SASL_USERNAME": "me",
        "FLOWHAWK__KAFKA__SASL_PASSWORD_FILE": "absent",
    }
    assert (
        line_of(environment, status=2) == "kafka.sasl_password_file: absent cannot be read: No such file or directory"
    )


def test_a_mistake_in_the_settings_is_one_line_and_another_exit_status() -> None:
    line = line_of({"FLOWHAWK__KAFKA__SERVERS": "localhost:9092"}, status=2)
    assert line.startswith("environment variable FLOWHAWK__KAFKA__SERVERS is no setting; did you mean ")
