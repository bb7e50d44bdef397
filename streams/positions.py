"""How far origins have been read, on a compacted topic: one key for each of them."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict, ValidationError

from streams.errors import KafkaUnavailable
from streams.kafka_settings import KafkaSettings, Topic, client_arguments
from streams.sources import Position
from streams.topics import unavailable

_POLL_MS: Final = 200
_FETCH_SECONDS: Final = 30
"""How long the broker may send nothing while there is something left to read."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore")

    offset: int
    content: str = ""


def key_of(name: str, origin: str) -> bytes:
    """Write the key of an origin.

    >>> key_of("ingest", "a.log")
    b'ingest/a.log'
    """
    return f"{name}/{origin}".encode("utf-8", "surrogateescape")


def value_of(position: Position) -> bytes:
    """Write a position.

    >>> value_of(Position(4096, "9b2cf535f27731c9"))
    b'{"offset":4096,"content":"9b2cf535f27731c9"}'
    """
    return _Kept(offset=position.offset, content=position.content).model_dump_json().encode()


def read_positions(kafka: KafkaSettings, topic: Topic, name: str) -> dict[str, Position]:
    """Read the positions of an ingest, those of committed transactions alone.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topic
        The topic of positions.
    name
        Name of the ingest.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When the broker does not let them be read, or holds what is none.
    """
    try:
        with KafkaConsumer(
            **client_arguments(kafka),
            enable_auto_commit=False,
            isolation_level="read_committed",
            metrics_enabled=False,
        ) as consumer:
            kept = _last_values(consumer, topic.name)
    except KafkaError as error:
        raise unavailable(kafka, error) from error
    prefix = key_of(name, "")
    return dict(_position(topic, prefix, key, value) for key, value in kept.items() if key.startswith(prefix))


def _position(topic: Topic, prefix: bytes, key: bytes, value: bytes) -> tuple[str, Position]:
    try:
        kept = _Kept.model_validate_json(value)
    except ValidationError as error:
        raise KafkaUnavailable(
            f"the topic {topic.name} holds {value[:80]!r} under {key!r}, which is no position; "
            "is it used for something else?"
        ) from error
    return key.removeprefix(prefix).decode("utf-8", "surrogateescape"), Position(kept.offset, kept.content)


def _last_values(consumer: KafkaConsumer, topic: str) -> Mapping[bytes, bytes]:
    partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    ends = consumer.end_offsets(partitions)
    values: dict[bytes, bytes] = {}
    before, heard = -1, time.monotonic()
    while (reached := _left(consumer, ends)) > 0:
        if reached != before:
            before, heard = reached, time.monotonic()
        elif time.monotonic() - heard > _FETCH_SECONDS:
            raise KafkaUnavailable(f"the topic {topic} cannot be read: the broker sent nothing for {_FETCH_SECONDS} s")
        for records in consumer.poll(timeout_ms=_POLL_MS).values():
            for record in records:
                if record.value is None:
                    values.pop(record.key, None)
                else:
                    values[record.key] = record.value
    return values


def _left(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> int:
    return sum(max(0, end - int(consumer.position(each))) for each, end in ends.items())


def records_of(
    name: str, positions: Mapping[str, Position], forgotten: Iterable[str]
) -> Iterable[tuple[bytes, bytes | None]]:
    """Write what changes on the topic: keys, and values or None for what is forgotten."""
    for origin, position in positions.items():
        yield key_of(name, origin), value_of(position)
    for origin in forgotten:
        yield key_of(name, origin), None
