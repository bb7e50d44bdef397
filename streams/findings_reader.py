"""The findings topic, read for one sink: a position of its own, in a consumer group of its own."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from pydantic import ValidationError

from detectors.finding import Finding
from streams.connecting import connect
from streams.heartbeat import last_heartbeat
from streams.kafka_settings import KafkaSettings, asyncio_arguments

log = structlog.get_logger(__name__)

_POLL_MS: Final = 500
_MAX_RECORDS: Final = 500
_FETCH_BYTES: Final = 1 << 20
_METADATA_SECONDS: Final = 5
_CLOSE_SECONDS: Final = 3
"""How long leaving a group may take, while the broker may be away."""

_FOREVER_MS: Final = 2**31 - 1
"""A sink may be away for days, and is not asked for findings meanwhile: that is no reason to leave the group."""

_EMBEDDED_WAIT_MS: Final = 100
"""The mock broker does not wake a waiting fetch, so there the wait is the latency."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read at once.

    Attributes
    ----------
    findings
        The findings in it.
    ends
        Where to read on in each partition, once they are delivered.
    assignment
        Number of the assignment that it was read in.
    anew
        Whether reading began, or began anew, with this.
    caught_up
        Whether this reaches what was the end of the topic when reading began.
    beat
        When the last heartbeat in it was made, epoch seconds; None where there is none.
    """

    findings: list[Finding]
    ends: Mapping[TopicPartition, int]
    assignment: int
    anew: bool
    caught_up: bool
    beat: float | None = None


class FindingsReader:
    """Reads the topic in a group, so that of several workers one tells a sink of a finding.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topic
        The findings topic.
    group
        The consumer group; None to read all from the beginning, with no position that outlives the process.
    replays
        Whether each assignment is read from its beginning.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, group: str | None, *, replays: bool) -> None:
        self._arguments: dict[str, Any] = asyncio_arguments(kafka)
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._replays = replays
        self._consumer: AIOKafkaConsumer | None = None
        self._assignment = 0
        self._read_in = -1
        self._catching_up: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._consumer is not None

    async def open(self) -> None:
        """Connect and join the group.

        Raises
        ------
        aiokafka.errors.KafkaError
            When the broker does not answer, or does not allow it.
        """
        milliseconds = int(self._kafka.session_timeout_seconds * 1000)
        consumer = AIOKafkaConsumer(
            **self._arguments,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_POLL_MS if self._group is not None else _EMBEDDED_WAIT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
            metadata_max_age_ms=_METADATA_SECONDS * 1000,
            session_timeout_ms=milliseconds,
            heartbeat_interval_ms=milliseconds // 5,
            max_poll_interval_ms=_FOREVER_MS,
        )
        listener = _Assignments(self) if self._group is not None else None
        consumer.subscribe([self._topic], listener=listener)
        self._assignment += 1
        self._consumer = consumer
        try:
            await connect(consumer)
        except BaseException:
            await self.close()
            raise

    async def read(self) -> Read:
        """Read on; after half a second without anything new, an empty batch."""
        consumer = self._opened()
        anew = self._read_in != self._assignment
        if anew:
            await self._begin(consumer)
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        # Nothing waits from here to the end of the next line, so these are records of this assignment.
        assignment = self._assignment
        if self._replays and assignment != self._read_in:
            return Read([], {}, assignment, anew, caught_up=False)
        findings = [finding for records in fetched.values() for finding in findings_in(records)]
        for partition, records in fetched.items():
            self._done.setdefault(partition, records[0].offset)
        ends = {partition: records[-1].offset + 1 for partition, records in fetched.items() if records}
        beat = last_heartbeat(record for records in fetched.values() for record in records)
        return Read(findings, ends, assignment, anew, caught_up=await self._has_caught_up(consumer), beat=beat)

    def is_current(self, read: Read) -> bool:
        """Say whether what was read is still this reader's to deliver."""
        return read.assignment == self._assignment

    async def done(self, read: Read) -> None:
        """Never read this again, unless the topic is replayed."""
        self._done |= read.ends
        if self._group is not None and read.ends and self.is_current(read):
            # Whoever has the partition by now delivers it again, which is allowed.
            with suppress(CommitFailedError, IllegalStateError):
                await self._opened().commit(dict(read.ends))

    async def lag(self) -> int:
        """Count the messages of the assigned partitions that are not done."""
        consumer = self._opened()
        assigned = consumer.assignment()
        if not assigned:
            return 0
        ends = await consumer.end_offsets(assigned)
        return sum([max(end - await self._position(consumer, each), 0) for each, end in ends.items()])

    async def close(self) -> None:
        """Leave the group."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await consumer.stop()
            except (KafkaError, TimeoutError):
                await consumer._client.close()  # noqa: SLF001 - aiokafka offers no other way to hang up at once

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        # Set first: an assignment that changes meanwhile begins anew.
        self._read_in = self._assignment
        self._done.clear()
        assigned = consumer.assignment()
        if assigned and self._replays:
            await consumer.seek_to_beginning(*assigned)
        self._catching_up = await consumer.end_offsets(assigned) if assigned and self._replays else {}

    async def _has_caught_up(self, consumer: AIOKafkaConsumer) -> bool:
        """Say so once, when the last partition has."""
        if not self._catching_up or self._read_in != self._assignment:
            return False
        for partition, end in list(self._catching_up.items()):
            if await consumer.position(partition) >= end:
                del self._catching_up[partition]
        return not self._catching_up

    async def _position(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
        done = self._done.get(partition)
        return await consumer.position(partition) if done is None else done

    def reassigned(self) -> None:
        """Take note that other partitions are assigned, or none."""
        self._assignment += 1

    def _opened(self) -> AIOKafkaConsumer:
        assert self._consumer is not None  # noqa: S101 - narrows the type
        return self._consumer


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka publishes no types
    def __init__(self, reader: FindingsReader) -> None:
        self._reader = reader

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        del revoked
        self._reader.reassigned()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        del assigned
        self._reader.reassigned()


def findings_in(records: Iterable["ConsumerRecord[bytes, bytes]"]) -> Iterator[Finding]:
    """Read findings out of messages; one that is none is named in the log and passed over."""
    for record in records:
        if record.value:
            try:
                yield Finding.model_validate_json(record.value)
            except ValidationError:
                where = f"{record.topic}/{record.partition} at {record.offset}"
                log.error("passed over a message that is no finding of this version", where=where)  # noqa: TRY400 - no bug
