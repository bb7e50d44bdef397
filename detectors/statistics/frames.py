"""Frames made of arrays."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import polars as pl


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
