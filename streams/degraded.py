"""Detectors that do less than they should: those that are too slow, and those whose statistics were cut short."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import polars as pl

from detectors.contract import Detector, Parameters, View
from detectors.finding import Detection
from detectors.statistics.contacts import PANE_SECONDS
from detectors.verdicts import verdicts

SLOW: Final = "slow"
EVICTED: Final = "evicted"
REASONS: Final = (SLOW, EVICTED)

SLOW_SECONDS: Final = PANE_SECONDS / 10
"""A detector that takes longer to judge one pane is slow: beside the others, it keeps no pace with time."""

_HOSTS: Final = ("volumes", "conversations", "baselines")
_FAILED: Final = ("contacts", "forwarders")

KEPT_IN: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("contact", "pair", "service", "scanner", "scanned", "target"), _FAILED),
    **dict.fromkeys(("egress", "outflow", "host", "traffic"), _HOSTS),
    "logins": ("connections", "logins"),
    **dict.fromkeys(("refused", "refusal"), ("refusals", "baselines")),
}
"""In which tables of state each statistic that a detector may read is kept; all of them need the directory."""


class Judge:
    """Judges panes like `detectors.verdicts.verdicts`, and notes how long each detector takes.

    A statistic that several detectors read is summed for the first of them, and counts as its time.

    Parameters
    ----------
    clock
        Tells the time, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._slow: Counter[str] = Counter()

    def __call__(
        self,
        detector: Detector,
        view: View,
        parameters: Parameters,
        hosts: Callable[[pl.Series], pl.DataFrame],
        *,
        provisional: bool = False,
    ) -> list[Detection]:
        """Judge a pane."""
        begun = self._clock()
        found = verdicts(detector, view, parameters, hosts, provisional=provisional)
        seconds = self._clock() - begun
        self._seconds[detector.card.kind] += seconds
        if seconds > SLOW_SECONDS:
            self._slow[detector.card.kind] += 1
        return found

    def taken(self) -> tuple[Mapping[str, float], Mapping[str, int]]:
        """Return the seconds since the last call, and the panes that took too long, by kind of detector."""
        taken = dict(self._seconds), self._slow
        self._seconds, self._slow = defaultdict(float), Counter()
        return taken


def cut_short(detectors: Mapping[str, Detector], tables: Iterable[str]) -> list[str]:
    """Name the detectors that read what is kept in some of these tables of state, by kind.

    Examples
    --------
    >>> from detectors.catalogue import catalogue
    >>> cut_short(catalogue(), ["connections"])
    ['brute_force', 'rejected_spike']
    """
    lost = set(tables)
    return [
        kind
        for kind, detector in detectors.items()
        if lost & {"directory", *(table for need in detector.needs for table in KEPT_IN[need.table])}
    ]
