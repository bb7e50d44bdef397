"""Reading the settings again while the service runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from streams.errors import FlowhawkError, ServiceError
from streams.metrics import Metrics
from streams.settings import Settings, keys

log = structlog.get_logger(__name__)

AT_ONCE: Final = ("detectors", "tags", "overrides", "modes", "suppressions", "sinks")
"""Sections of the settings that apply as soon as they are read; all others need a restart."""

_ANSWER_SECONDS: Final = 30.0
"""How long somebody who asked over HTTP waits for the answer: the stages may be at a large batch."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of reading the settings again.

    Attributes
    ----------
    successful
        Whether they could be read; if not, nothing has changed.
    message
        What is wrong with them, or what has changed; one line or more.
    """

    successful: bool
    message: str


class Reload:
    """Reads the settings again, and applies what can be applied to a running service.

    Parameters
    ----------
    settings
        The settings that the service was started with.
    read
        Reads them again.
    apply
        Applies those that can be, and names the sinks that it made anew or ended; called on the event loop, one call
        at a time. An error that people can do something about says that nothing was applied.
    metrics
        Where it is said whether it went well.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        apply: Callable[[Settings], Awaitable[Sequence[str]]],
        metrics: Metrics,
    ) -> None:
        self._started_with = settings
        self._current = settings
        self._read = read
        self._apply = apply
        self._metrics = metrics
        self._lock = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._metrics.reloaded(successful=True, now=time.time())

    async def __call__(self) -> Reloaded:
        """Read and apply; a mistake in the settings changes nothing."""
        async with self._lock:
            try:
                settings = await asyncio.to_thread(self._read)
                applied = self._current.model_copy(update={name: getattr(settings, name) for name in AT_ONCE})
                sinks = await self._apply(applied)
            except FlowhawkError as error:
                self._metrics.reloaded(successful=False, now=time.time())
                log.error("settings were read again and refused, nothing has changed", mistakes=str(error))  # noqa: TRY400 - no bug
                return Reloaded(successful=False, message=str(error))
            before, self._current = self._current, applied
            changed = [name for name in AT_ONCE if getattr(applied, name) != getattr(before, name) and name != "sinks"]
            changed += [f"sinks.{name}" for name in sinks]
            waiting = needing_restart(self._started_with, settings)
            self._metrics.reloaded(successful=True, now=time.time())
            log.info("settings were read again", applied=changed, need_a_restart=waiting)
            return Reloaded(successful=True, message=_message(changed, waiting))

    def from_thread(self) -> Reloaded:
        """Read and apply, asked by another thread than that of the event loop.

        Raises
        ------
        streams.errors.ServiceError
            When there is no answer yet; it goes on all the same.
        """
        future = asyncio.run_coroutine_threadsafe(self(), self._loop)
        try:
            return future.result(_ANSWER_SECONDS)
        except TimeoutError as error:
            raise ServiceError(f"not done within {_ANSWER_SECONDS:g} s, it goes on; see the log") from error


def needing_restart(before: Settings, after: Settings) -> list[str]:
    """Name the settings that are other ones and do not apply to a running service, by their dotted keys.

    >>> from streams.http_settings import HttpSettings
    >>> needing_restart(Settings(), Settings(http=HttpSettings(port=1), modes={"slow_scan": "off"}))
    ['http.port']
    """
    return [
        key
        for (key, old, _), (_, new, _) in zip(keys(defaults=before), keys(defaults=after), strict=True)
        if old != new and key.split(".", maxsplit=1)[0] not in AT_ONCE
    ]


def _message(changed: list[str], waiting: list[str]) -> str:
    lines = [f"applied: {', '.join(changed)}" if changed else "nothing to apply"]
    lines += [f"needs a restart: {', '.join(waiting)}"] if waiting else []
    return "\n".join(lines)
