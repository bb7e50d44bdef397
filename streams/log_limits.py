"""No more lines of one kind in a minute than people read; how many more there were is said and counted."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

log = structlog.get_logger(__name__)

MINUTE_SECONDS: Final = 60.0

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_SUBJECTS: Final = ("sink", "alertmanager", "source")
"""What a line may be about: a sink that fails must not silence another."""

_KINDS: Final = 1_000
"""Kinds of lines that are told apart at most; what is beyond counts as one."""


class Kind(NamedTuple):
    """What lines have in common that count together: who says what of whom, but for the values in it."""

    logger: str
    level: str
    event: str
    subject: str


@dataclass(slots=True)
class _Minute:
    begun: float
    said: int = 0
    kept_back: int = 0


class RateLimit(logging.Filter):
    """Lets so many lines of each kind pass in a minute, and says afterwards how many more there were.

    Parameters
    ----------
    burst
        How many; None for all.
    clock
        Tells the time, seconds, only forward.
    """

    def __init__(self, burst: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.counted: Callable[[str], None] = lambda _: None
        """Told the level of each line that is kept back."""
        self._burst = burst
        self._clock = clock
        self._minutes: dict[Kind, _Minute] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line may pass."""
        if self._burst is None or record.name == __name__:
            return True
        over: list[tuple[Kind, int]] = []
        with self._lock:
            now = self._clock()
            kind = self._known(kind_of(record), now, over)
            minute = self._minutes.setdefault(kind, _Minute(now))
            if now - minute.begun >= MINUTE_SECONDS:
                over.append((kind, minute.kept_back))
                minute = self._minutes[kind] = _Minute(now)
            passes = minute.said < self._burst
            minute.said += passes
            minute.kept_back += not passes
        _say(over)
        if not passes:
            self.counted(kind.level)
        return passes

    def tell(self, *, everything: bool = False) -> None:
        """Say of minutes that are over, or of all, what was kept back in them; whoever runs for long calls it often."""
        over: list[tuple[Kind, int]] = []
        with self._lock:
            self._close(self._clock(), over, everything=everything)
        _say(over)

    def _known(self, kind: Kind, now: float, over: list[tuple[Kind, int]]) -> Kind:
        if kind not in self._minutes and len(self._minutes) >= _KINDS:
            self._close(now, over, everything=False)
            if len(self._minutes) >= _KINDS:
                return Kind("", kind.level, "", "")
        return kind

    def _close(self, now: float, over: list[tuple[Kind, int]], *, everything: bool) -> None:
        for kind, minute in list(self._minutes.items()):
            if everything or now - minute.begun >= MINUTE_SECONDS:
                over.append((kind, minute.kept_back))
                del self._minutes[kind]


def kind_of(record: logging.LogRecord) -> Kind:
    """Say of which kind a line is: of a library's line the text before values are put into it.

    >>> kind_of(logging.LogRecord("aiokafka", logging.WARNING, "", 1, "closed by %s", ("a",), None))
    Kind(logger='aiokafka', level='warning', event='closed by %s', subject='')
    """
    said: Any = record.msg
    if not isinstance(said, dict):
        return Kind(record.name, record.levelname.lower(), str(said), "")
    subject = next((f"{name}={said[name]}" for name in _SUBJECTS if name in said), "")
    return Kind(record.name, record.levelname.lower(), str(said.get("event", "")), subject)


def _say(over: list[tuple[Kind, int]]) -> None:
    for kind, count in over:
        if count:
            said = f"{count} more suppressed in the last minute"
            log.warning(said, of=kind.event, by=kind.logger, about=kind.subject)
