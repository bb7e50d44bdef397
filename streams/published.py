"""Findings that are on the topic already: what was told early, and may have been forgotten in a crash."""

import time
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from detectors.finding import Finding
from streams.connecting import connect
from streams.errors import ServiceError
from streams.kafka_settings import KafkaSettings, asyncio_arguments

_FETCH_BYTES: Final = 8 << 20
_POLL_MS: Final = 200
_FETCH_SECONDS: Final = 30

_PROVISIONAL: Final = b'"provisional":true'


class PublishedError(ServiceError):
    """What is on the findings topic cannot be read, so nobody knows what was told early."""


async def provisional(kafka: KafkaSettings, topic: str) -> list[Finding]:
    """Read which provisional findings are out: the last state of each that is neither confirmed nor settled.

    Raises
    ------
    PublishedError
        When the broker does not let them be read.
    """
    consumer = AIOKafkaConsumer(
        topic,
        **asyncio_arguments(kafka),
        enable_auto_commit=False,
        max_partition_fetch_bytes=_FETCH_BYTES,
        isolation_level="read_committed",
    )
    last: dict[bytes, bytes] = {}
    try:
        await connect(consumer)
        await _read(consumer, last)
    except (KafkaError, TimeoutError) as error:
        raise PublishedError(f"the findings topic {topic} cannot be read: {error!r}") from error
    finally:
        await consumer.stop()
    return [finding for value in last.values() if (finding := _open(value)) is not None]


async def _read(consumer: AIOKafkaConsumer, last: dict[bytes, bytes]) -> None:
    """Keep the last value of every key that was provisional then."""
    ends = await consumer.end_offsets(consumer.assignment())
    await consumer.seek_to_beginning()
    heard = time.monotonic()
    before: dict[TopicPartition, int] = {}
    while True:
        positions = {each: await consumer.position(each) for each in ends}
        if all(positions[each] >= end for each, end in ends.items()):
            return
        if positions != before:
            heard = time.monotonic()
        elif time.monotonic() - heard > _FETCH_SECONDS:
            raise TimeoutError(f"the broker sent nothing for {_FETCH_SECONDS} s")
        before = positions
        for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
            for record in records:
                if record.value is not None and _PROVISIONAL in record.value:
                    last[record.key or b""] = record.value
                else:
                    last.pop(record.key or b"", None)


def _open(value: bytes) -> Finding | None:
    """Return a finding that is still open; one of another version is not this program's to settle."""
    try:
        finding = Finding.model_validate_json(value)
    except ValidationError:
        return None
    return finding if finding.provisional and finding.status == "open" else None
