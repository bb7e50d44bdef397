"""Whether more findings come than are sent as alerts, and the one alert that says so."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import structlog

from streams.alertmanager.alerts import Alert, surge
from streams.alertmanager.settings import AlertmanagerSettings

log = structlog.get_logger(__name__)

_INTERVALS: Final = 10
"""More than so many intervals can send makes a surge; less is gone before anybody has read of it."""

_QUIET_SECONDS: Final = 300.0


class Surge:
    """Begins when more waits than can be sent soon, or something is not kept, and ends after five quiet minutes.

    Parameters
    ----------
    settings
        How much is sent.
    """

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._settings = settings
        self._since: float | None = None
        self._seen = 0.0
        self._untold = 0
        self._due = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether there is one."""
        return self._since is not None

    def look(self, waiting: Mapping[str, int], untold: int, *, full: bool, now: float) -> Alert | None:
        """Return the alert, where it is to be sent now.

        Parameters
        ----------
        waiting
            How many findings wait, by severity.
        untold
            How many came since the last look and are not kept.
        full
            Whether as many are open as may be.
        now
            The time, epoch seconds.
        """
        count = sum(waiting.values())
        self._untold += untold
        if untold or (full and count) or count > _INTERVALS * self._settings.new_alerts_per_interval:
            self._seen = now
            if self._since is None:
                self._since, self._due = now, now
                log.warning("more findings come than are sent as alerts", waiting=count, untold=untold)
        if self._since is None:
            return None
        if now - self._seen > _QUIET_SECONDS:
            return self._end(now)
        if now < self._due:
            return None
        self._due = now + self._settings.resend_seconds
        return surge(waiting, self._untold, self._settings, self._since)

    def _end(self, now: float) -> Alert:
        assert self._since is not None  # noqa: S101 - narrows the type
        log.info("findings are sent as alerts again, every one", untold=self._untold)
        one = surge({}, self._untold, self._settings, self._since)
        self._since, self._untold = None, 0
        return replace(one, resolved_at=now)
