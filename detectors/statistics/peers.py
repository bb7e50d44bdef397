"""What is usual among hosts, for one that has no past of its own yet."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.addresses import Int64Array, UInt64Array
from detectors.route import SHARDS
from detectors.statistics.column_baseline import ColumnBaseline, shards_of
from detectors.statistics.levels import amounts
from detectors.statistics.recent import PANES

SAMPLE: Final = 1024
"""Hosts that stand for all: keys are hashes, so those of the first shards are as good as any."""

FEWEST: Final = 8
"""Hosts that a network needs for anything to be usual in it."""

ENOUGH_WINDOWS: Final = 6
"""Windows from which on a host, or a network, has a past."""

_PART: Final = 0.95
"""Part of the hosts that stay below what is usual: a few busy ones say nothing of the others."""

_NINETY_PERCENT: Final = 1.2816
"""How many standard deviations the ninth decile of a normal distribution lies above its median."""


class Among(NamedTuple):
    """What is known of hosts among others.

    Attributes
    ----------
    own
        Windows since each host first had anything, as far as an hour reaches back; shape (n,).
    usual
        What nineteen in twenty hosts stay below in nine of ten windows; None where too little is known to say.
    """

    own: Int64Array
    usual: float | None


def among(column: ColumnBaseline, pane: int, keys: UInt64Array, width: int) -> Among:
    """Say since when hosts are known, and what is usual among all where one of them is not known for long.

    Parameters
    ----------
    column, keys, width
        The number, the hosts, UInt64 of shape (n,), and the width of windows, one of `WIDTHS`.
    pane
        The number of the pane, above all that were closed.
    """
    rows = column.rows.find(keys)
    known = np.flatnonzero(rows >= 0)
    own = np.zeros(len(keys), np.int64)
    own[known] = _since(column, pane, rows[known], shards_of(keys[known]), width)
    windows = column.windows(pane, width)
    if windows < ENOUGH_WINDOWS or (own >= ENOUGH_WINDOWS).all():
        return Among(own, None)
    return Among(own, _usual(column, pane, width, windows))


def _since(column: ColumnBaseline, pane: int, rows: Int64Array, shards: Int64Array, width: int) -> Int64Array:
    """Count the windows since the first one that held anything; a host of more than an hour has all of them."""
    windows = column.windows(pane, width)
    held = column.recent.windows(rows, width, pane, windows) > 0
    first = np.where(held.any(axis=1), windows - np.argmax(held[:, ::-1], axis=1), 0) if windows else 0
    return np.where(column.hours.at_most(rows, shards) > 0, PANES, first)


def _usual(column: ColumnBaseline, pane: int, width: int, windows: int) -> float | None:
    return usual_of(*sampled(column, pane, width, windows))


def sampled(column: ColumnBaseline, pane: int, width: int, windows: int) -> tuple[Int64Array, npt.NDArray[np.float64]]:
    """Return the shards of the hosts that stand for all, and what each stays below in nine of ten windows."""
    rows = column.some_rows(SAMPLE)
    decile = -(-9 * windows // 10) - 1
    held = column.recent.windows(rows, width, pane, windows)
    recent = amounts(np.partition(held, decile, axis=1)[:, decile])
    shards = shards_of(column.rows.keys[rows])
    days = column.same_hour(pane, rows, shards, width)
    return shards, np.maximum(recent, days.median + _NINETY_PERCENT * days.spread)


def usual_of(shards: Int64Array, much: npt.NDArray[np.float64]) -> float | None:
    """Say what nineteen in twenty hosts stay below, from those of the first shards; None where there are too few."""
    sizes = np.bincount(shards, minlength=SHARDS)
    first = (np.cumsum(sizes) - sizes < SAMPLE)[shards]
    if first.sum() < FEWEST:
        return None
    return float(np.sort(much[first])[int(_PART * (first.sum() - 1))])
