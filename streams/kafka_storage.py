"""One partition of a compacted topic as the storage of checkpoints."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.checkpoint import CheckpointError
from streams.connecting import connect
from streams.kafka_settings import KafkaSettings, asyncio_arguments
from streams.output import WRITE_SECONDS, Output, ProducerRecord, stop

_FETCH_BYTES: Final = 8 << 20
_FETCH_SECONDS: Final = 30
"""How long the broker may send nothing while there is something left to read."""

_POLL_MS: Final = 200
_BATCH_BYTES: Final = 1 << 20


def state_partition(partition: int, count: int) -> int:
    """Say which of so many partitions of the state topic holds the state of a partition of hosts."""
    return partition % count


class KafkaStorage:
    """Reads and writes what one group keeps of one source, on a partition of the state topic.

    Parameters
    ----------
    kafka
        How to reach the broker, and the group.
    topic, partition
        Where the state is kept.
    source
        What it is the state of: others may keep theirs beside it.
    output
        Writes what others must not write any more once somebody else owns the partition.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, partition: int, source: str, output: Output) -> None:
        self._arguments: dict[str, Any] = asyncio_arguments(kafka)
        self._partition = TopicPartition(topic, partition)
        self._prefix = f"{quote(kafka.group_id, safe='')}/{source}/"
        self._output = output
        self._producer: AIOKafkaProducer | None = None

    async def read(self) -> Mapping[str, bytes]:
        """Read the partition from its begin to what is its end now.

        Others keep their state beside it. Where one of them has left a transaction unfinished, what is behind that is
        waited for until somebody undoes it: else what was durable long ago might be missing.

        Raises
        ------
        CheckpointError
            When the broker does not let it be read.
        """
        consumer = AIOKafkaConsumer(
            **self._arguments,
            enable_auto_commit=False,
            # What cannot be read must be an error, not skipped.
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            isolation_level="read_committed",
        )
        try:
            end = await self._end()
            await connect(consumer)
            return await self._read(consumer, end)
        except (KafkaError, TimeoutError) as error:
            raise CheckpointError(f"the state topic {self._partition.topic} cannot be read: {error}") from error
        finally:
            await consumer.stop()

    async def write(self, values: Mapping[str, bytes | None]) -> None:
        """Write values and wait until every replica in sync has them.

        Raises
        ------
        CheckpointError
            When the broker does not take them.
        """
        topic, partition = self._partition
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                producer = await self._started()
                sent = [
                    await producer.send(topic, value, self._key(key), partition=partition)
                    for key, value in values.items()
                ]
                for each in sent:
                    await each
        except (KafkaError, TimeoutError) as error:
            raise CheckpointError(f"the state topic {topic} cannot be written: {error!r}") from error

    async def seal(self, key: str, value: bytes) -> None:
        """Write what makes a checkpoint valid, unless somebody else owns the partition.

        Raises
        ------
        streams.output.OutputError
            When somebody else does, or the broker does not take it.
        """
        topic, partition = self._partition
        await self._output.write([ProducerRecord(topic, value, self._key(key), partition=partition)])

    async def close(self) -> None:
        """Let go of the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop(producer)

    def _key(self, name: str) -> bytes:
        return f"{self._prefix}{name}".encode()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._arguments,
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
                request_timeout_ms=WRITE_SECONDS * 1000,
            )
            self._producer = producer
            await connect(producer)
        return self._producer

    async def _end(self) -> int:
        """Return the end of the partition, be what is before it committed or not."""
        consumer = AIOKafkaConsumer(**self._arguments, enable_auto_commit=False)
        try:
            await connect(consumer)
            return int((await consumer.end_offsets([self._partition]))[self._partition])
        finally:
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer, end: int) -> Mapping[str, bytes]:
        partition = self._partition
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        values: dict[str, bytes] = {}
        position, heard = -1, time.monotonic()
        while position < end:
            # A poll does not return for the marks of transactions alone, so none may wait for long.
            fetched = await consumer.getmany(partition, timeout_ms=_POLL_MS)
            for record in fetched.get(partition, ()):
                self._take(record, values)
            before, position = position, await consumer.position(partition)
            if position != before:
                heard = time.monotonic()
            elif time.monotonic() - heard > _FETCH_SECONDS:
                raise TimeoutError(f"the broker sent nothing for {_FETCH_SECONDS} s")
        return values

    def _take(self, record: ConsumerRecord[bytes, bytes], values: dict[str, bytes]) -> None:
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(self._prefix):
            name = key.removeprefix(self._prefix)
            if record.value is None:
                values.pop(name, None)
            else:
                values[name] = record.value
