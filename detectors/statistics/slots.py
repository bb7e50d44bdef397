"""Fixed-width blocks in one growing array, handed out and taken back."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.addresses import Int64Array


def grown(array: npt.NDArray[Any], length: int, used: int | None = None) -> npt.NDArray[Any]:
    """Return the array with room for at least `length` rows, new ones zero; it doubles, so that growing is rare.

    Parameters
    ----------
    array
        What to make room in, shape (rows, ...).
    length
        How many rows there must be.
    used
        How many of its rows may be other than zero; all of them by default. What is not copied takes no memory.

    Examples
    --------
    >>> grown(np.array([7]), 2).tolist()
    [7, 0]
    """
    if length <= len(array):
        return array
    larger = np.zeros((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    used = len(array) if used is None else used
    larger[:used] = array[:used]
    return larger


class Slots:
    """Blocks of equal width in a 2-D array.

    Parameters
    ----------
    width
        Values in a block.
    dtype
        Their type.

    Examples
    --------
    >>> slots = Slots(2, np.uint8)
    >>> first = slots.take(3)
    >>> slots.give_back(first[:1])
    >>> slots.take(2).tolist(), slots.used
    ([0, 3], 4)
    """

    def __init__(self, width: int, dtype: npt.DTypeLike) -> None:
        self.blocks: npt.NDArray[Any] = np.zeros((0, width), dtype)
        """All blocks, shape (at least as many as were ever used at once, width); replaced when it grows."""
        self._returned = np.zeros(0, np.int64)
        self._returned_count = 0
        self._end = 0

    @property
    def used(self) -> int:
        """How many blocks are handed out."""
        return self._end - self._returned_count

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks that were ever in use at once; those behind them take no memory yet."""
        return self._end * self.blocks[:1].nbytes + self._returned_count * self._returned.itemsize

    def take(self, count: int) -> Int64Array:
        """Hand out blocks, all zero; Int64, shape (count,)."""
        reused = min(count, self._returned_count)
        self._returned_count -= reused
        again = self._returned[self._returned_count : self._returned_count + reused]
        fresh = np.arange(self._end, self._end + count - reused)
        self._end += len(fresh)
        self.blocks = grown(self.blocks, self._end)
        self.blocks[again] = 0
        return np.concatenate([again, fresh])

    def give_back(self, blocks: Int64Array) -> None:
        """Take blocks back, each once, shape (n,)."""
        count = self._returned_count + len(blocks)
        self._returned = grown(self._returned, count)
        self._returned[self._returned_count : count] = blocks
        self._returned_count = count
