"""Frames made of arrays, and rows of frames chosen by arrays."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import BoolArray
from detectors.statistics.grouping import UInt64Array, rows_of

_FEWEST_BITS: Final = 8


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
    likely = np.flatnonzero(_may_be_wanted(keys, wanted))
    return rows[likely[rows_of(wanted, keys.take(likely))[1]]]


def _may_be_wanted(keys: UInt64Array, wanted: UInt64Array) -> BoolArray:
    """Say which keys end in the same bits as one that is wanted: mostly few are wanted, and this takes a look each."""
    places = np.uint64((1 << max((8 * len(wanted)).bit_length(), _FEWEST_BITS)) - 1)
    marks = np.zeros(int(places) + 1, np.bool_)
    marks[(wanted & places).view(np.int64)] = True
    return marks.take((keys & places).view(np.int64))
