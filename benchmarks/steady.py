"""A steady load, and a watch on what comes out: for measuring how long things take, not how fast they go."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from types import TracebackType
from typing import Final, Self

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.traffic import joined, lines, producer, send

LINES: Final = 1_000
"""Lines in a message of the load."""

_TICK_SECONDS: Final = 0.005
_START: Final = b"NNNNNNNNNN"
"""Stands in lines where the time has to be written; as long as an epoch time."""


def templates(records: int, hosts: int) -> list[bytes]:
    """Write messages of traffic without attacks, with a mark in place of the times."""
    made = lines(records, hosts=hosts, attacks=False)
    return list(joined(map(_timeless, made), LINES))


def _timeless(line: bytes) -> bytes:
    fields = line.split(b" ")
    return b" ".join([*fields[:10], _START, _START, *fields[12:]])


def at(template: bytes, moment: float) -> bytes:
    """Write the time into a message.

    >>> at(b"10.0.0.1 NNNNNNNNNN NNNNNNNNNN ACCEPT", 1_700_000_000.9)
    b'10.0.0.1 1700000000 1700000000 ACCEPT'
    """
    return template.replace(_START, b"%d" % moment)


class Load:
    """Publishes at a steady rate, the event time being the clock's, as long as the `with` block lasts.

    Parameters
    ----------
    bootstrap, topic
        Where to.
    messages
        Messages with marks, see `templates`; again and again.
    rate
        Records a second.
    besides
        Is called with the time again and again and returns further messages to publish.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        messages: Sequence[bytes],
        rate: float,
        besides: Callable[[float], Iterator[bytes]],
    ) -> None:
        self._producer = producer(bootstrap)
        self._topic = topic
        self._messages = cycle(messages)
        self._rate = rate
        self._besides = besides
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="load", daemon=True)
        self.published = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush(10)

    def _publish(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(_TICK_SECONDS):
            due = (time.monotonic() - begun) * self._rate
            while self.published + LINES <= due:
                send(self._producer, self._topic, at(next(self._messages), time.time()))
                self.published += LINES
            for message in self._besides(time.time()):
                send(self._producer, self._topic, message)
            self._producer.poll(0)


class Arrivals:
    """Notes when messages arrive on topics, as long as the `with` block lasts.

    Parameters
    ----------
    bootstrap, topics
        What to listen to, from now on; partition 0 of each.
    heard
        Is called with topic, value and time of each message, in a thread of its own.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], heard: Callable[[str, bytes, float], None]) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"arrivals-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_END) for topic in topics])
        self._heard = heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._heard(message.topic() or "", message.value() or b"", time.time())


class Probes:
    """Lines that are refused: each says when it was sent, and is seen again on the dead-letter topic.

    Parameters
    ----------
    every_seconds
        How often one is sent.
    """

    _MARK: Final = b"probe "

    def __init__(self, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._next = 0.0
        self.seen: list[tuple[float, float]] = []
        """When each was sent and seen, epoch seconds."""

    def due(self, now: float) -> Iterator[bytes]:
        """Return the one that is due, if one is."""
        if now >= self._next:
            self._next = now + self._every_seconds
            yield self._MARK + repr(now).encode()

    def heard(self, value: bytes, now: float) -> None:
        """Take note of one that was seen."""
        if value.startswith(self._MARK):
            self.seen.append((float(value.removeprefix(self._MARK)), now))
