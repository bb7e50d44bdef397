"""Another Kafka topic: `kafka://broker-1.example.com:9092/vpc-flows`."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field

from streams.errors import InputError
from streams.kafka_settings import KafkaSettings, client_arguments
from streams.records.contract import DIALECT_HEADER, FORMAT_HEADER, SAMPLING_HEADER
from streams.sources.contract import Block, PlaceSettings, Position, Source
from streams.sources.lines import is_compressed
from streams.sources.places import bare, parameters

if TYPE_CHECKING:
    from kafka import TopicPartition

_SCHEME: Final = "kafka://"
_HEADERS: Final = frozenset((DIALECT_HEADER, FORMAT_HEADER, SAMPLING_HEADER))
_ANSWER_MS: Final = 8_000
_POLL_MS: Final = 200


class KafkaTopicSettings(PlaceSettings):
    """Parameters of `kafka://`."""

    start: Literal["earliest", "latest"] = Field(
        default="earliest", alias="from", description="Where to begin in partitions that were never read."
    )
    until_end: bool = Field(
        default=False, description="Whether to end at what is the end of the topic when the reading begins."
    )
    config: Path | None = Field(
        default=None, description="Settings file whose section kafka says how to log in; else there is no login."
    )
    format: str | None = Field(default=None, description="Fields of lines in messages that do not say so themselves.")


class KafkaTopicSource(Source):
    """Messages of a topic, all partitions, those of committed transactions alone. Each message is a block.

    Positions are offsets. No consumer group is used.
    """

    name = "kafka"
    written = "kafka://BROKER:PORT/TOPIC"
    settings = KafkaTopicSettings

    def __init__(self, place: str, kafka: KafkaSettings, settings: KafkaTopicSettings) -> None:
        # Every command looks through the sources, and few read a topic.
        from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - slow to import, and seldom needed
        from kafka.errors import KafkaError  # noqa: PLC0415 - likewise

        self._place = bare(place)
        self._topic = unquote(urlsplit(place).path).strip("/")
        if not self._topic:
            raise InputError(f"{self._place}: names no topic; write kafka://host:port/topic")
        self._settings = settings
        self._known: dict[int, int] = {}
        self._lines: dict[int, int] = {}
        self._consumed = 0
        self._waits = False
        self._stopped = threading.Event()
        try:
            self._consumer = KafkaConsumer(
                **client_arguments(kafka),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                metrics_enabled=False,
                bootstrap_timeout_ms=_ANSWER_MS,
                reconnect_backoff_max_ms=1000,
                allow_auto_create_topics=False,
            )
            numbers = self._consumer.partitions_for_topic(self._topic)
        except KafkaError as error:
            raise InputError(f"{self._place}: cannot be read: {error}; check the address, and the login") from error
        if not numbers:
            self._consumer.close()
            raise InputError(f"{self._place}: the broker has no topic {self._topic}, or does not show it")
        self._partitions = [TopicPartition(self._topic, each) for each in sorted(numbers)]

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `kafka://` and anything behind it."""
        return place.startswith(_SCHEME)

    @classmethod
    def at(cls, place: str) -> Self:
        """Find a topic.

        Raises
        ------
        InputError
            When it is not there.
        streams.errors.SettingsError
            When the settings file makes no sense.
        """
        from streams.settings import load  # noqa: PLC0415 - settings know of sources

        settings = parameters(place, KafkaTopicSettings)
        server = urlsplit(place).netloc
        if not server:
            raise InputError(f"{bare(place)}: names no broker; write kafka://host:port/topic")
        kafka = KafkaSettings() if settings.config is None else load(settings.config).kafka
        return cls(place, kafka.model_copy(update={"bootstrap_servers": tuple(server.split(","))}), settings)

    @property
    def size(self) -> int:
        """Nobody knows: 0."""
        return 0

    @property
    def consumed(self) -> int:
        """Bytes of messages read so far."""
        return self._consumed

    @property
    def waits(self) -> bool:
        """Whether the last question brought nothing new."""
        return self._waits

    def blocks(self) -> Iterator[Block]:
        """Read messages, until the end that there was or until stopped."""
        from kafka import TopicPartition  # noqa: PLC0415 - imported by now
        from kafka.errors import KafkaError  # noqa: PLC0415 - likewise

        try:
            ends = self._begin()
            while not self._stopped.is_set():
                if ends is not None and all(self._consumer.position(each) >= end for each, end in ends.items()):
                    return
                fetched = self._consumer.poll(timeout_ms=_POLL_MS)
                self._waits = not fetched
                for records in fetched.values():
                    for record in records:
                        if ends is None or record.offset < ends[TopicPartition(record.topic, record.partition)]:
                            yield from self._blocks(record)
        except KafkaError as error:
            raise InputError(f"{self._place}: stops being readable: {error}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the broker; `blocks` does so at its end."""
        self._consumer.close()

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Go on behind the messages that Kafka has."""
        for number in (each.partition for each in self._partitions):
            known = positions.get(self._origin(number))
            if known is not None and not known.content:
                self._known[number] = known.offset

    def acknowledge(self, block: Block) -> None:
        """Nothing to do: no group commits offsets."""
        del block

    def stop(self) -> None:
        """Read no more messages."""
        self._stopped.set()

    def _begin(self) -> "Mapping[TopicPartition, int] | None":
        self._consumer.assign(self._partitions)
        first = self._consumer.beginning_offsets(self._partitions)
        ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(self._partitions)
        for each in self._partitions:
            fresh = first[each] if self._settings.start == "earliest" else ends[each]
            begin = self._known.get(each.partition, fresh)
            if begin < first[each]:
                gone = f"{first[each] - begin:,} messages were deleted before they were read"
                self.on_problem(InputError(f"{self._origin(each.partition)}: {gone}; keep the topic for longer"))
            self._consumer.seek(each, max(begin, first[each]))
        return ends if self._settings.until_end else None

    def _blocks(self, record: Any) -> Iterator[Block]:
        value = (record.value or b"").removesuffix(b"\n")
        if not value:
            return
        headers = {name: each for name, each in record.headers if name in _HEADERS}
        if self._settings.format is not None:
            headers.setdefault(FORMAT_HEADER, self._settings.format.encode())
        lines = 1 if is_compressed(value) else value.count(b"\n") + 1
        line = self._lines.get(record.partition, 1)
        self._lines[record.partition] = line + lines
        self._consumed += len(value)
        yield Block(value, headers, lines, self._origin(record.partition), record.offset + 1, line)

    def _origin(self, partition: int) -> str:
        return f"{self._place}#{partition}"
