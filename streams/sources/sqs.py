"""New objects in S3 as a queue tells of them: `sqs://QUEUE?region=eu-west-1`."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field

from streams.block_settings import BlockSettings, of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources.aws import AwsSettings, GoneError, client, told
from streams.sources.contract import Block, Position, Source
from streams.sources.lines import BLOCK_BYTES
from streams.sources.notifications import objects_of
from streams.sources.objects import ObjectReader, StoredObject
from streams.sources.places import bare, parameters
from streams.sources.resumed import END

_SCHEME: Final = "sqs://"
_BATCH: Final = 10
_PAUSE_SECONDS: Final = 5.0
"""How long to wait after a queue could not be asked."""


class SqsSettings(AwsSettings):
    """Parameters of `sqs://`."""

    visibility_seconds: int = Field(
        default=120, ge=3, le=43_200, description="How long others do not see a message; renewed while it is worked on."
    )
    wait_seconds: int = Field(default=10, ge=0, le=20, description="How long one question waits for messages.")
    tries: int = Field(default=5, ge=1, description="How often a message may fail before it is parked.")
    retry_seconds: int = Field(default=30, ge=0, le=43_200, description="When a message that failed is tried again.")
    parked: str | None = Field(
        default=None,
        description="Queue for messages that failed too often; else they stay, for the queue's own policy.",
    )
    until_empty: bool = Field(default=False, description="Whether to end once the queue has no message to give.")
    format: str | None = Field(default=None, description="Fields of lines without a header line, in order.")
    parallel: int = Field(default=8, ge=1, le=32, description="How many objects are fetched at a time.")


Content = tuple[str, str]
"""An object and its ETag."""


@dataclass(eq=False)
class _Message:
    """A message that is worked on, and the contents that Kafka does not have yet."""

    receipt: str
    body: str
    tries: int
    waiting: set[Content] = field(default_factory=set)
    failure: str | None = None


class SqsSource(Source):
    """Objects that S3 tells a queue of. A message is deleted once Kafka has all of its objects.

    Messages may come twice or in any order: objects are told apart by their names and ETags.
    """

    name = "sqs"
    written = "sqs://QUEUE"
    settings = SqsSettings

    def __init__(self, place: str, sqs: Any, s3: Any, settings: SqsSettings, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._place = bare(place)
        self._sqs = sqs
        self._settings = settings
        self._queue = self._url(urlsplit(place).netloc)
        self._parked = None if settings.parked is None else self._url(settings.parked)
        headers = {} if settings.format is None else {FORMAT_HEADER: settings.format.encode()}
        self._reader = ObjectReader(
            s3, parallel=settings.parallel, headers=headers, told=self._object_read, cut=of_bytes(block_bytes)
        )
        self._stopped = threading.Event()
        self._waits = False
        self._lock = threading.Lock()
        self._known: dict[str, Position] = {}
        self._in_flight: set[Content] = set()
        self._waiting: dict[Content, list[_Message]] = {}
        self._messages: set[_Message] = set()

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `sqs://` and anything behind it."""
        return place.startswith(_SCHEME)

    @classmethod
    def at(cls, place: str) -> Self:
        """Find the queue.

        Raises
        ------
        InputError
            When it is not there, or may not be asked.
        """
        settings = parameters(place, SqsSettings)
        return cls(place, client("sqs", settings, bare(place)), client("s3", settings, bare(place)), settings)

    @property
    def size(self) -> int:
        """Nobody knows: 0."""
        return 0

    @property
    def consumed(self) -> int:
        """Stored bytes of objects read so far."""
        return self._reader.consumed

    @property
    def waits(self) -> bool:
        """Whether the queue had no message to give when it was last asked."""
        return self._waits

    def blocks(self) -> Iterator[Block]:
        """Ask the queue, and read the objects that it tells of, until stopped."""
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(ended,), name="sqs-renew", daemon=True)
        renewing.start()
        try:
            while not self._stopped.is_set():
                messages = self._receive()
                self._waits = not messages
                if not messages and self._settings.until_empty:
                    return
                for block in self._reader.read(self._objects(messages), self._known):
                    self._yielded(block)
                    yield block
                # Where fewer came than may come at a time, there are hardly any more, and asking takes long.
                self._waits = len(messages) < _BATCH
        finally:
            ended.set()
            renewing.join()

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Leave out what Kafka has of objects in S3."""
        self._known = {origin: each for origin, each in positions.items() if origin.startswith("s3://")}

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut the text of objects so."""
        self._reader.cut = settings

    def acknowledge(self, block: Block) -> None:
        """Delete the messages of an object, once Kafka has all of it and of the others in them."""
        if block.position == END:
            content = (block.origin, block.content)
            with self._lock:
                self._in_flight.discard(content)
            self._done(content)

    def stop(self) -> None:
        """Ask the queue no more."""
        self._stopped.set()

    def _url(self, queue: str) -> str:
        with told(self._place):
            url: str = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            return url

    def _receive(self) -> list[_Message]:
        try:
            with told(self._place):
                answer = self._sqs.receive_message(
                    QueueUrl=self._queue,
                    MaxNumberOfMessages=_BATCH,
                    WaitTimeSeconds=self._settings.wait_seconds,
                    VisibilityTimeout=self._settings.visibility_seconds,
                    AttributeNames=["ApproximateReceiveCount"],
                )
        except InputError as error:
            self.on_problem(error)
            self._stopped.wait(_PAUSE_SECONDS)
            return []
        return [
            _Message(each["ReceiptHandle"], each["Body"], int(each["Attributes"]["ApproximateReceiveCount"]))
            for each in answer.get("Messages", ())
        ]

    def _objects(self, messages: Iterable[_Message]) -> list[StoredObject]:
        """Note what each message waits for, and return the objects to read, by time and each once."""
        found: dict[Content, StoredObject] = {}
        for message in messages:
            try:
                contents = {(each.origin, each.etag): each for each in objects_of(message.body)}
            except InputError as error:
                message.failure = str(error)
                self._problem(str(error))
                contents = {}
            message.waiting = set(contents)
            found |= contents
            with self._lock:
                self._messages.add(message)
                for content in contents:
                    self._waiting.setdefault(content, []).append(message)
            self._settle(message)
        return sorted(found.values(), key=lambda each: (each.time, each.key))

    def _yielded(self, block: Block) -> None:
        # It is sent from now on, or this process ends: another message about it must not send it again.
        self._known[block.origin] = Position(block.position, block.content)
        if block.position == END:
            with self._lock:
                self._in_flight.add((block.origin, block.content))

    def _object_read(self, one: StoredObject, error: InputError | None) -> None:
        content = (one.origin, one.etag)
        if error is not None:
            self._problem(str(error))
        if error is not None and not isinstance(error, GoneError):
            with self._lock:
                for message in self._waiting.get(content, ()):
                    message.failure = str(error)
        with self._lock:
            in_flight = content in self._in_flight
        if not in_flight:
            self._done(content)

    def _done(self, content: Content) -> None:
        with self._lock:
            messages = self._waiting.pop(content, [])
            for message in messages:
                message.waiting.discard(content)
        for message in messages:
            self._settle(message)

    def _settle(self, message: _Message) -> None:
        """Delete, park or give back a message that waits for nothing any more."""
        with self._lock:
            if message.waiting or message not in self._messages:
                return
            self._messages.remove(message)
        try:
            with told(self._place):
                if message.failure is None:
                    self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message.receipt)
                elif self._parked is not None and message.tries >= self._settings.tries:
                    self._park(message, message.failure)
                else:
                    self._visible(message, self._settings.retry_seconds)
        except InputError as error:
            # It comes again, which is harmless.
            self.on_problem(error)

    def _park(self, message: _Message, failure: str) -> None:
        reason = {"DataType": "String", "StringValue": failure[:1000]}
        self._sqs.send_message(
            QueueUrl=self._parked, MessageBody=message.body, MessageAttributes={"flowhawk-reason": reason}
        )
        self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message.receipt)
        self.parked += 1
        self._problem(f"a message was parked after {message.tries} tries: {failure}")

    def _visible(self, message: _Message, seconds: int) -> None:
        self._sqs.change_message_visibility(
            QueueUrl=self._queue, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
        )

    def _renew(self, ended: threading.Event) -> None:
        """Keep others from seeing messages that are worked on; runs in a thread of its own."""
        while not ended.wait(self._settings.visibility_seconds / 3):
            with self._lock:
                messages = list(self._messages)
            for message in messages:
                try:
                    with told(self._place):
                        self._visible(message, self._settings.visibility_seconds)
                except InputError as error:
                    if message in self._messages:
                        self.on_problem(error)

    def _problem(self, text: str) -> None:
        self.on_problem(InputError(f"{self._place}: {text}"))
