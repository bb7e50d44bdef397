"""Events as agents get them, made of what lies on a topic or is put there."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from aiokafka import ConsumerRecord

from streams.by_host.blocks import Block, decode
from streams.output import ProducerRecord
from streams.settings import Settings
from streams.transport import Fetched
from tests.streams.topic_records import read

Headers = Mapping[str, bytes]


def record(topic: str, partition: int, offset: int, value: bytes, headers: Headers) -> "ConsumerRecord[Any, Any]":
    """Make a message as a consumer returns it, written after all that it may tell of."""
    return ConsumerRecord(
        topic, partition, offset, 1_800_000_000_000, 0, None, value, None, 0, len(value), tuple(headers.items())
    )


def event(
    topic: str,
    messages: Sequence[tuple[bytes, Headers]],
    *,
    partition: int = 0,
    begin: int = 0,
    prepare: Callable[[Fetched], Any] | None = None,
) -> Fetched:
    """Make an event of messages that follow on each other, prepared as the transport would."""
    records = [record(topic, partition, begin + place, *message) for place, message in enumerate(messages)]
    fetched = Fetched(records, begin, begin + len(records))
    if prepare is None:
        return fetched
    prepared: Future[Any] = Future()
    prepared.set_result(prepare(fetched))
    return Fetched(records, begin, begin + len(records), prepared)


def messages_of(records: Sequence[ProducerRecord], partition: int) -> list[tuple[bytes, Headers]]:
    """Return what goes to a partition, as value and headers."""
    return [(each.value or b"", each.headers) for each in records if each.partition == partition]


def blocks(settings: Settings, part: int) -> list[Block]:
    """Read the blocks of a partition of hosts."""
    records = read(settings.kafka.bootstrap_servers[0], settings.topics.flows_by_host.name, part)
    return [decode(each.value, each.headers) for each in records]
