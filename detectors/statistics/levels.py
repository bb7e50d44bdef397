"""Levels: amounts on a scale of 255 steps, fine enough to say what is usual, in one byte."""

from itertools import accumulate, repeat
from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.addresses import Int64Array

UInt8Array = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]

HIGHEST: Final = 255
"""The highest level; whatever is larger counts as it, from 22 TB on."""

_EDGES: Final = np.array(list(accumulate(repeat(0, HIGHEST), lambda edge, _: edge + max(1, edge // 8), initial=1)))
"""Smallest amount of each level from 1 on, and of the one above the highest: whole numbers, the same everywhere."""

_AMOUNTS: Final = np.concatenate([[0.0], (_EDGES[:-1] + _EDGES[1:] - 1) / 2])


def levels(amounts: Int64Array) -> UInt8Array:
    """Put amounts on the scale.

    Parameters
    ----------
    amounts
        Not negative, Int64, any shape.

    Examples
    --------
    >>> levels(np.array([0, 1, 15, 16, 17, 18, 1_000_000, 10**18])).tolist()
    [0, 1, 15, 16, 16, 17, 111, 255]
    """
    found: UInt8Array = np.searchsorted(_EDGES[:-1], amounts, side="right").astype(np.uint8)
    return found


def amounts(levels: UInt8Array) -> Float64Array:
    """Return the middles of levels, at most 6.25 % from what was put on the scale; up to 15 they are exact.

    >>> amounts(np.array([0, 1, 15, 16, 17, 111], np.uint8)).tolist()
    [0.0, 1.0, 15.0, 16.5, 18.5, 1024857.0]
    """
    return _AMOUNTS[levels]
