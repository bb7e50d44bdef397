"""What the stages say, on its way to topics: all that came of an event at once, and only from the owner.

The writer of a partition's output bears a transactional id that names the partition. Whoever starts a writer with
the same id shuts out the one before: what that one still sends is refused, and what it left unfinished is undone.
So a worker that was presumed dead and wakes up can't overwrite what its successor has said.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, InvalidProducerIdMapping, InvalidTxnState, KafkaError, ProducerFenced

from streams.connecting import connect
from streams.errors import ServiceError
from streams.kafka_settings import KafkaSettings, asyncio_arguments

WRITE_SECONDS: Final = 60
"""How long Kafka may take to store something, and how long it keeps what a dead writer left unfinished."""

_CLOSE_SECONDS: Final = 2

MAX_REQUEST_BYTES: Final = 1 << 20


class OutputError(ServiceError):
    """Something could not be written, and nothing may be acknowledged that it came of."""


class FencedError(OutputError):
    """Another worker has the partition now."""


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """A message to write.

    Attributes
    ----------
    topic, value, key, headers
        As in Kafka; the value None deletes the key of a compacted topic.
    partition
        Where to; None for where the key, or chance, says.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int | None = None


class Output:
    """Writes messages, each call all or nothing where it has a transactional id.

    Parameters
    ----------
    kafka
        How to reach the broker.
    transactional_id
        Shuts out earlier writers with the same one; None writes without transactions and shuts out nobody.
    linger_ms
        How long a message waits for others that go with it.
    """

    def __init__(self, kafka: KafkaSettings, transactional_id: str | None = None, *, linger_ms: int = 5) -> None:
        self._linger_ms = linger_ms
        self._kafka = kafka
        self._transactional_id = transactional_id
        self._producer: AIOKafkaProducer | None = None
        self._usable = False
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect and, with a transactional id, shut out whoever had it.

        Raises
        ------
        OutputError
            When Kafka does not allow it.
        """
        self._producer = producer = AIOKafkaProducer(**self._arguments())
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await connect(producer)
        except (KafkaError, TimeoutError) as error:
            raise OutputError(f"Kafka lets nobody write as {self._name}: {_said(error)}") from error
        self._usable = True

    async def write(self, records: Sequence[ProducerRecord]) -> None:
        """Write messages and return once they are durable and to be seen; begin nothing where there are none.

        Raises
        ------
        FencedError
            When another writer has the transactional id now.
        OutputError
            When Kafka does not take them. What was written is undecided, and nothing more can be.
        """
        if not records:
            return
        topics = ", ".join(sorted({record.topic for record in records}))
        try:
            # Transactions come one after the other; what needs none need not wait for others.
            async with asyncio.timeout(WRITE_SECONDS), nullcontext() if self._transactional_id is None else self._lock:
                if self._producer is None or not self._usable:
                    raise OutputError(f"{topics} cannot be written: {self._name} is closed, or failed before")
                self._usable = self._transactional_id is None
                await self._write(self._producer, records)
                self._usable = True
        except (ProducerFenced, InvalidTxnState, InvalidProducerIdMapping) as error:
            raise FencedError(f"{topics} cannot be written: another worker has taken {self._name} over") from error
        except (KafkaError, TimeoutError) as error:
            raise OutputError(f"{topics} cannot be written: {_said(error)}") from error

    async def close(self) -> None:
        """Let go of the broker, once what is being written is written."""
        producer, self._producer = self._producer, None
        if producer is not None:
            async with self._lock:
                await stop(producer)

    @property
    def _name(self) -> str:
        return self._transactional_id or "a plain producer"

    def _arguments(self) -> dict[str, Any]:
        arguments = asyncio_arguments(self._kafka) | {
            "acks": "all",
            "linger_ms": self._linger_ms,
            "max_request_size": MAX_REQUEST_BYTES,
            "request_timeout_ms": WRITE_SECONDS * 1000,
        }
        if self._transactional_id is not None:
            arguments |= {
                "transactional_id": self._transactional_id,
                "transaction_timeout_ms": WRITE_SECONDS * 1000,
            }
        return arguments

    async def _write(self, producer: AIOKafkaProducer, records: Sequence[ProducerRecord]) -> None:
        if self._transactional_id is None:
            await _send(producer, records)
            return
        # A failed transaction is not aborted: whoever starts next with this id does so.
        await producer.begin_transaction()
        await _send(producer, records)
        await producer.commit_transaction()


def fenced(kafka: KafkaSettings, source: str) -> Output:
    """Return what writes of a source, and shuts out whoever else does in the same group.

    Parameters
    ----------
    kafka
        How to reach the broker, and the group.
    source
        Name of the partition that is read, for example `flows/0`.
    """
    return Output(kafka, f"{kafka.group_id}/{source}")


async def _send(producer: AIOKafkaProducer, records: Sequence[ProducerRecord]) -> None:
    sent: list[asyncio.Future[Any]] = []
    refused: IllegalOperation | None = None
    for each in records:
        try:
            sent.append(
                await producer.send(
                    each.topic, each.value, each.key, partition=each.partition, headers=list(each.headers.items())
                )
            )
        except IllegalOperation as error:
            # The transaction has failed meanwhile, and what is on its way says why.
            refused = error
            break
    for outcome in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    if refused is not None:
        raise OutputError(str(refused))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, KafkaError) else f"Kafka did not answer within {WRITE_SECONDS} s"


async def stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer, but don't wait long for a broker that is away."""
    _let_drop(producer)
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except (KafkaError, TimeoutError):
        await producer.client.close()


def _let_drop(producer: AIOKafkaProducer) -> None:
    """Look at what became of a writer that was shut out: asyncio logs errors that nobody looks at, as aiokafka does."""
    accumulator, transactions = producer._message_accumulator, producer._txn_manager  # noqa: SLF001 - it tells nobody
    batches = chain(*accumulator._batches.values(), accumulator._pending_batches)  # noqa: SLF001 - see above
    waiters = [each._drain_waiter for each in batches]  # noqa: SLF001 - see above
    if transactions is not None and transactions._transaction_waiter is not None:  # noqa: SLF001 - see above
        waiters.append(transactions._transaction_waiter)  # noqa: SLF001 - see above
    for waiter in waiters:
        if waiter.done() and not waiter.cancelled():
            waiter.exception()
