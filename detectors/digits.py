"""Decimal digits inside machine words, a column of words at a time."""

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Word = TypeVar("Word", np.uint32, np.uint64)

_ZEROS: Final = np.uint64(0x3030303030303030)
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)
_TOP_BITS: Final = np.uint64(0x8080808080808080)
_FOUR_ZEROS: Final = np.uint32(0x30303030)
_FOUR_ABOVE_NINE: Final = np.uint32(0x76767676)
_FOUR_TOP_BITS: Final = np.uint32(0x80808080)


def eight_digits(words: UInt64Array, count: Int64Array | int) -> tuple[UInt64Array, BoolArray | None]:
    """Read the first `count` bytes, at most eight, of each word as digits, two and two, four and four together.

    Returns
    -------
    tuple
        Numbers, and whether all bytes of each were digits, or None where those of all were. Overwrites `words`.
    """
    words ^= _ZEROS
    if not isinstance(count, int):
        words <<= ((8 - count) << 3).view(np.uint64)
    elif count < 8:
        words <<= np.uint64(64 - (count << 3))
    readable = _digits(words, _ABOVE_NINE, _TOP_BITS)
    words *= np.uint64(10 << 8 | 1)
    words >>= np.uint64(8)
    words &= np.uint64(0x00FF00FF00FF00FF)
    words *= np.uint64(100 << 16 | 1)
    words >>= np.uint64(16)
    words &= np.uint64(0x0000FFFF0000FFFF)
    words *= np.uint64(10_000 << 32 | 1)
    words >>= np.uint64(32)
    return words, readable


def four_digits(words: UInt32Array, count: Int64Array) -> tuple[UInt64Array, BoolArray | None]:
    """Read the first `count` bytes, at most four, of each word as digits; see `eight_digits`."""
    words ^= _FOUR_ZEROS
    words <<= ((4 - count) << 3).astype(np.uint32)
    readable = _digits(words, _FOUR_ABOVE_NINE, _FOUR_TOP_BITS)
    words *= np.uint32(10 << 8 | 1)
    words >>= np.uint32(8)
    words &= np.uint32(0x00FF00FF)
    words *= np.uint32(100 << 16 | 1)
    words >>= np.uint32(16)
    return words.astype(np.uint64), readable


def _digits(values: npt.NDArray[Word], above_nine: Word, top_bits: Word) -> BoolArray | None:
    """Say in which words each byte is a number up to nine; None where it is in all."""
    others = values + above_nine
    others |= values
    if not np.bitwise_or.reduce(others) & top_bits:
        return None
    others &= top_bits
    readable: BoolArray = others == 0
    return readable
