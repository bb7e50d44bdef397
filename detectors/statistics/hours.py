"""The last days of hosts, hour by hour: what was usual in each, and what was much."""

from typing import Final, NamedTuple

import numpy as np

from detectors.addresses import BoolArray, Int64Array
from detectors.route import SHARDS
from detectors.statistics.levels import HIGHEST, Float64Array, UInt8Array, amounts
from detectors.statistics.recent import PANES, WIDTHS
from detectors.statistics.slots import grown

WEEKDAYS: Final = 5
WEEKEND_DAYS: Final = 4
"""Two weekends: of one, the two days could not outvote an attack."""

PLACES: Final = 24 * (WEEKDAYS + WEEKEND_DAYS)
"""How many hours are remembered: those of the last five weekdays and four weekend days."""

ENOUGH_HOURS: Final = 24
"""Hours from which on a host's days are its measure, rather than its last hour."""

ENOUGH_DAYS: Final = 3
"""Days of its kind from which on an hour is compared with the same hour: one of three cannot outvote two."""

_MUCH: Final = 9 * PANES // 10 - 1
_HALF: Final = (PANES - 1) // 2
NORMAL: Final = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation."""
_NINETY_PERCENT: Final = 1.2816
"""How many standard deviations the ninth decile of a normal distribution lies above its median."""


class Usual(NamedTuple):
    """What is usual for hosts; each array has shape (n,).

    Attributes
    ----------
    median, spread
        Of windows.
    known
        How many days, hours or windows that rests on.
    """

    median: Float64Array
    spread: Float64Array
    known: Int64Array


def minutes_early(shards: Int64Array) -> Int64Array:
    """Say how many panes before the clock's hour those of shards begin, so that not all do at once; shape (n,)."""
    return shards * PANES // SHARDS


def place_of(hours: Int64Array) -> Int64Array:
    """Return where hours, counted since the epoch, are remembered; shape (n,).

    >>> thursday_noon = 12
    >>> place_of(np.array([thursday_noon, thursday_noon + 48, thursday_noon + 9 * 24, thursday_noon + 7 * 24])).tolist()
    [84, 132, 180, 84]
    """
    day, hour = hours // 24 + 3, hours % 24
    week, weekday = day // 7, day % 7
    weekend = WEEKDAYS + 2 * (week % 2) + weekday - 5
    return np.where(weekday < 5, weekday, weekend) * 24 + hour


def places_like(hours: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Return where the same hours of the same kind of day are remembered, and which of these count; shape (n, 5)."""
    weekend = (hours // 24 + 3) % 7 >= 5
    days = np.where(weekend[:, None], WEEKDAYS, 0) + np.arange(WEEKDAYS)
    counting = days < WEEKDAYS + WEEKEND_DAYS
    return np.where(counting, days, 0) * 24 + (hours % 24)[:, None], counting


class Hours:
    """The median and the ninth decile of each remembered hour, as levels, for each row.

    A shard counts the hours it has learned. An hour is known of by the number under which it was last learned, so
    hours in which nothing was learned, as after an outage, are no silence, and time may even begin anew. What a
    row holds of hours that were learned after its own last one is stale and means zero.
    """

    def __init__(self) -> None:
        self.summaries = np.zeros((0, len(WIDTHS), 2, PLACES), np.uint8)
        """Median and ninth decile of the windows of each hour, as levels."""
        self.first = np.zeros(0, np.int32)
        """The first hour that is known of a row."""
        self.written = np.zeros(0, np.int32)
        """The last hour in which the row had anything."""
        self.ceilings = np.zeros((0, len(WIDTHS)), np.uint8)
        """Highest levels to be learned."""
        self.count = np.zeros(SHARDS, np.int32)
        """How many hours each shard has learned."""
        self.learned = np.zeros((SHARDS, PLACES), np.int32)
        """The number under which the hour at each place was learned; 0 when it never was."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the rows that are not in use."""
        rows = self.summaries.nbytes + self.first.nbytes + self.written.nbytes + self.ceilings.nbytes
        return rows + self.count.nbytes + self.learned.nbytes

    def add(self, rows: Int64Array, shards: Int64Array, end: int) -> None:
        """Begin rows, of which all lie below `end`."""
        if len(self.summaries) < end:
            # Most of what a row takes is empty until it has lived for an hour.
            used = int(np.flatnonzero(self.written)[-1:].sum()) + 1
            self.summaries = grown(self.summaries, end, min(used, len(self.summaries)))
            self.ceilings = grown(self.ceilings, end)
            self.first, self.written = grown(self.first, end), grown(self.written, end)
        # The next hour to be counted is not whole for a host that comes in the middle of it.
        self.first[rows] = self.count[shards] + 2
        self.written[rows] = 0
        self.ceilings[rows] = HIGHEST

    def learn(self, rows: Int64Array, shards: Int64Array, hours: Int64Array, windows: UInt8Array) -> None:
        """Remember an hour of the rows that had anything in it; `begin` has been called for it.

        Parameters
        ----------
        rows, shards, hours
            Rows, their shards and the hour, shape (n,).
        windows
            Levels of the windows, in any order, shape (n, widths, PANES).
        """
        self.summaries[rows] *= (self.learned[shards] <= self.written[rows, None])[:, None, None, :]
        ordered = np.partition(windows, (_HALF, _MUCH), axis=2)
        places = place_of(hours)
        self.summaries[rows, :, 0, places] = ordered[:, :, _HALF]
        self.summaries[rows, :, 1, places] = ordered[:, :, _MUCH]
        self.written[rows] = self.count[shards]

    def begin(self, shards: Int64Array, hours: Int64Array) -> None:
        """Count an hour that shards, shape (n,), have learned whole."""
        self.count[shards] += 1
        self.learned[shards, place_of(hours)] = self.count[shards]

    def at_most(self, rows: Int64Array, shards: Int64Array) -> Int64Array:
        """Say how many hours are known of rows at most, without looking at each; shape (n,)."""
        most: Int64Array = np.subtract(self.count[shards] + 1, self.first[rows], dtype=np.int64)
        return most

    def same_hour(self, rows: Int64Array, shards: Int64Array, hours: Int64Array, width: int) -> Usual:
        """Say what is usual at an hour of that kind of day, and on how many days that rests."""
        places, counting = places_like(hours)
        return self._usual(rows, shards, places, counting, width)

    def any_hour(self, rows: Int64Array, shards: Int64Array, width: int) -> Usual:
        """Say what is usual at any hour, and on how many hours that rests."""
        places = np.broadcast_to(np.arange(PLACES), (len(rows), PLACES))
        return self._usual(rows, shards, places, np.ones(places.shape, np.bool_), width)

    def _usual(
        self, rows: Int64Array, shards: Int64Array, places: Int64Array, counting: BoolArray, width: int
    ) -> Usual:
        learned = self.learned[shards[:, None], places]
        known = counting & (learned >= self.first[rows, None])
        silent = learned > self.written[rows, None]
        index = WIDTHS.index(width)
        usual, much = (
            amounts(np.where(silent, 0, self.summaries[rows[:, None], index, each, places])) for each in (0, 1)
        )
        median = lower_median(usual, known)
        between = NORMAL * lower_median(np.abs(usual - median[:, None]), known)
        within = lower_median(much - usual, known) / _NINETY_PERCENT
        return Usual(median, np.maximum(between, within), known.sum(axis=1))


def lower_median(values: Float64Array, known: BoolArray) -> Float64Array:
    """Return the median of what is known in each row, the lower one of two; 0 where nothing is.

    >>> lower_median(np.array([[5.0, 1.0, 3.0, 9.0]]), np.array([[True, True, True, False]])).tolist()
    [3.0]
    """
    ordered = np.sort(np.where(known, values, np.inf), axis=1)
    count = known.sum(axis=1)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[:, None] // 2, axis=1)[:, 0]
    return np.where(count > 0, middle, 0.0)
