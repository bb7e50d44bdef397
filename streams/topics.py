"""The topics on the broker: which are there, and making the others."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError

from streams.errors import KafkaUnavailable, SettingsError
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings, client_arguments

ANSWER_SECONDS: Final = 8
"""How long a broker has to answer the first question."""

_NO_ERROR: Final = 0
_TOPIC_ALREADY_EXISTS: Final = 36


def create_topics(
    kafka: KafkaSettings,
    topics: TopicSettings,
    report: Callable[[str], None] | None = None,
    topology: str = "direct",
) -> list[str]:
    """Create the topics that are missing; what exists stays as it is.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topics
        The topics.
    report
        Is called with one line a topic: created, there already, or there with another number of partitions.
    topology
        For which topology.

    Returns
    -------
    list[str]
        Names of the topics that this call created.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When no broker answers, or it refuses to create one of them; the others are created nevertheless.
    """
    with _administration(kafka) as admin:
        there = _partitions(admin)
        needed = topics.of(topology)
        wanted = {topic.name: topic for topic in needed if topic.name not in there}
        refusals = _create(admin, wanted.values()) if wanted else {}
    created = [name for name in wanted if name not in refusals]
    if report is not None:
        for topic in needed:
            if topic.name in created:
                report(f"{topic.name}: created, {_counted(topic.partitions)}")
            elif topic.name in there:
                report(_existing(topic, there[topic.name]))
    if refusals:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
        raise KafkaUnavailable(f"the broker refuses to create topics: {reasons}")
    return created


def missing_topics(
    kafka: KafkaSettings, topics: Iterable[Topic], *, api_version: tuple[int, ...] | None = None
) -> list[str]:
    """Name the topics that the broker does not have, or does not show to this user.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topics
        The topics to look for.
    api_version
        What the broker speaks, where it cannot be asked.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When no broker answers.
    """
    with _administration(kafka, api_version) as admin:
        there = _partitions(admin)
    return [topic.name for topic in topics if topic.name not in there]


def require_topics(
    kafka: KafkaSettings, topics: Iterable[Topic], *, api_version: tuple[int, ...] | None = None
) -> None:
    """Refuse to go on when topics are missing.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When a topic is missing, or no broker answers.
    """
    missing = missing_topics(kafka, topics, api_version=api_version)
    if missing:
        verb = "topic {} is" if len(missing) == 1 else "topics {} are"
        raise KafkaUnavailable(
            f"{verb.format(', '.join(missing))} not on the broker at {_addresses(kafka)}; "
            "create what is missing with: flowhawk topics create"
        )


def partition_count(kafka: KafkaSettings, topic: Topic) -> int:
    """Count the partitions of a topic on the broker; 0 when it is not there.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When no broker answers.
    """
    with _administration(kafka) as admin:
        return _partitions(admin).get(topic.name, 0)


def unavailable(kafka: KafkaSettings, error: Exception) -> KafkaUnavailable:
    """Say in one line why the broker could not be reached."""
    where = _addresses(kafka)
    # A broker closes the connection together with its answer to a wrong password, and the client then loses that
    # answer: all it knows is that it never got in.
    if kafka.security_protocol.startswith("SASL") and not isinstance(error, AuthorizationError):
        who = "whoever has this token" if kafka.has_tokens else kafka.sasl_username
        what = "where the token comes from" if kafka.has_tokens else "the password"
        setting = "kafka.security_protocol" if kafka.has_tokens else "kafka.sasl_username"
        return KafkaUnavailable(
            f"the Kafka broker at {where} does not let {who} in over {kafka.security_protocol} with "
            f"{kafka.sasl_mechanism}: {error}; check {setting}, kafka.sasl_mechanism and {what}"
        )
    if isinstance(error, AuthorizationError):
        return KafkaUnavailable(
            f"the Kafka broker at {where} does not allow this: {error}; grant the user what the how-to guides list"
        )
    return KafkaUnavailable(
        f"whoever listens at {where} does not answer as a Kafka broker over {kafka.security_protocol}: {error}; "
        "check kafka.security_protocol, kafka.bootstrap_servers and the broker's advertised listeners"
    )


def require_broker(kafka: KafkaSettings) -> None:
    """Refuse to go on when nobody listens at any of the addresses.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When nobody does.
    streams.errors.SettingsError
        When an address is none.
    """
    reasons: dict[str, None] = {}
    for server in kafka.bootstrap_servers:
        try:
            with socket.create_connection(_address(server), ANSWER_SECONDS / len(kafka.bootstrap_servers)):
                return
        except OSError as error:
            reasons[error.strerror or str(error)] = None
    raise KafkaUnavailable(
        f"no Kafka broker answers at {_addresses(kafka)}; check kafka.bootstrap_servers, and that the broker is up "
        f"({', '.join(reasons)})"
    )


@contextmanager
def _administration(kafka: KafkaSettings, api_version: tuple[int, ...] | None = None) -> Iterator[KafkaAdminClient]:
    # The client itself would try for long, and say no more than that it did.
    require_broker(kafka)
    try:
        with KafkaAdminClient(
            **client_arguments(kafka),
            api_version=api_version,
            bootstrap_timeout_ms=ANSWER_SECONDS * 1000,
            request_timeout_ms=ANSWER_SECONDS * 1000,
            reconnect_backoff_max_ms=1000,
        ) as admin:
            yield admin
    except (KafkaError, OSError) as error:
        raise unavailable(kafka, error) from error


def _partitions(admin: KafkaAdminClient) -> dict[str, int]:
    topics: list[dict[str, Any]] = admin.describe_topics()
    return {topic["name"]: len(topic["partitions"]) for topic in topics}


def _create(admin: KafkaAdminClient, topics: Iterable[Topic]) -> dict[str, str]:
    """Create topics and return the reason for each that was refused."""
    answer = admin.create_topics(
        {
            topic.name: {
                "num_partitions": topic.partitions,
                "replication_factor": topic.replication,
                "configs": topic.configuration,
            }
            for topic in topics
        },
        raise_errors=False,
    )
    # Another worker may have been quicker: then the topic is there, which is all that was wanted.
    refused = {
        each["name"]: each["error_message"] or f"error {each['error_code']}"
        for each in answer["topics"]
        if each["error_code"] not in (_NO_ERROR, _TOPIC_ALREADY_EXISTS)
    }
    admin.wait_for_topics([topic.name for topic in topics if topic.name not in refused])
    return refused


def _existing(topic: Topic, partitions: int) -> str:
    if partitions == topic.partitions:
        return f"{topic.name}: exists, {_counted(partitions)}"
    return (
        f"{topic.name}: exists with {_counted(partitions)} where {topic.partitions} "
        f"{'is' if topic.partitions == 1 else 'are'} configured; it stays as it is"
    )


def _counted(partitions: int) -> str:
    return f"{partitions} partition{'' if partitions == 1 else 's'}"


def _address(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not (colon and host and port.isdecimal()):
        raise SettingsError(f"kafka.bootstrap_servers: {server!r} is not host:port, such as localhost:9092")
    return host.strip("[]"), int(port)


def _addresses(kafka: KafkaSettings) -> str:
    return ", ".join(kafka.bootstrap_servers)
