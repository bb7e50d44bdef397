"""How contenders tell how far they are, and what follows from that. Needs nothing but Python."""

import os
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

_PAUSE_SECONDS: Final = 0.05


class Progress:
    """Prints the number of records done: at the first ones, every 50 ms, and when the limit is reached.

    Parameters
    ----------
    limit
        How many records there are to do; then the process ends, at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._done = 0
        self._next = 0.0

    def add(self, records: int) -> None:
        """Count records."""
        self._done += records
        now = time.monotonic()
        if now >= self._next or self._done >= self._limit:
            self._next = now + _PAUSE_SECONDS
            print(self._done, flush=True)
        if self._done >= self._limit:
            # Stopping in order takes some of the contenders many seconds, which nobody asks for.
            os._exit(0)


class Sample(NamedTuple):
    """How far a contender was.

    Attributes
    ----------
    at
        When, seconds of any clock.
    records
        How many records it had done.
    cpu_seconds
        CPU time that it had used.
    """

    at: float
    records: int
    cpu_seconds: float


def stretch(samples: Sequence[Sample]) -> tuple[int, float, float]:
    """Measure from the first records to the last: starting up and waiting behind the end do not count.

    Returns
    -------
    tuple
        Records, seconds and CPU seconds.

    Raises
    ------
    ValueError
        When nothing was done between two samples.

    Examples
    --------
    >>> stretch([Sample(1, 0, 1), Sample(2, 10, 2), Sample(4, 70, 3), Sample(5, 100, 4), Sample(9, 100, 5)])
    (90, 3, 2)
    """
    most = max((sample.records for sample in samples), default=0)
    first = next((sample for sample in samples if sample.records), None)
    if first is None or first.records == most:
        raise ValueError("a contender did nothing, or all at once: give it more records")
    last = next(sample for sample in samples if sample.records == most)
    return most - first.records, last.at - first.at, last.cpu_seconds - first.cpu_seconds
