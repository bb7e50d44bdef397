"""Texts as stretches of one byte buffer, read a column at a time: eight bytes are one machine word."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from detectors import written_numbers

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MINUS: Final = ord("-")

_BEFORE: Final = b" " * 15
_BEHIND: Final = b" " * 48
_MARGIN: Final = 16

_MASKS: Final = {
    width: np.frombuffer(b"".join(b"\xff" * count + bytes(width - count) for count in range(width + 1)), "<u8").reshape(
        -1, width // 8
    )
    for width in (16, 48)
}
"""By how many bytes are wanted: masks of the first words."""

_WINDOW_BITS: Final = 30
_WINDOW: Final = 1 << _WINDOW_BITS
"""How much of a buffer Arrow gets at one go; places in it have 31 bits."""

_INLINE: Final = 12
"""So many bytes of a text lie in its view."""

_HALF: Final = np.uint64(32)
_ALL: Final = np.uint64(2**64 - 1)


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
    short_heads
        At position p: the four bytes from p on, the first in the lowest byte. uint32.
    tails
        At position p: the eight bytes before p, the last in the highest byte. uint64.
    """

    __slots__ = ("_text", "bytes", "heads", "is_ascii", "short_heads", "size", "tails")

    def __init__(self, parts: Iterable[bytes | memoryview]) -> None:
        self._text = b"\n".join([_BEFORE, *parts, _BEHIND])
        self.size = len(self._text) - _MARGIN - len(_BEHIND)
        self.bytes = np.frombuffer(self._text, np.uint8, self.size, _MARGIN)
        # A vector instruction away, where bytes.isascii looks at word after word.
        self.is_ascii = bool(self.bytes.max(initial=0) < 0x80)
        self.heads = np.ndarray((self.size + 9,), "<u8", self._text, _MARGIN, (1,))
        self.short_heads = np.ndarray((self.size + 9,), "<u4", self._text, _MARGIN, (1,))
        self.tails = np.ndarray((self.size + 9,), "<u8", self._text, _MARGIN - 8, (1,))

    def __contains__(self, part: bytes) -> bool:
        return part in self._text

    def content(self) -> bytes:
        """Return the parts and their line ends."""
        return self._text[_MARGIN : -len(_BEHIND)]

    def slice(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` up to `end`, not included."""
        return self._text[begin + _MARGIN : end + _MARGIN]

    def slices(self, begin: Int64Array, end: Int64Array) -> list[bytes]:
        """Return several slices."""
        text = self._text
        return [
            text[first:last] for first, last in zip((begin + _MARGIN).tolist(), (end + _MARGIN).tolist(), strict=True)
        ]

    def all_begin(self, begin: Int64Array, first: bytes) -> bool:
        """Say whether these bytes, not more than a few, stand at each of some places."""
        taken = (self.bytes.take(begin + place if place else begin) for place in range(len(first)))
        return all((characters == character).all() for characters, character in zip(taken, first, strict=True))

    def stretches(self, begin: Int64Array, width: int) -> UInt64Array:
        """Return `width` bytes, at most 48, from each place on as machine words, shape (n, width / 8)."""
        stretches = np.ndarray((self.size + 1,), f"V{width}", self._text, _MARGIN, (1,))
        return stretches[begin].view("<u8").reshape(-1, width // 8)

    def strings(self, columns: Mapping[str, "Texts"]) -> dict[str, pl.Series]:
        """Return columns of UTF-8 texts in this buffer as strings that share its memory."""
        return {name: self._strings(texts).alias(name) for name, texts in columns.items()}

    def _strings(self, texts: "Texts") -> pl.Series:
        # Whatever is ASCII is UTF-8; Polars looks at anything else.
        return self._viewed(texts, pa.string_view()) if self.is_ascii else self.binaries(texts).cast(pl.String)

    def binaries(self, texts: "Texts") -> pl.Series:
        """Return texts in this buffer as bytes that share its memory."""
        return self._viewed(texts, pa.binary_view())

    def _viewed(self, texts: "Texts", kind: pa.DataType) -> pl.Series:
        views = pa.py_buffer(_views(texts))
        return pl.Series(_Exported(pa.Array.from_buffers(kind, len(texts), [None, views, *self._windows()])))

    def _windows(self) -> list[pa.Buffer]:
        """Return the memory as Arrow's buffers; each reaches into the next, so that every text lies in one."""
        whole = pa.py_buffer(self._text)
        return [whole.slice(at, min(2 * _WINDOW - 1, whole.size - at)) for at in range(0, whole.size, _WINDOW)]


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
        length = self.length
        if not len(length):
            return np.zeros(0, np.uint64), None
        shortest, longest = int(length.min()), int(length.max())
        if shortest == longest == len(words[0]) and self.buffer.all_begin(self.begin, words[0].encode()):
            return np.zeros(len(length), np.uint64), None
        heads = self.buffer.heads[self.begin]
        indices, known = np.zeros(len(length), np.uint64), np.zeros(len(length), np.bool_)
        if shortest == longest:
            heads &= _mask(longest)
        for index, word in enumerate(words):
            if not shortest <= len(word) <= longest:
                continue
            code = np.uint64(int.from_bytes(word.encode(), "little"))
            if shortest == longest:
                same = heads == code
            else:
                same = (heads & _mask(len(word))) == code
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
        missing = length == 0
        single = np.flatnonzero(length == 1)
        missing[single] = self.buffer.bytes.take(self.begin[single]) == MINUS
        return missing if missing.any() else None

    def constant(self) -> bool:
        """Say whether all texts are known to be the same; not all that are need be noticed."""
        count = len(self)
        if not count or self.end.item(0) - self.begin.item(0) > 16:
            return False
        first = self[0]
        if first != self[count // 2] or first != self[-1] or (self.length != len(first)).any():
            return False
        # The first eight bytes and the last, without what stands around a shorter text.
        unused = np.uint64(max(64 - 8 * len(first), 0))
        heads, tails = self.buffer.heads[self.begin], self.buffer.tails[self.end]
        heads ^= heads[0]
        heads <<= unused
        if heads.any():
            return False
        tails ^= tails[0]
        tails >>= unused
        return not tails.any()

    def words(self, width: int) -> UInt64Array:
        """Return the first `width` bytes, 16 or 48, of each text as machine words; zeros behind its end."""
        words = self.buffer.stretches(self.begin, width)
        words &= _MASKS[width].take(np.minimum(self.length, width), axis=0)
        return words

    def numbers(self) -> tuple[UInt64Array, BoolArray]:
        """Read whole decimal numbers from 0 to 2**63 - 1, leading zeros allowed, signs not.

        Returns
        -------
        tuple
            Values, uint64, and whether each text is such a number. Values of other texts mean nothing.
        """
        values, readable = written_numbers.read(self.buffer, self.begin, self.end)
        return values, np.ones(len(values), np.bool_) if readable is None else readable


class _Exported:
    """An array for Polars to take by the Arrow C data interface: given Arrow's own, it imports all of its functions."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        capsules: tuple[object, object] = self._array.__arrow_c_array__(requested_schema)
        return capsules


def _mask(count: int) -> np.uint64:
    """Make a mask of the first bytes of a word; all of them from eight on."""
    return np.uint64((1 << 8 * min(count, 8)) - 1)


def _views(texts: Texts) -> UInt64Array:
    """Say where texts are the way Arrow does: length, and then all bytes of up to twelve, or four and the place.

    https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout
    """
    begin, length = texts.begin, texts.length
    heads = texts.buffer.heads[begin]
    place = begin + _MARGIN
    views = np.empty((len(begin), 2), np.uint64)
    if not len(begin) or length.min() > _INLINE:
        views[:, 1] = _at(place)
    else:
        heads &= _first_bytes(length)
        inline = texts.buffer.heads[begin + 4] & _first_bytes(length - 4)
        views[:, 1] = np.where(length > _INLINE, _at(place), inline)
    heads <<= _HALF
    heads |= length.view(np.uint64)
    views[:, 0] = heads
    return views


def _at(place: Int64Array) -> UInt64Array:
    """Say in which window a place lies, and where in it."""
    at = place & (_WINDOW - 1)
    at <<= 32
    at |= place >> _WINDOW_BITS
    return at.view(np.uint64)


def _first_bytes(count: Int64Array) -> UInt64Array:
    """Make masks of the first bytes of words; all of them from eight on, none below one."""
    unused: UInt64Array = (64 - (np.clip(count, 0, 8) << 3)).view(np.uint64)
    return _ALL >> unused
