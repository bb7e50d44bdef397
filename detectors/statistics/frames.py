"""Frames made of arrays, and rows of frames chosen by arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.grouping import UInt64Array, rows_of


def frame(columns: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    """Make a frame of arrays, each of shape (n,), in their types.

    A pane makes dozens of frames, and Polars takes several times as long where it has to find out what it is given.

    Examples
    --------
    >>> import numpy as np
    >>> frame({"key": np.array([1], np.uint64), "internal": np.array([True])}).rows()
    [(1, True)]
    """
    return pl.DataFrame([pl.Series(name, column) for name, column in columns.items()])


def among(rows: pl.DataFrame, keys: UInt64Array, wanted: UInt64Array) -> pl.DataFrame:
    """Return the rows whose keys are wanted.

    Parameters
    ----------
    rows, keys
        Rows, and the key of each, UInt64, shape (n,).
    wanted
        Ascending and each once, UInt64, shape (m,).

    Examples
    --------
    >>> import numpy as np
    >>> keys = np.array([7, 3, 7], np.uint64)
    >>> among(frame({"key": keys}), keys, np.array([7, 9], np.uint64)).rows()
    [(7,), (7,)]
    """
    return rows[np.flatnonzero(rows_of(wanted, keys)[1])]
