"""When open panes are looked at, so that findings are told before they are certain."""

from typing import Final

from detectors.statistics.contacts import PANE_SECONDS
from detectors.watch import END_OF_TIME

_LEAST_SHARE: Final = 0.1
"""Part of the time for looks when there is always something to count."""


class Backlog:
    """Tells by how fast event time goes on whether a backlog is worked off.

    Where a whole pane goes by from one look to the next, the pane that is open now is closed before anybody has read
    what is said of it, and a look would only take time from that.

    Examples
    --------
    >>> backlog = Backlog()
    >>> [backlog.is_worked_off(watermark) for watermark in (1_767_603_600, 1_767_603_601, 1_767_603_700)]
    [True, False, True]
    """

    def __init__(self) -> None:
        self._before = -END_OF_TIME

    def is_worked_off(self, watermark: int) -> bool:
        """Say whether event time has gone on by a pane or more since it was asked last.

        Parameters
        ----------
        watermark
            Where event time is now, epoch seconds.
        """
        before, self._before = self._before, watermark
        return watermark - before >= PANE_SECONDS


def looking_pause(seconds: float, idle: float) -> float:
    """Say how long to wait after a look, so that looks take most of the time that counting leaves over.

    Parameters
    ----------
    seconds
        How long the look took.
    idle
        Part of the time in which nothing was counted. Where there is none, as while a backlog is worked off, looks
        get a tenth all the same.

    Examples
    --------
    >>> looking_pause(0.3, idle=0.5), looking_pause(0.3, idle=0)
    (0.5, 2.7)
    """
    share = max(0.75 * idle, _LEAST_SHARE)
    return round(seconds * (1 / share - 1), 6)
