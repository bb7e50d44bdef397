"""Reading written whole numbers, whole columns at a time."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from detectors.digits import eight_digits, four_digits

if TYPE_CHECKING:
    from detectors.texts import Buffer

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HIGHEST: Final = 2**63 - 1
"""The highest number that is read."""

BLOCK: Final = 16384
"""Numbers read at one go: what is computed on the way stays in the processor's cache."""

_ZERO: Final = np.uint8(ord("0"))
_NINE: Final = np.uint8(9)
_TEN: Final = np.uint8(10)


def read(buffer: "Buffer", begin: Int64Array, end: Int64Array) -> tuple[UInt64Array, BoolArray | None]:
    """Read whole decimal numbers from 0 to 2**63 - 1, leading zeros allowed, signs not.

    Parameters
    ----------
    buffer
        The bytes.
    begin, end
        Where each number begins and, not included, ends; int64, shape (n,).

    Returns
    -------
    tuple
        Values, uint64, shape (n,), and whether each text is such a number, or None where all are. Values of other
        texts mean nothing.
    """
    rows = len(begin)
    if 0 < rows <= BLOCK:
        return _read(buffer, begin, end)
    values, readable = np.empty(rows, np.uint64), np.ones(rows, np.bool_)
    unreadable = False
    for at in range(0, rows, BLOCK):
        block = slice(at, at + BLOCK)
        values[block], sound = _read(buffer, begin[block], end[block])
        if sound is not None:
            readable[block] = sound
            unreadable = True
    return values, readable if unreadable else None


def _read(buffer: "Buffer", begin: Int64Array, end: Int64Array) -> tuple[UInt64Array, BoolArray | None]:
    length = end - begin
    shortest, longest = int(length.min()), int(length.max())
    if longest <= 2:
        values, readable = _two_digits(buffer, begin, end, length if shortest < longest else longest)
    elif longest <= 4:
        values, readable = four_digits(buffer.short_heads[begin], length)
    elif longest <= 8:
        values, readable = eight_digits(buffer.heads[begin], length)
    else:
        values, readable = _many_digits(buffer, begin, end, shortest)
    if not shortest:
        filled = length > 0
        readable = filled if readable is None else readable & filled
    if longest > 16:
        sound = _read_longest(buffer, begin, end, values, readable)
        readable = None if sound.all() else sound
    return values, readable


def _two_digits(
    buffer: "Buffer", begin: Int64Array, end: Int64Array, length: Int64Array | int
) -> tuple[UInt64Array, BoolArray | None]:
    """Read one or two digits as bytes: that is quicker than to read words around them."""
    digits = buffer.bytes.take(end - 1, mode="clip") - _ZERO
    readable = digits <= _NINE
    if isinstance(length, int) and length < 2:
        return digits.astype(np.uint64), None if readable.all() else readable
    higher = buffer.bytes.take(begin, mode="clip") - _ZERO
    higher *= length == 2
    readable &= higher <= _NINE
    higher *= _TEN
    digits += higher
    return digits.astype(np.uint64), None if readable.all() else readable


def _many_digits(
    buffer: "Buffer", begin: Int64Array, end: Int64Array, shortest: int
) -> tuple[UInt64Array, BoolArray | None]:
    """Read the last sixteen digits, eight and eight."""
    if shortest >= 8:
        middle = end - 8
        values, readable = eight_digits(buffer.heads[middle], 8)
    else:
        middle = np.maximum(begin, end - 8)
        values, readable = eight_digits(buffer.heads[middle], end - middle)
    count = np.minimum(middle - begin, 8)
    first = buffer.slice(begin.item(0), begin.item(0) + count.item(0))
    if first.isdigit() and (count == len(first)).all() and buffer.all_begin(begin, first):
        # Times of one batch begin alike.
        values += np.uint64(int(first) * 10**8)
        return values, readable
    higher, digits = eight_digits(buffer.heads[begin], count)
    higher *= np.uint64(10**8)
    values += higher
    if digits is not None:
        readable = digits if readable is None else readable & digits
    return values, readable


def _read_longest(
    buffer: "Buffer", begin: Int64Array, end: Int64Array, values: UInt64Array, readable: BoolArray | None
) -> BoolArray:
    """Read numbers of more than sixteen characters one by one, in place."""
    sound = np.ones(len(values), np.bool_) if readable is None else readable
    rows = np.flatnonzero(sound & (end - begin > 16))
    for row, text in zip(rows.tolist(), buffer.slices(begin[rows], end[rows]), strict=True):
        digits = text.lstrip(b"0") or b"0"
        value = int(digits) if len(digits) < 20 and digits.isdigit() else HIGHEST + 1
        sound[row] = value <= HIGHEST
        values[row] = value
    return sound
