"""Notices that a worker has stopped working without saying so."""

from pydantic import BaseModel, ConfigDict, Field


class WatchdogSettings(BaseModel):
    """When a worker gives up, so that its supervisor starts it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stalled_seconds: float = Field(
        default=120.0, gt=0, description="A worker that has records to read and reads none for so long ends itself."
    )
    heartbeat_seconds: float | None = Field(
        default=15.0,
        gt=0,
        description="How often a heartbeat goes through stages and findings topic to each sink; null for never.",
    )


class Watchdog:
    """Compares what is to be done with what is being done.

    Parameters
    ----------
    settings
        How patient it is.
    now
        The time, in seconds of a clock that only goes forward.

    Examples
    --------
    >>> watchdog = Watchdog(WatchdogSettings(stalled_seconds=60), now=0)
    >>> watchdog.look(now=50, progress=7, waiting=100)
    >>> watchdog.look(now=100, progress=7, waiting=100)
    >>> watchdog.look(now=110, progress=7, waiting=100)
    'no record was read for 60 s, and 100 messages are waiting'
    """

    def __init__(self, settings: WatchdogSettings, now: float) -> None:
        self._patience = settings.stalled_seconds
        self._progress = -1
        self._since = now

    def look(self, *, now: float, progress: int, waiting: int | None) -> str | None:
        """Say what is wrong, if something has been for too long.

        Parameters
        ----------
        now
            The time.
        progress
            Anything that changes with progress.
        waiting
            Messages that could be read; None when nobody can tell.
        """
        if progress != self._progress or waiting == 0:
            self._progress, self._since = progress, now
        stalled = now - self._since
        if stalled < self._patience:
            return None
        what = (
            "and the broker does not say what is waiting" if waiting is None else f"and {waiting} messages are waiting"
        )
        return f"no record was read for {stalled:.0f} s, {what}"
