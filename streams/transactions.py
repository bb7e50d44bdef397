"""Blocks and positions into Kafka, in one transaction: both are there, or neither is."""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from kafka import KafkaProducer
from kafka.errors import (
    InvalidProducerEpochError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFencedError,
)

from streams.errors import InputError, KafkaUnavailable, ServiceError
from streams.kafka_settings import KafkaSettings, TopicSettings, client_arguments
from streams.messages import pieces
from streams.positions import records_of
from streams.publish import MESSAGE_BYTES
from streams.records import RecordSettings
from streams.sources import Block, Position
from streams.topics import ANSWER_SECONDS, require_topics, unavailable

_DELIVERY_MS: Final = 60_000
_TRANSACTION_MS: Final = 90_000
_LINGER_MS: Final = 5
_BATCH_BYTES: Final = 512 << 10
_CLOSE_SECONDS: Final = 5


class TakenOverError(ServiceError):
    """Another ingest of the same name has begun, so this one may not go on."""


class Sent(NamedTuple):
    """How many messages a block became, and how many records are in them."""

    messages: int
    records: int


class Transactions:
    """The transactions of one ingest. Whoever begins under its name ends what was left open, and all others.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topics
        The topics of flows and of positions.
    name
        Name of the ingest.
    records
        How lines are written, so that messages name their dialect; None leaves that out.
    compression
        Codec of the messages.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When a topic is missing, or the broker cannot be used.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        name: str,
        records: RecordSettings | None = None,
        *,
        compression: str = "lz4",
    ) -> None:
        require_topics(kafka, [topics.flows, topics.positions])
        self._kafka = kafka
        self._topics = topics
        self._name = name
        self._records = records
        self._sent: list[Any] = []
        self._open = False
        self._producer = self._call(
            KafkaProducer,
            **client_arguments(kafka),
            transactional_id=f"{kafka.group_id}-{name}",
            transaction_timeout_ms=_TRANSACTION_MS,
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
            linger_ms=_LINGER_MS,
            batch_size=_BATCH_BYTES,
            max_request_size=MESSAGE_BYTES,
            max_block_ms=ANSWER_SECONDS * 1000,
            bootstrap_timeout_ms=ANSWER_SECONDS * 1000,
            request_timeout_ms=_DELIVERY_MS // 2,
            delivery_timeout_ms=_DELIVERY_MS,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        self._call(self._producer.init_transactions)

    def send(self, block: Block, records_per_message: int = 0) -> "Sent":
        """Add a block to the transaction, which begins with its first one.

        Parameters
        ----------
        block
            The block.
        records_per_message
            Cut it into messages of so many lines; 0 sends it as one message.

        Raises
        ------
        streams.errors.InputError
            When no message can hold it; the transaction goes on without.
        TakenOverError
            When another ingest has begun under this name.
        streams.errors.KafkaUnavailable
            When Kafka does not take it.
        """
        self._begin()
        topic = self._topics.flows.name
        messages = list(pieces(block, records_per_message, self._records))
        try:
            for each in messages:
                self._sent.append(self._call(self._producer.send, topic, each.value, headers=each.headers))
        except MessageSizeTooLargeError as error:
            raise InputError(
                f"{block.origin}:{block.line}: {len(block.value):,} bytes of lines do not fit into a Kafka message; "
                "is this a flow log?"
            ) from error
        return Sent(len(messages), sum(each.records for each in messages))

    def commit(self, positions: Mapping[str, Position], forgotten: Iterable[str]) -> None:
        """Commit what was sent together with positions.

        Raises
        ------
        TakenOverError
            When another ingest has begun under this name; nothing is committed.
        streams.errors.KafkaUnavailable
            When Kafka does not take it.
        """
        self._begin()
        topic = self._topics.positions.name
        for key, value in records_of(self._name, positions, forgotten):
            self._sent.append(self._call(self._producer.send, topic, value, key=key))
        self._call(self._producer.flush)
        for future in self._sent:
            self._call(future.get, timeout=_DELIVERY_MS / 1000)
        self._sent.clear()
        self._call(self._producer.commit_transaction)
        self._open = False

    def close(self) -> None:
        """Let go of the broker; what is not committed by now never is."""
        self._producer._sender.force_close()  # noqa: SLF001 - its own close would go on sending
        self._producer.close(timeout=_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        if not self._open:
            self._call(self._producer.begin_transaction)
            self._open = True

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except MessageSizeTooLargeError:
            raise
        except (ProducerFencedError, InvalidProducerEpochError) as error:
            raise TakenOverError(
                f"another ingest named {self._name} has begun, so this one ends; give each its own ingest.name"
            ) from error
        except KafkaError as error:
            if not self._sent and not self._open:
                raise unavailable(self._kafka, error) from error
            raise KafkaUnavailable(
                f"the Kafka broker at {', '.join(self._kafka.bootstrap_servers)} does not take records any more: "
                f"{error}; nothing of the open transaction counts, and the next start sends it again"
            ) from error
