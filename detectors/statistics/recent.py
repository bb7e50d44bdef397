"""The last hour of hosts, pane by pane: how much each of its windows held."""

from typing import Final

import numpy as np

from detectors.addresses import Int64Array
from detectors.statistics.levels import UInt8Array, levels
from detectors.statistics.slots import grown

PANES: Final = 60
"""How many panes are remembered one by one: those of an hour."""

WIDTHS: Final = (1, 5)
"""Widths of windows that are learned, in panes."""

LAG: Final = 2 * (max(WIDTHS) - 1)
"""How many panes a pane matters: a window counts only once no window that is compared with it can overlap it."""

_AMOUNTS: Final = LAG + 1
LONG_AGO: Final = -(2**31)
"""The pane in which a row was last seen that never was."""


class Recent:
    """A ring of levels for each row, and of the amounts that windows are summed from.

    Panes are numbered: begin in epoch seconds, divided by their length. A row is only touched in panes in which
    one of its windows is not empty; what it holds of the panes after `last` is stale and means zero.
    """

    def __init__(self) -> None:
        self.levels = np.zeros((0, len(WIDTHS), PANES), np.uint8)
        """Levels of the windows that counted in a pane, at the pane's number modulo `PANES`."""
        self.amounts = np.zeros((0, _AMOUNTS), np.int64)
        """What a pane held, at its number modulo `LAG + 1`."""
        self.last = np.zeros(0, np.int32)
        """The last pane that a row was touched in."""
        self.seen = np.zeros(0, np.int32)
        """The last pane in which a row had anything."""
        self._end = 0

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the rows that are not in use."""
        return self.levels.nbytes + self.amounts.nbytes + self.last.nbytes + self.seen.nbytes

    def add(self, rows: Int64Array, end: int) -> None:
        """Begin rows, of which all lie below `end`."""
        self.levels, self.amounts = grown(self.levels, end), grown(self.amounts, end)
        self.last, self.seen = grown(self.last, end), grown(self.seen, end)
        self._end = end
        self.levels[rows] = 0
        self.amounts[rows] = 0
        self.last[rows] = self.seen[rows] = LONG_AGO

    def remove(self, rows: Int64Array) -> None:
        """Let rows go."""
        self.seen[rows] = LONG_AGO

    def close(self, pane: int, rows: Int64Array, amounts: Int64Array, ceilings: UInt8Array) -> Int64Array:
        """Close a pane: the one behind the last one, or one that comes after `LAG` empty ones.

        Parameters
        ----------
        pane
            Its number.
        rows, amounts
            What is not zero in it, shape (n,).
        ceilings
            Highest levels to be learned, shape (all rows, widths).

        Returns
        -------
        Int64Array
            The rows that were touched.
        """
        self.seen[rows] = pane
        touched = np.flatnonzero(self.seen[: self._end] >= pane - LAG)
        last = self.last[touched]
        # New rows hold nothing yet.
        self._forget(touched[(last < pane - 1) & (last != LONG_AGO)], pane)
        self.amounts[touched, pane % _AMOUNTS] = 0
        self.amounts[rows, pane % _AMOUNTS] = amounts
        panes = self.amounts[touched]
        for place, width in enumerate(WIDTHS):
            covered = [each % _AMOUNTS for each in range(pane - 2 * (width - 1), pane - width + 2)]
            learned = levels(panes[:, covered].sum(axis=1))
            self.levels[touched, place, pane % PANES] = np.minimum(learned, ceilings[touched, place])
        self.last[touched] = pane
        return touched

    def windows(self, rows: Int64Array, width: int, pane: int, count: int) -> UInt8Array:
        """Return the levels of the last windows before a pane.

        Parameters
        ----------
        rows
            Rows, shape (n,).
        width
            One of `WIDTHS`.
        pane
            The number of the pane.
        count
            How many, at most `PANES`.

        Returns
        -------
        UInt8Array
            Shape (n, count), the last one first.
        """
        panes = pane - 1 - np.arange(count)
        found: UInt8Array = self.levels[rows, WIDTHS.index(width)][:, panes % PANES]
        found[panes > self.last[rows, None]] = 0
        return found

    def hour(self, rows: Int64Array, begins: Int64Array) -> UInt8Array:
        """Return the levels of the windows from a pane of each row on, zero before it.

        Parameters
        ----------
        rows, begins
            Rows, and numbers of panes less than `PANES` before the last one of each; shape (n,).

        Returns
        -------
        UInt8Array
            Shape (n, widths, PANES), in no particular order.
        """
        age = (self.last[rows, None] - np.arange(PANES)) % PANES
        before = self.last[rows, None] - age < begins[:, None]
        found: UInt8Array = self.levels[rows]
        found *= ~before[:, None, :]
        return found

    def _forget(self, rows: Int64Array, pane: int) -> None:
        """Clear what rows hold of the panes between the last one they were touched in and this one."""
        if not len(rows):
            return
        last = self.last[rows, None].astype(np.int64)
        self.levels[rows] *= ((np.arange(PANES) - last - 1) % PANES >= pane - 1 - last)[:, None, :]
        # A row is touched for as long as its panes matter; what comes after a break begins anew.
        self.amounts[rows] = 0
