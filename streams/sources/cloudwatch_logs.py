"""Log groups of CloudWatch Logs: `logs:///aws/vpc/flow-logs?from=2026-01-05`."""

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field

from streams.block_settings import BlockSettings, of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources.aws import AwsSettings, client, told
from streams.sources.contract import Block, Position, Source
from streams.sources.lines import BLOCK_BYTES
from streams.sources.places import bare, parameters
from streams.sources.s3 import Time

_SCHEME: Final = "logs://"
_PAGE_EVENTS: Final = 10_000
_MOST_EVENTS: Final = 200_000
"""Events that are held at a time; where a window has more, it is halved."""

_SHORTEST_MS: Final = 1_000
_AT_A_TIME: Final = 1 << 20
"""Events of one millisecond that a position can tell apart."""

_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 300.0


class CloudWatchLogsSettings(AwsSettings):
    """Parameters of `logs://`."""

    start: Time = Field(alias="from", description="Time of the first events to read; UTC unless written.")
    end: Time | None = Field(
        default=None,
        alias="to",
        description="Time of the first events not to read any more; without, it goes on for ever.",
    )
    delay_seconds: float = Field(
        default=900, ge=0, description="How long after its time an event may still arrive; younger ones wait."
    )
    window_seconds: float = Field(default=60, ge=1, description="How much time is read at once.")
    stream_prefix: str | None = Field(default=None, description="Beginning of the names of log streams; else all.")
    filter_pattern: str | None = Field(default=None, description="CloudWatch's filter pattern; else all events.")
    format: str | None = Field(default=None, description="Fields of the lines, in order; else that of the settings.")


class _Event(NamedTuple):
    """An event, in an order that is always the same."""

    time: int
    id: str
    message: str


class CloudWatchLogsSource(Source):
    """A log group, window of time after window of time, in the order of the events' times.

    Positions are milliseconds since the epoch and the number of the event among those of its millisecond.
    """

    name = "cloudwatch-logs"
    written = "logs:///GROUP"
    settings = CloudWatchLogsSettings

    def __init__(
        self, place: str, logs: Any, settings: CloudWatchLogsSettings, *, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._place = bare(place)
        parts = urlsplit(place)
        self._group = unquote(parts.netloc + parts.path)
        if not self._group.strip("/"):
            raise InputError(f"{self._place}: names no log group; write logs:///aws/vpc/flow-logs")
        self._logs = logs
        self._settings = settings
        self._headers = {} if settings.format is None else {FORMAT_HEADER: settings.format.encode()}
        self._cut = of_bytes(block_bytes)
        self._behind = -1
        self._line = 1
        self._consumed = 0
        self._waits = False
        self._stopped = threading.Event()

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `logs://` and anything behind it."""
        return place.startswith(_SCHEME)

    @classmethod
    def at(cls, place: str) -> Self:
        """Name a log group; it is asked only when it is read.

        Raises
        ------
        InputError
            When the place makes no sense.
        """
        settings = parameters(place, CloudWatchLogsSettings)
        return cls(place, client("logs", settings, bare(place)), settings)

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
        """Whether the next window has not passed yet, or cannot be read."""
        return self._waits

    def blocks(self) -> Iterator[Block]:
        """Read windows as soon as nothing can be added to them, until the end or until stopped."""
        start, pause = self._start(), _PAUSE_SECONDS
        last = None if self._settings.end is None else _milliseconds(self._settings.end)
        while not self._stopped.is_set() and (last is None or start < last):
            end = start + self._window
            end = end if last is None else min(end, last)
            early = (end - _milliseconds(datetime.now(UTC))) / 1000 + self._settings.delay_seconds
            self._waits = early > 0
            if early > 0:
                self._stopped.wait(early)
                continue
            try:
                for some in self._windows(start, end):
                    yield from self._blocks(some)
                    pause = _PAUSE_SECONDS
            except InputError as error:
                if last is not None:
                    raise
                # Nothing of it has been yielded, or it is behind the position by now.
                self.on_problem(error)
                self._waits = True
                self._stopped.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            start = end

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Go on behind the last event that Kafka has."""
        known = positions.get(self._place)
        if known is not None and not known.content:
            self._behind = known.offset

    def cut_into(self, settings: BlockSettings) -> None:
        """Put so many events into a block."""
        self._cut = settings

    def acknowledge(self, block: Block) -> None:
        """Nothing to do: CloudWatch keeps no position."""
        del block

    def stop(self) -> None:
        """Read no further window."""
        self._stopped.set()

    @property
    def _window(self) -> int:
        return round(self._settings.window_seconds * 1000)

    def _start(self) -> int:
        """Return the beginning of the window that the position lies in."""
        first = _milliseconds(self._settings.start)
        reached = self._behind // _AT_A_TIME
        return first if reached <= first else first + (reached - first) // self._window * self._window

    def _windows(self, start: int, end: int) -> Iterator[list[_Event]]:
        """Read the events of a window, in halves where they are too many."""
        if end <= self._behind // _AT_A_TIME:
            return
        events = self._events(start, end)
        if events is not None:
            yield sorted(events)
            return
        middle = (start + end) // 2
        yield from self._windows(start, middle)
        yield from self._windows(middle, end)

    def _events(self, start: int, end: int) -> list[_Event] | None:
        """Read what lies in a window, the end excluded; None when it is too much and can be less."""
        chosen: dict[str, Any] = {
            "logGroupName": self._group,
            "startTime": start,
            "endTime": end,
            "limit": _PAGE_EVENTS,
        }
        if self._settings.stream_prefix is not None:
            chosen["logStreamNamePrefix"] = self._settings.stream_prefix
        if self._settings.filter_pattern is not None:
            chosen["filterPattern"] = self._settings.filter_pattern
        found: list[_Event] = []
        while True:
            with told(self._place):
                page = self._logs.filter_log_events(**chosen)
            found += [
                _Event(each["timestamp"], each["eventId"], each["message"])
                for each in page["events"]
                if start <= each["timestamp"] < end
            ]
            if len(found) > _MOST_EVENTS and end - start > _SHORTEST_MS:
                return None
            if not page.get("nextToken") or page["nextToken"] == chosen.get("nextToken"):
                return found
            chosen["nextToken"] = page["nextToken"]

    def _blocks(self, events: list[_Event]) -> Iterator[Block]:
        """Put the events behind the position into blocks."""
        lines: list[bytes] = []
        size, before, number, reached = 0, -1, 0, self._behind
        for event in events:
            number = number + 1 if event.time == before else 0
            before = event.time
            position = event.time * _AT_A_TIME + number
            if position <= self._behind:
                continue
            lines.append(_line(event.message))
            size += len(lines[-1]) + 1
            reached = position
            if size >= self._cut.bytes or len(lines) >= self._cut.records:
                yield self._block(lines, reached)
                lines, size = [], 0
        if lines:
            yield self._block(lines, reached)

    def _block(self, lines: list[bytes], position: int) -> Block:
        block = Block(b"\n".join(lines), self._headers, len(lines), self._place, position, self._line)
        self._line += len(lines)
        self._behind = position
        self._consumed += len(block.value)
        return block


def _line(message: str) -> bytes:
    """Keep a message to one line."""
    return " ".join(message.split("\n")).strip().encode("utf-8", "surrogatepass")


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
