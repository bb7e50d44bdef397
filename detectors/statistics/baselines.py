"""What is usual for a host: the median of its past windows, and how far they spread."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS

HISTORY_PANES: Final = 60
"""How far back panes are remembered."""

_NORMAL: Final = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation."""


def baseline(history: Mapping[int, pl.DataFrame], column: str, keys: pl.Series, pane: int, panes: int) -> pl.DataFrame:
    """Compare hosts with their own past.

    Parameters
    ----------
    history
        The table `host` of closed panes, by pane.
    column
        One of its numbers.
    keys
        Hosts to compare, UInt64, shape (n,), each once.
    pane
        The pane that closes; the last `panes` up to and with it are left out.
    panes
        Width of the windows.

    Returns
    -------
    pl.DataFrame
        `median`, `spread` and `windows`, shape (n, 3), in the order of `keys`.
    """
    # How much history is kept depends on how panes were closed; what is usual must not.
    past = [each for each in history if panes <= (pane - each) // PANE_SECONDS <= HISTORY_PANES]
    width = (pane - min(past)) // PANE_SECONDS - panes + 1 if past else 0
    values = np.zeros((len(keys), width))
    order = keys.to_frame("key").with_row_index("row")
    for each in past:
        place = width - 1 - ((pane - each) // PANE_SECONDS - panes)
        found = order.join(history[each], on="key", how="inner")
        values[found["row"].to_numpy(), place] = found[column].to_numpy()
    windows = _windows(values, panes)
    count = windows.shape[1]
    if count == 0:
        median = spread = np.zeros(len(keys))
    else:
        median = np.median(windows, axis=1)
        spread = _NORMAL * np.median(np.abs(windows - median[:, None]), axis=1)
    return pl.DataFrame(
        {"median": median, "spread": spread, "windows": np.full(len(keys), count)},
        schema={"median": pl.Float64, "spread": pl.Float64, "windows": pl.UInt32},
    )


def _windows(values: npt.NDArray[np.float64], panes: int) -> npt.NDArray[np.float64]:
    """Sum every run of `panes` columns."""
    if values.shape[1] < panes:
        return np.zeros((values.shape[0], 0))
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    result: npt.NDArray[np.float64] = sums[:, panes:] - sums[:, :-panes]
    return result
