"""Events as agents get them, made of what lies on a topic or is put there."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from faust.types import TP

from streams.by_host.blocks import Block, decode
from streams.fetched_records import Record, Records
from streams.output import ProducerRecord
from streams.settings import Settings
from streams.transport import Fetched
from tests.streams.topic_records import read

Headers = Mapping[str, bytes]


_WRITTEN = 1_800_000_000_000
"""After all that a message may tell of."""


def event(
    topic: str,
    messages: Sequence[tuple[bytes, Headers]],
    *,
    partition: int = 0,
    begin: int = 0,
    prepare: Callable[[Fetched], Any] | None = None,
) -> Fetched:
    """Make an event of messages that follow on each other, prepared as the transport would."""
    records = Records.of(
        Record(begin + place, _WRITTEN, value, tuple(headers.items()))
        for place, (value, headers) in enumerate(messages)
    )
    fetched = Fetched(TP(topic, partition), records, begin, begin + len(records))
    if prepare is None:
        return fetched
    prepared: Future[Any] = Future()
    prepared.set_result(prepare(fetched))
    return replace(fetched, prepared=prepared)


def messages_of(records: Sequence[ProducerRecord], partition: int) -> list[tuple[bytes, Headers]]:
    """Return what goes to a partition, as value and headers."""
    return [(each.value or b"", each.headers) for each in records if each.partition == partition]


def blocks(settings: Settings, part: int) -> list[Block]:
    """Read the blocks of a partition of hosts."""
    records = read(settings.kafka.bootstrap_servers[0], settings.topics.flows_by_host.name, part)
    return [decode(each.value, each.headers) for each in records]
