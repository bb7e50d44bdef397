"""Texts as stretches of one byte buffer, read a column at a time: eight bytes are one machine word."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

HIGHEST_NUMBER: Final = 2**63 - 1
MINUS: Final = ord("-")

_BLOCK: Final = 32768
"""Numbers read at one go: what is computed on the way stays in the processor's cache."""

_BEFORE: Final = b" " * 15
_BEHIND: Final = b" " * 16
_MARGIN: Final = 16

_ZEROS: Final = np.uint64(0x3030303030303030)
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)
_TOP_BITS: Final = np.uint64(0x8080808080808080)
_BYTE_LANES: Final = np.uint64(0x000000FF000000FF)


class Buffer:
    """Bytes that can be read eight at a time around any position, first and last included.

    Parameters
    ----------
    parts
        Bytes, put behind each other with a line end behind each.

    Attributes
    ----------
    bytes
        The parts, uint8, shape (size,).
    is_ascii
        Whether every byte is an ASCII character.
    heads
        At position p: the eight bytes from p on, the first in the lowest byte. uint64.
    tails
        At position p: the eight bytes before p, the last in the highest byte. uint64.
    """

    __slots__ = ("_binary", "_text", "bytes", "heads", "is_ascii", "size", "tails")

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._text = b"\n".join([_BEFORE, *parts, _BEHIND])
        self._binary: pl.Expr | None = None
        self.is_ascii = self._text.isascii()
        self.size = len(self._text) - 2 * _MARGIN
        self.bytes = np.frombuffer(self._text, np.uint8, self.size, _MARGIN)
        self.heads = np.ndarray((self.size + 9,), "<u8", self._text, _MARGIN, (1,))
        self.tails = np.ndarray((self.size + 9,), "<u8", self._text, _MARGIN - 8, (1,))

    def __contains__(self, part: bytes) -> bool:
        return part in self._text

    def content(self) -> bytes:
        """Return the parts and their line ends."""
        return self._text[_MARGIN:-_MARGIN]

    def slice(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` up to `end`, not included."""
        return self._text[begin + _MARGIN : end + _MARGIN]

    def slices(self, begin: Int64Array, end: Int64Array) -> list[bytes]:
        """Return several slices."""
        text = self._text
        return [
            text[first:last] for first, last in zip((begin + _MARGIN).tolist(), (end + _MARGIN).tolist(), strict=True)
        ]

    def strings(self, columns: Mapping[str, "Texts"]) -> dict[str, pl.Series]:
        """Return columns of UTF-8 texts in this buffer as strings that share its memory."""
        stretches = [each for texts in columns.values() for each in (texts.begin + _MARGIN, texts.length)]
        places = pl.Series(np.concatenate(stretches))
        rows = len(stretches[0])
        frame = pl.DataFrame([places.slice(index * rows, rows).alias(str(index)) for index in range(len(stretches))])
        if self._binary is None:
            self._binary = pl.lit(pl.Series([self._text], dtype=pl.Binary)).first()
        text = self._binary
        strings = frame.select(
            text.bin.slice(str(2 * index), str(2 * index + 1)).cast(pl.String).alias(name)
            for index, name in enumerate(columns)
        )
        return dict(zip(columns, strings.get_columns(), strict=True))


class Texts:
    """A column of texts inside a buffer.

    Parameters
    ----------
    buffer
        The bytes.
    begin, end
        Where each text begins and, not included, ends; int64, any shape, 0 <= begin <= end <= buffer.size.

    Examples
    --------
    >>> numbers, readable = Texts.of(pl.Series(["443", "0017", "-1", "", "+5", "12345678901"])).numbers()
    >>> numbers[readable].tolist(), readable.tolist()
    ([443, 17, 12345678901], [True, True, False, False, False, True])
    """

    __slots__ = ("begin", "buffer", "end")

    def __init__(self, buffer: Buffer, begin: Int64Array, end: Int64Array) -> None:
        self.buffer = buffer
        self.begin = begin
        self.end = end

    @classmethod
    def of(cls, strings: pl.Series) -> Self:
        """Lay strings out in a buffer; null becomes an empty text."""
        filled = strings.fill_null("") if strings.null_count() else strings
        joined = filled.str.join("\n").item() if len(filled) else ""
        end = np.cumsum(filled.str.len_bytes().to_numpy().astype(np.int64) + 1) - 1
        begin = np.empty_like(end)
        begin[:1] = 0
        begin[1:] = end[:-1] + 1
        return cls(Buffer([joined.encode()]), begin, end)

    @property
    def length(self) -> Int64Array:
        """How many bytes each text has."""
        return self.end - self.begin

    def __len__(self) -> int:
        return self.begin.size

    def __getitem__(self, index: int) -> bytes:
        return self.buffer.slice(self.begin.item(index), self.end.item(index))

    def parts(self) -> list[bytes]:
        """Return the texts one by one."""
        return self.buffer.slices(self.begin, self.end)

    def at(self, rows: Int64Array | BoolArray) -> "Texts":
        """Take some of the texts."""
        return Texts(self.buffer, self.begin[rows], self.end[rows])

    def among(self, words: Sequence[str]) -> tuple[UInt64Array, BoolArray | None]:
        """Find the index of each text among words of up to eight bytes.

        Returns
        -------
        tuple
            Indices, uint64, 0 where there is none; and which texts are among the words, or None where all are.
        """
        heads, length = self.buffer.heads[self.begin], self.length
        indices = np.zeros(len(length), np.uint64)
        known = np.zeros(len(length), np.bool_)
        for index, word in enumerate(words):
            mask = np.uint64((1 << 8 * len(word)) - 1)
            same = (heads & mask) == np.uint64(int.from_bytes(word.encode(), "little"))
            same &= length == len(word)
            known |= same
            if index:
                indices += same.view(np.uint8) * np.uint64(index)
            if known.all():
                return indices, None
        return indices, known

    def missing(self) -> BoolArray | None:
        """Say which texts are empty or a lone minus, as missing values are written; None where none is."""
        length = self.length
        if not len(length) or length.min() > 1:
            return None
        missing = (length == 0) | ((length == 1) & ((self.buffer.tails[self.end] >> np.uint64(56)) == MINUS))
        return missing if missing.any() else None

    def constant(self) -> bool:
        """Say whether all texts are known to be the same; not all that are need be noticed."""
        length = self.length
        if not len(length) or length[0] > 16 or (length != length[0]).any():
            return False
        heads, tails = self.buffer.heads[self.begin], self.buffer.tails[self.end]
        unused = np.uint64(max(64 - 8 * int(length[0]), 0))
        return bool(((heads ^ heads[0]) << unused == 0).all() and ((tails ^ tails[0]) >> unused == 0).all())

    def numbers(self) -> tuple[UInt64Array, BoolArray]:
        """Read whole decimal numbers from 0 to 2**63 - 1, leading zeros allowed, signs not.

        Returns
        -------
        tuple
            Values, uint64, and whether each text is such a number. Values of other texts mean nothing.
        """
        begin, end = np.atleast_2d(self.begin, self.end)
        values, readable = np.empty(begin.shape, np.uint64), np.empty(begin.shape, np.bool_)
        width = max(_BLOCK // max(len(begin), 1), 1)
        for at in range(0, begin.shape[1], width):
            block = np.s_[:, at : at + width]
            values[block], readable[block] = self._read_numbers(begin[block], end[block])
        return values.reshape(self.begin.shape), readable.reshape(self.begin.shape)

    def _read_numbers(self, begin: Int64Array, end: Int64Array) -> tuple[UInt64Array, BoolArray]:
        length = end - begin
        values, readable = _eight_digits(self.buffer.tails[end], length)
        readable &= length > 0
        longest = length.max(axis=1, initial=0)
        long = np.flatnonzero(longest > 8)
        if len(long):
            higher, digits = _eight_digits(self.buffer.tails[np.maximum(end[long] - 8, 0)], length[long] - 8)
            higher *= np.uint64(10**8)
            values[long] += higher
            readable[long] &= digits
            if longest.max() > 16:
                self._read_longest(begin, end, values, readable)
        return values, readable

    def _read_longest(self, begin: Int64Array, end: Int64Array, values: UInt64Array, readable: BoolArray) -> None:
        for row, column in np.argwhere(readable & (end - begin > 16)).tolist():
            digits = self.buffer.slice(int(begin[row, column]), int(end[row, column])).lstrip(b"0") or b"0"
            value = int(digits) if len(digits) < 20 and digits.isdigit() else HIGHEST_NUMBER + 1
            readable[row, column] = value <= HIGHEST_NUMBER
            values[row, column] = value


def _eight_digits(words: UInt64Array, length: Int64Array) -> tuple[UInt64Array, BoolArray]:
    """Read the last `length` bytes, at most eight, of each word as digits (Lemire and Mula's multiplication)."""
    unused = 64 - (np.clip(length, 0, 8) << 3)
    shift = unused.view(np.uint64)
    digits = words
    digits ^= _ZEROS
    digits >>= shift
    digits <<= shift
    others = digits + _ABOVE_NINE
    others |= digits
    others &= _TOP_BITS
    readable: BoolArray = others == 0
    pairs = digits >> np.uint64(8)
    digits *= np.uint64(10)
    pairs += digits
    np.right_shift(pairs, np.uint64(16), out=digits)
    digits &= _BYTE_LANES
    digits *= np.uint64(0x0000271000000001)
    pairs &= _BYTE_LANES
    pairs *= np.uint64(0x000F424000000064)
    pairs += digits
    pairs >>= np.uint64(32)
    return pairs, readable
