"""An endpoint for Firehose and for plain posts: `http://127.0.0.1:8088/?access_key_file=/run/secrets/key`."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from streams.block_settings import BlockSettings, of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block, PlaceSettings, Position, Source
from streams.sources.lines import BLOCK_BYTES
from streams.sources.places import bare, parameters
from streams.sources.receiver import Receiver
from streams.sources.resumed import END, behind, closed

_SCHEMES: Final = ("http://", "https://")
_POLL_SECONDS: Final = 0.2


class EndpointSettings(PlaceSettings):
    """Parameters of `http://` and `https://`."""

    access_key_file: Path | None = Field(
        default=None, description="File with the access key that requests must bear; needed beyond loopback."
    )
    certificate_file: Path | None = Field(default=None, description="Certificate chain, for https.")
    key_file: Path | None = Field(default=None, description="Key of the certificate.")
    format: str | None = Field(default=None, description="Fields of lines without a header line, in order.")
    most_bytes: int = Field(
        default=64 << 20, ge=1, description="Bytes that one request may have, before and behind compression."
    )
    most_requests: int = Field(
        default=4, ge=1, description="Requests that may wait for Kafka; others are told to retry."
    )
    answer_seconds: float = Field(
        default=60, gt=0, description="How long a request may wait for Kafka; then it is told to retry."
    )
    remember_seconds: float = Field(
        default=10_800, ge=0, description="How long ids of requests are known, so that retries count once."
    )

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self


class Request:
    """A request that waits for Kafka to have all of its blocks."""

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks
        self.done = threading.Event()


class EndpointSource(Source):
    """Lines that are posted, by Firehose or anybody. Who posts is answered with 200 once Kafka has them.

    A request that comes again, by its id, is published once: Firehose gives each an id, others may in the header
    `Idempotency-Key`.
    """

    name = "http"
    written = "http://HOST:PORT/PATH"
    settings = EndpointSettings

    def __init__(self, place: str, settings: EndpointSettings, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._place = bare(place)
        self._settings = settings
        self._headers = {} if settings.format is None else {FORMAT_HEADER: settings.format.encode()}
        self.cut = of_bytes(block_bytes)
        self._waiting: queue.Queue[tuple[str, Request]] = queue.Queue()
        self._lock = threading.Lock()
        self._open: dict[str, Request] = {}
        self._known: dict[str, Position] = {}
        self._ages: deque[tuple[float, str]] = deque()
        self._stopped = threading.Event()
        self._consumed = 0
        self._receiver = Receiver(self._place, settings, _key(self._place, settings), self)

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take addresses of the web: what is named is where to listen."""
        return place.startswith(_SCHEMES)

    @classmethod
    def at(cls, place: str) -> Self:
        """Listen at a place.

        Raises
        ------
        InputError
            When that is not possible, or nothing would keep strangers out.
        """
        return cls(place, parameters(place, EndpointSettings))

    @property
    def address(self) -> str:
        """Where it listens, with the port that it got."""
        return self._receiver.address

    @property
    def size(self) -> int:
        """Nobody knows: 0."""
        return 0

    @property
    def consumed(self) -> int:
        """Bytes of blocks taken so far."""
        return self._consumed

    @property
    def waits(self) -> bool:
        """Whether nothing that was posted is left to yield."""
        return self._waiting.empty()

    def blocks(self) -> Iterator[Block]:
        """Serve until stopped, and yield what was posted."""
        with self._receiver:
            while not (self._stopped.is_set() and self._waiting.empty()):
                try:
                    _, request = self._waiting.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                for block in request.blocks:
                    self._consumed += len(block.value)
                    yield block

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Know the requests that Kafka has."""
        self._known = {
            origin: each
            for origin, each in positions.items()
            if origin.startswith(f"{self._place}#") and not each.content
        }
        self._ages = deque((time.monotonic(), origin) for origin in self._known)

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut what is posted so."""
        self.cut = settings

    def acknowledge(self, block: Block) -> None:
        """Answer a request, once Kafka has all of it."""
        with self._lock:
            self._known[block.origin] = Position(block.position)
            if block.position == END:
                self._ages.append((time.monotonic(), block.origin))
                self._open.pop(block.origin).done.set()

    def forget(self) -> Iterable[str]:
        """Name requests that will not come again."""
        oldest = time.monotonic() - self._settings.remember_seconds
        forgotten = []
        with self._lock:
            while self._ages and self._ages[0][0] <= oldest:
                _, origin = self._ages.popleft()
                if self._known.pop(origin, None) is not None:
                    forgotten.append(origin)
        return forgotten

    def stop(self) -> None:
        """Take no more requests; those that were taken are yielded."""
        self._stopped.set()

    def take(self, request: str, blocks: list[Block]) -> threading.Event | None:
        """Take the blocks of a request, unless Kafka has them or is about to.

        Returns
        -------
        threading.Event or None
            Is set once Kafka has them; None when it is too much at a time, or the end is near.
        """
        origin = self.origin(request)
        with self._lock:
            known = self._known.get(origin)
            if known is not None and known.offset == END:
                return _set()
            if origin in self._open:
                return self._open[origin].done
            if self._stopped.is_set() or len(self._open) >= self._settings.most_requests:
                return None
            left = list(behind(closed(blocks), {} if known is None else {origin: known}))
            if not left:
                return _set()
            taken = self._open[origin] = Request(left)
        self._waiting.put((origin, taken))
        return taken.done

    def origin(self, request: str) -> str:
        """Name a request among those of all endpoints."""
        return f"{self._place}#{request}"

    @property
    def headers(self) -> Mapping[str, bytes]:
        """Headers of every block."""
        return self._headers


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def _key(place: str, settings: EndpointSettings) -> str | None:
    if settings.access_key_file is not None:
        try:
            key = settings.access_key_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InputError(
                f"{place}: access_key_file: {settings.access_key_file} cannot be read: {error.strerror}"
            ) from error
        if key:
            return key
        raise InputError(f"{place}: access_key_file: {settings.access_key_file} is empty")
    host = urlsplit(place).hostname or ""
    if host != "localhost" and not _is_loopback(host):
        raise InputError(f"{place}: anybody could post there; set access_key_file, or listen on 127.0.0.1")
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
