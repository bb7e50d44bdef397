"""Flow records into Kafka: blocks of a source become messages of the flows topic."""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from streams.errors import InputError, KafkaUnavailable
from streams.kafka_settings import KafkaSettings, Topic, client_arguments
from streams.messages import Piece, pieces
from streams.records import RecordSettings
from streams.records.contract import WATERMARK_HEADER
from streams.sources import Block, Source
from streams.topics import ANSWER_SECONDS, require_topics, unavailable

END_OF_INPUT: Final = b"end"
"""Value of the watermark header after the last record of an input."""

MESSAGE_BYTES: Final = 4 << 20
"""The largest message that is sent at all; a block of lines is far smaller."""

IN_FLIGHT_BYTES: Final = 8 << 20
"""How many bytes may wait for Kafka's word before the next block is read."""

BATCH_BYTES: Final = 512 << 10
"""How many bytes of messages go to the broker at a time."""

LINGER_MS: Final = 5
_DELIVERY_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5


class Published(NamedTuple):
    """What Kafka has.

    Attributes
    ----------
    records
        Lines that are no header lines.
    bytes
        Size of the lines, before compression.
    messages
        Kafka messages.
    """

    records: int = 0
    bytes: int = 0
    messages: int = 0


class _Sent(NamedTuple):
    """A message that Kafka may not have yet; the last one of a block names whom to tell."""

    future: Any
    size: int
    records: int
    whom: tuple[Block, Source] | None


class Publisher:
    """Sends the blocks of sources to the flows topic, in order, and tells the sources what Kafka has.

    Every message is acknowledged by all replicas in sync. The first one that Kafka does not take ends it all, and
    nothing behind it is acknowledged to a source.

    Parameters
    ----------
    kafka
        How to reach the broker.
    topic
        The flows topic.
    records_per_message
        Cut blocks into messages of so many lines; 0 sends each block as one message.
    records
        How lines are written, so that messages name their dialect; None leaves that out.
    admit
        Is called with the size of each message in bytes before it is sent, and may wait. When it says False,
        nothing more is sent.
    progress
        Is called with what Kafka has whenever that has grown.
    select
        Returns what of a block is to be sent, or None for nothing.
    partition
        Send to this partition only; None spreads the messages.
    compression
        Codec of the messages; None for none.
    api_version
        What the broker speaks, where it cannot be asked.
    batch_bytes
        How many bytes of messages go to the broker at a time.
    linger_ms
        How long a message may wait for others to go with it.
    in_flight_bytes
        How many bytes may wait for Kafka's word at a time.
    delivery_seconds
        How long Kafka has to take a message, through all attempts.

    Raises
    ------
    streams.errors.KafkaUnavailable
        When no broker answers or the topic is missing.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: Topic,
        *,
        records_per_message: int = 0,
        records: RecordSettings | None = None,
        admit: Callable[[int], bool] | None = None,
        progress: Callable[[Published], None] | None = None,
        select: Callable[[Block], Block | None] | None = None,
        partition: int | None = None,
        compression: str | None = "lz4",
        api_version: tuple[int, ...] | None = None,
        batch_bytes: int = BATCH_BYTES,
        linger_ms: int = LINGER_MS,
        in_flight_bytes: int = IN_FLIGHT_BYTES,
        delivery_seconds: float = _DELIVERY_SECONDS,
    ) -> None:
        require_topics(kafka, [topic], api_version=api_version)
        self._kafka = kafka
        self._topic = topic.name
        self._records_per_message = records_per_message
        self._records = records
        self._admit = admit
        self._progress = progress
        self._select = select
        self._partition = partition
        self._in_flight_bytes = in_flight_bytes
        # The client itself gives up when the delivery takes too long; this is for when the client does not.
        self._patience_seconds = delivery_seconds + _CLOSE_SECONDS
        self._in_flight: deque[_Sent] = deque()
        self._in_flight_size = 0
        self._stopped = False
        self.published = self._reported = Published()
        self._producer = self._connect(compression, api_version, delivery_seconds, batch_bytes, linger_ms)

    def publish(self, source: Source) -> None:
        """Send all blocks of a source; returns when the last one is on its way.

        Raises
        ------
        streams.errors.InputError
            When the source cannot be read to its end, or holds a line that no message can hold; what came before
            is sent, and another source may follow.
        streams.errors.KafkaUnavailable
            When Kafka does not take a message.
        """
        for block in source.blocks():
            chosen = block if self._select is None else self._select(block)
            if chosen is None:
                continue
            for piece in pieces(chosen, self._records_per_message, self._records):
                size = len(piece.value)
                if not self._may_send(size):
                    return
                self._make_room(size)
                whom = (block, source) if piece.is_last else None
                self._in_flight.append(_Sent(self._send(piece, chosen), size, piece.records, whom))
                self._in_flight_size += size
            self._settle_what_is_done()

    def finish(self, *, complete: bool = False) -> Published:
        """Wait until Kafka has everything that was sent.

        Parameters
        ----------
        complete
            Whether that was all there will ever be: then each partition gets an empty message that says so, and
            whoever reads it closes every pane. Left out when `admit` has put an end to it.

        Raises
        ------
        streams.errors.KafkaUnavailable
            When Kafka does not take a message.
        """
        self._settle_all()
        if complete and not self._stopped:
            for partition in self._partitions():
                future = self._call(
                    self._producer.send,
                    self._topic,
                    b"",
                    headers=[(WATERMARK_HEADER, END_OF_INPUT)],
                    partition=partition,
                )
                self._in_flight.append(_Sent(future, 0, 0, None))
            self._settle_all()
        return self.published

    def close(self) -> None:
        """Let go of the broker; what Kafka has not taken by now is given up."""
        # Its own close would wait for what is in flight, and go on sending when that takes too long.
        self._producer._sender.force_close()  # noqa: SLF001 - there is no public way
        self._producer.close(timeout=_CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(
        self,
        compression: str | None,
        api_version: tuple[int, ...] | None,
        delivery_seconds: float,
        batch_bytes: int,
        linger_ms: int,
    ) -> KafkaProducer:
        delivery_ms = round(delivery_seconds * 1000)
        return self._call(
            KafkaProducer,
            **client_arguments(self._kafka),
            api_version=api_version,
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
            linger_ms=linger_ms,
            batch_size=batch_bytes,
            max_request_size=MESSAGE_BYTES,
            max_block_ms=ANSWER_SECONDS * 1000,
            bootstrap_timeout_ms=ANSWER_SECONDS * 1000,
            request_timeout_ms=delivery_ms // 2,
            delivery_timeout_ms=delivery_ms,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _may_send(self, size: int) -> bool:
        if self._admit is not None and not self._stopped:
            self._stopped = not self._admit(size)
        return not self._stopped

    def _send(self, piece: Piece, block: Block) -> Any:
        try:
            return self._call(
                self._producer.send, self._topic, piece.value, headers=piece.headers, partition=self._partition
            )
        except MessageSizeTooLargeError as error:
            raise InputError(
                f"{block.origin}:{block.line}: {len(piece.value):,} bytes of lines do not fit into a Kafka message; "
                "is this a flow log?"
            ) from error

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except MessageSizeTooLargeError:
            raise
        except KafkaError as error:
            raise unavailable(self._kafka, error) from error

    def _partitions(self) -> list[int]:
        if self._partition is not None:
            return [self._partition]
        return sorted(self._call(self._producer.partitions_for, self._topic))

    def _make_room(self, size: int) -> None:
        while self._in_flight and self._in_flight_size + size > self._in_flight_bytes:
            self._settle_oldest()

    def _settle_all(self) -> None:
        while self._in_flight:
            self._settle_oldest()
            self._settle_what_is_done()

    def _settle_what_is_done(self) -> None:
        while self._in_flight and self._in_flight[0].future.is_done:
            self._settle_oldest()
        if self._progress is not None and self.published != self._reported:
            self._progress(self.published)
        self._reported = self.published

    def _settle_oldest(self) -> None:
        """Wait for Kafka's word on the oldest message, and pass it on to its source."""
        sent = self._in_flight[0]
        try:
            sent.future.get(timeout=self._patience_seconds)
        except KafkaError as error:
            raise self._not_taken(error) from error
        self._in_flight.popleft()
        self._in_flight_size -= sent.size
        records, size, messages = self.published
        self.published = Published(records + sent.records, size + sent.size, messages + 1)
        if sent.whom is not None:
            block, source = sent.whom
            source.acknowledge(block)

    def _not_taken(self, error: KafkaError) -> KafkaUnavailable:
        remedy = (
            f"raise max.message.bytes of the topic {self._topic}"
            if isinstance(error, MessageSizeTooLargeError)
            else "see whether the broker is up, then publish the rest"
        )
        return KafkaUnavailable(
            f"the Kafka broker at {', '.join(self._kafka.bootstrap_servers)} does not take records any more: {error}; "
            f"it has the first {self.published.records:,} of them; {remedy}"
        )
