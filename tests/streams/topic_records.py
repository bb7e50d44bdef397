"""What lies on topics, written and read without the service."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from streams.heartbeat import KEY

Headers = Mapping[str, bytes]


class Record(NamedTuple):
    """A message on a topic."""

    offset: int
    key: bytes | None
    value: Any
    headers: Headers


def write(
    address: str,
    topic: str,
    values: Iterable[bytes | None],
    *,
    keys: Iterable[bytes] | None = None,
    headers: Headers | None = None,
    partition: int = 0,
) -> None:
    """Put messages on a partition of a topic, in order, and wait until the broker has them."""
    # A compacted topic takes no message without a key.
    numbers = (b"%d" % number for number in itertools.count())
    with KafkaProducer(bootstrap_servers=address, acks="all") as producer:
        sent = [
            producer.send(topic, each, key=key, headers=list((headers or {}).items()), partition=partition)
            for key, each in zip(keys or numbers, values, strict=False)
        ]
        for each in sent:
            each.get(timeout=30)


def read(address: str, topic: str, number: int = 0) -> list[Record]:
    """Read everything on a partition of a topic, but heartbeats and what transactions left unfinished."""
    with KafkaConsumer(
        bootstrap_servers=address, enable_auto_commit=False, isolation_level="read_committed"
    ) as consumer:
        partition = TopicPartition(topic, number)
        consumer.assign([partition])
        consumer.seek_to_beginning()
        end = consumer.end_offsets([partition])[partition]
        found: list[Record] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=200).values():
                found += [
                    Record(each.offset, each.key, each.value, dict(each.headers)) for each in records if each.key != KEY
                ]
        return found


def end_offset(address: str, topic: str, number: int = 0) -> int:
    """Tell the offset behind the last message of a partition."""
    with KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False) as consumer:
        partition = TopicPartition(topic, number)
        return int(consumer.end_offsets([partition])[partition])


def committed_offset(address: str, group: str, topic: str, number: int = 0) -> int | None:
    """Tell the committed offset of a group on a partition; None where there is none."""
    partition = TopicPartition(topic, number)
    with KafkaAdminClient(bootstrap_servers=address) as admin:
        offsets = admin.list_group_offsets({group: [partition]})[group]
    found = offsets.get(partition)
    return None if found is None or found.offset < 0 else int(found.offset)
