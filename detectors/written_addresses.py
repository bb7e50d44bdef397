"""Reading written IP addresses, whole columns at a time."""

from ipaddress import AddressValueError, IPv6Address
from itertools import combinations, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.texts import BoolArray, Int64Array, Texts, UInt64Array

Int32Array = npt.NDArray[np.int32]

MAPPED: Final = 0xFFFF << 32
"""Low half of an IPv4 address, without the address itself (RFC 4291, section 2.5.5.2)."""

_BLOCK: Final = 8192
"""Texts read at one go: what is computed on the way stays in the processor's cache."""

_FEW: Final = 256
_MOST: Final = 0.7
"""Where fewer texts, or a greater part of them, would have to be read, all are."""

_SHORT: Final = 16
_LONG: Final = 48
"""Texts up to so many bytes are compared; IPv4 addresses are short, and no address is longer."""

_SLOT_BITS: Final = 16
_FACTORS: Final = np.array(
    [
        *(0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
        *(0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB),
    ],
    np.uint64,
)
"""Odd numbers that spread equal texts to equal slots, and others to others, mostly."""

_BYTE: Final = np.uint64(8)
_HALF: Final = np.uint64(32)
_BYTE_MASK: Final = np.uint64(0xFF)
_MOST_DOTS: Final = np.uint64(4095)
_ZEROS: Final = np.uint64(0x3030303030303030)
_DOTS: Final = np.uint64(0x1E1E1E1E1E1E1E1E)  # a dot, less the bits of "0"
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)
_LOW_BITS: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_TOP_BITS: Final = np.uint64(0x8080808080808080)
_GATHER_BITS: Final = np.uint64(0x0102040810204080)

_HALF_LANES: Final = np.uint64(0x000000FF000000FF)
_HALF_TOPS: Final = np.uint64(0x8000000080000000)
_ABOVE_OCTETS: Final = np.uint64(0xFFFFFF00FFFFFF00)

_LONGEST_IPV6: Final = 39
_WIDTH: Final = _LONGEST_IPV6 + 1
_COLON: Final = ord(":")


_NEVER: Final = 0xFFFF
"""A least value that no octet reaches."""

_LEAST: Final = (_NEVER, 0, 10, 100)
"""Least value of an octet by its number of digits: leading zeros are not allowed."""


def _octets_by_dots() -> tuple[UInt64Array, UInt64Array, UInt64Array]:
    """For every set of places of three dots, as bits: how to get at the first three octets.

    Returns
    -------
    tuple
        Shifts, one to a byte: what brings the end of the first, second and third octet to the end of a word,
        what clears the bytes before the second and the third, and the place of the last dot; then the least
        values of the first two octets, one to a half, and that of the third. Other sets allow no value.
    """
    shifts = np.zeros(4096, np.uint64)
    least = np.full((2, 4096), _NEVER, np.uint64)
    for places in combinations(range(12), 3):
        digits = [place - before - 1 for before, place in pairwise((-1, *places))]
        if all(1 <= count <= 3 for count in digits):
            dots = sum(1 << place for place in places)
            ends = [64 - 8 * places[0], 64 - 8 * places[1], 96 - 8 * places[2]]
            packed = [*ends, 64 - 8 * digits[1], 64 - 8 * digits[2], places[2]]
            shifts[dots] = int.from_bytes(bytes(packed), "little")
            least[:, dots] = _LEAST[digits[0]] | _LEAST[digits[1]] << 32, _LEAST[digits[2]]
    return shifts, least[0], least[1]


_SHIFTS, _LEAST_FIRST_TWO, _LEAST_THIRD = _octets_by_dots()
_LEAST_FOURTH: Final = np.array([*_LEAST, *[_NEVER] * 13], np.uint64) << np.uint64(32)
"""By the number of characters from behind the last dot to the end."""


def read(texts: Texts) -> tuple[UInt64Array, UInt64Array, BoolArray]:
    """Read addresses the way `ipaddress` does: no leading zeros in IPv4, no zones in IPv6.

    Returns
    -------
    tuple
        High and low halves, uint64, shape (n,), and whether each text is an address; the halves of others
        are 0.
    """
    # Hosts repeat: to see that takes half the time of reading.
    originals = _originals(texts)
    if originals is None:
        return _read(texts)
    rows, numbers = originals
    high, low, readable = _read(texts.at(rows))
    return (
        high.take(numbers) if high.any() else np.zeros(len(texts), np.uint64),
        low.take(numbers),
        readable.take(numbers),
    )


def _originals(texts: Texts) -> tuple[Int64Array, Int32Array] | None:
    """Find the first of equal texts, without finding all that are equal.

    Returns
    -------
    tuple or None
        Rows of texts that have to be read, and for each text, which of these has the same; None where reading
        them all is as quick.
    """
    count, length = len(texts), texts.length
    if count < _FEW:
        return None
    words = _short_words(texts) if length.max() <= _SHORT else texts.words(_LONG).T
    slots = words[0] * _FACTORS[0]
    for word, factor in zip(words[1:], _FACTORS[1:], strict=False):
        slots += word * factor
    slots >>= np.uint64(64 - _SLOT_BITS)
    rows = np.arange(count, dtype=np.int32)
    latest = np.empty(1 << _SLOT_BITS, np.int32)
    latest[slots.view(np.int64)] = rows
    same = latest.take(slots.view(np.int64))
    other = length.take(same) != length
    if len(words) > 2:
        other |= length > _LONG
    for word in words:
        other |= word.take(same) != word
    np.copyto(same, rows, where=other)
    originals = np.flatnonzero(same == rows)
    if len(originals) > _MOST * count:
        return None
    numbers = np.empty(count, np.int32)
    numbers[originals] = rows[: len(originals)]
    return originals, numbers.take(same)


def _short_words(texts: Texts) -> tuple[UInt64Array, UInt64Array]:
    """Return the first and the last eight bytes of texts of up to sixteen: with their length, all that they say.

    What stands around a text of less than eight bytes is in there, too; equal ones may then look different.
    """
    return texts.buffer.heads[texts.begin], texts.buffer.tails[texts.end]


def _read(texts: Texts) -> tuple[UInt64Array, UInt64Array, BoolArray]:
    count = len(texts.begin)
    high, low = np.zeros(count, np.uint64), np.empty(count, np.uint64)
    readable = np.empty(count, np.bool_)
    for at in range(0, count, _BLOCK):
        block = slice(at, at + _BLOCK)
        low[block], readable[block] = _ipv4(Texts(texts.buffer, texts.begin[block], texts.end[block]))
    if not readable.all():
        rest = np.flatnonzero(~readable & (texts.length > 1))
        rest = rest[_colon_soon(texts.at(rest))]
        for at in range(0, len(rest), _BLOCK):
            rows = rest[at : at + _BLOCK]
            high[rows], low[rows], readable[rows] = _ipv6(texts.at(rows))
    return high, low, readable


def _ipv4(texts: Texts) -> tuple[UInt64Array, BoolArray]:
    length = texts.end - texts.begin
    unused = np.maximum(64 - (length << 3), 0).view(np.uint64)
    first, last = texts.buffer.heads[texts.begin], texts.buffer.tails[texts.end]
    first ^= _ZEROS
    last ^= _ZEROS
    first <<= unused
    first >>= unused
    last >>= unused
    last <<= unused
    dots_first, dots_last = _zero_bytes(first ^ _DOTS), _zero_bytes(last ^ _DOTS)
    others = _no_digits(first) ^ dots_first
    others |= _no_digits(last) ^ dots_last
    behind = (16 - length).view(np.uint64)
    dots = _bit_per_byte(dots_last)
    dots <<= _BYTE
    dots >>= behind
    dots |= _bit_per_byte(dots_first)
    pattern = np.minimum(dots, _MOST_DOTS).view(np.int64)
    shifts = _SHIFTS.take(pattern)

    def shift(number: int) -> UInt64Array:
        return (shifts >> np.uint64(8 * number)) & _BYTE_MASK

    behind <<= np.uint64(3)
    third = last >> behind
    third <<= _HALF
    third |= first >> _HALF
    third <<= shift(2)
    second = first << shift(1)
    first <<= shift(0)
    fourth_length = (length - 1) - shift(5).view(np.int64)
    np.clip(fourth_length, 0, 16, out=fourth_length)
    unused = (64 - (fourth_length << 3)).view(np.uint64)
    _clear_low(second, shift(3))
    _clear_low(third, shift(4))
    _clear_low(last, unused)
    first >>= _HALF
    third >>= _HALF
    first_two, last_two = _octet_pair(first | second), _octet_pair(third | last)
    too_little = (first_two | _HALF_TOPS) - _LEAST_FIRST_TWO.take(pattern)
    too_little &= (last_two | _HALF_TOPS) - (_LEAST_THIRD.take(pattern) | _LEAST_FOURTH.take(fourth_length))
    others |= ~too_little & _HALF_TOPS
    others |= (first_two | last_two) & _ABOVE_OCTETS
    readable: BoolArray = others == 0
    readable &= length < 16
    low = (first_two << np.uint64(24)) | (first_two >> np.uint64(16)) | (last_two << _BYTE) | (last_two >> _HALF)
    low &= np.uint64(0xFFFF_FFFF)
    low |= np.uint64(MAPPED)
    low *= readable
    return low, readable


def _clear_low(words: UInt64Array, bits: UInt64Array) -> None:
    """Clear the lowest bits of each word, in place."""
    words >>= bits
    words <<= bits


def _octet_pair(digits: UInt64Array) -> UInt64Array:
    """Read three digits at the end of each half of each word."""
    values = digits >> _BYTE
    digits *= np.uint64(10)
    values += digits
    digits = values >> np.uint64(16)
    digits &= _HALF_LANES
    values &= _HALF_LANES
    values *= np.uint64(100)
    values += digits
    return values


def _no_digits(digits: UInt64Array) -> UInt64Array:
    """Set the top bit of each byte above nine; where a byte is above 137, other top bits may be set, too."""
    above = digits + _ABOVE_NINE
    above |= digits
    above &= _TOP_BITS
    return above


def _zero_bytes(words: UInt64Array) -> UInt64Array:
    """Set the top bit of each byte that is zero, and no other bit."""
    tops = words & _LOW_BITS
    tops += _LOW_BITS
    tops |= words
    tops |= _LOW_BITS
    np.invert(tops, out=tops)
    return tops


def _bit_per_byte(tops: UInt64Array) -> UInt64Array:
    """Gather the top bits of eight bytes in one byte, the lowest byte's in bit 0."""
    bits = tops >> np.uint64(7)
    bits *= _GATHER_BITS
    bits >>= np.uint64(56)
    return bits


def _ipv6(texts: Texts) -> tuple[UInt64Array, UInt64Array, BoolArray]:
    count, length = len(texts.begin), texts.length
    fits = (length <= _LONGEST_IPV6) & (length > 1)
    words = np.empty((count, _WIDTH // 8), np.uint64)
    for index in range(_WIDTH // 8):
        words[:, index] = texts.buffer.heads[np.minimum(texts.begin + 8 * index, texts.buffer.size)]
    characters = words.view(np.uint8)
    characters[np.arange(_WIDTH, dtype=np.int8) >= np.minimum(length, _WIDTH).astype(np.int8)[:, None]] = ord("0")
    readable = fits & _KNOWN.take(characters).all(axis=1)
    characters[readable, length[readable]] = _COLON

    ends = np.flatnonzero(characters.ravel() == _COLON)
    row = ends // _WIDTH
    begins = np.empty_like(ends)
    begins[:1] = 0
    begins[1:] = ends[:-1] + 1
    begins = np.maximum(begins, row * _WIDTH)
    size = ends - begins
    groups = np.bincount(row, minlength=count)
    number = np.arange(len(ends)) - (np.cumsum(groups) - groups)[row]
    empty = size == 0
    inner = empty & (number > 0) & (number < groups[row] - 1)
    inner_count = np.bincount(row[inner], minlength=count)
    inner_number = np.bincount(row[inner], number[inner], minlength=count).astype(np.int64)
    starts_empty = np.bincount(row[empty & (number == 0)], minlength=count) > 0
    stops_empty = np.bincount(row[empty & (number == groups[row] - 1)], minlength=count) > 0
    filled = np.bincount(row[~empty], minlength=count)
    complete = (inner_count == 0) & ~starts_empty & ~stops_empty & (groups == 8)
    shortened = (inner_count == 1) & (filled < 8)
    shortened &= (~starts_empty | (inner_number == 1)) & (~stops_empty | (inner_number == groups - 2))
    readable &= complete | shortened
    readable &= np.bincount(row[size > 4], minlength=count) == 0

    taken = ~empty & readable[row]
    row, number, size, ends = row[taken], number[taken], size[taken], ends[taken]
    behind_gap = shortened[row] & (number > inner_number[row])
    place = np.where(behind_gap, 8 - groups[row] + number, number)
    words = texts.buffer.tails[texts.begin[row] + ends - row * _WIDTH]
    values = np.zeros((count, 8), np.uint64)
    values[row, place] = _hexadecimal(words, size)
    high, low = (
        (half[:, 0] << np.uint64(48)) | (half[:, 1] << np.uint64(32)) | (half[:, 2] << np.uint64(16)) | half[:, 3]
        for half in (values[:, :4], values[:, 4:])
    )
    dotted = fits & ~readable & (characters == ord(".")).any(axis=1) & (characters == _COLON).any(axis=1)
    # The last group may be written as IPv4, 45 characters in all; that is rare enough to read singly.
    dotted |= (length > _LONGEST_IPV6) & (length <= 45)
    for index in np.flatnonzero(dotted).tolist():
        value = _single(texts[index])
        if value is not None:
            high[index], low[index], readable[index] = value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF, True
    return high, low, readable


def _colon_soon(texts: Texts) -> BoolArray:
    """Say which texts have a colon among their first five characters, as IPv6 addresses do."""
    soon = np.zeros(len(texts), np.bool_)
    last = np.maximum(texts.end - 1, texts.begin)
    for place in range(5):
        soon |= texts.buffer.bytes.take(np.minimum(texts.begin + place, last)) == _COLON
    return soon


def _hexadecimal(words: UInt64Array, size: Int64Array) -> UInt64Array:
    """Read the last `size` bytes, at most four, of each word as hexadecimal digits."""
    others = (64 - (size << 3)).view(np.uint64)
    digits = (words >> others) << others
    digits = (digits & np.uint64(0x0F0F0F0F00000000)) + ((digits >> np.uint64(6)) & np.uint64(0x0101010100000000)) * 9
    value: UInt64Array = digits >> np.uint64(56)
    for shift, position in ((48, 4), (40, 8), (32, 12)):
        value |= ((digits >> np.uint64(shift)) & np.uint64(15)) << np.uint64(position)
    return value


def _single(text: bytes) -> int | None:
    try:
        address = IPv6Address(text.decode("ascii"))
    except (AddressValueError, UnicodeDecodeError):
        return None
    return None if address.scope_id is not None else int(address)


def _known_characters() -> BoolArray:
    table = np.zeros(256, np.bool_)
    table[list(b"0123456789abcdefABCDEF:")] = True
    return table


_KNOWN: Final = _known_characters()
