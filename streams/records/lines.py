"""Lines of separated fields: where each field begins and ends, found for thousands of lines at once."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.texts import BoolArray, Int64Array, Texts
from streams.records.check import check
from streams.records.contract import Read, Refusal
from streams.records.joined import Joined
from streams.records.refused import PlaceColumns, Refused

UInt8Array = npt.NDArray[np.uint8]
Format = tuple[str, ...]
Formats = tuple[Format, ...]

BLOCK_BYTES: Final = 1280 * 1024
"""Text that is split at one go: what is computed on the way stays in the processor's cache."""

_LINE_BYTES: Final = 1024
"""How far the end of a line is looked for at one go."""

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f]")
_NEWLINE: Final = 10
_COMMA: Final = 44
_SPACE: Final = 32
_TAB: Final = 9
_EXPECTED: Final = np.array([_NEWLINE, _SPACE, _TAB, _COMMA], np.uint8)
_SEPARATORS: Final = (_SPACE, _TAB, _COMMA)
_BOTH: Final = 0x0101
_TIME_LENGTH: Final = (20, 30)
"""Shortest and longest ISO time in front of an exported line: 2026-11-23T20:00:00Z, with fractions."""


class _Stretch(NamedTuple):
    """Whole lines, and the formats that they may have."""

    begin: int
    end: int
    formats: Formats


class _Split(NamedTuple):
    """Lines of a block, and the separators in it.

    Separator number `first[i]` is the first of line i, which has `fields[i]` fields; the last of a line is its
    line end.
    """

    separators: Int64Array
    kinds: UInt8Array
    first: Int64Array
    fields: Int64Array
    begin: Int64Array
    end: Int64Array

    @property
    def alike(self) -> bool:
        """Whether all fields of all lines are separated in one way."""
        inner = self.kinds != _NEWLINE
        separator = self.kinds[inner.argmax()]
        return separator in _SEPARATORS and np.count_nonzero(inner) == np.count_nonzero(self.kinds == separator)


class Lines:
    """The lines of messages.

    Parameters
    ----------
    joined
        The messages' lines.
    formats
        What the fields of a line may be, the likeliest first.
    header
        Returns the format that a line announces, or None.
    surplus
        Whether lines may have more fields than their format.
    """

    def __init__(
        self,
        joined: Joined,
        formats: Formats,
        header: Callable[[bytes], str | None],
        *,
        surplus: bool,
    ) -> None:
        self._buffer = joined.buffer
        self._begins, self._ends = joined.begins, joined.ends
        self._formats = formats
        self._header = header
        self._surplus = surplus

    def read(self) -> Iterator[Read]:
        """Split block after block."""
        rest = [_Stretch(0, self._buffer.size, self._formats)]
        while rest:
            stretch = rest.pop()
            if stretch.begin >= stretch.end:
                continue
            first = self._first_header(stretch)
            if first is not None:
                rest += self._behind(stretch, *first)
                continue
            block_end = min(self._line_end(min(stretch.begin + BLOCK_BYTES, stretch.end - 1)), stretch.end)
            separators, kinds = self._separators(stretch.begin, block_end)
            uniform = self._uniform(separators, kinds, stretch)
            if uniform is not None:
                rest.append(_Stretch(block_end, stretch.end, stretch.formats))
                yield uniform
                continue
            block = _split(separators, kinds, stretch.begin)
            if block_end - stretch.begin == self._buffer.size:
                self._newlines = block.end
            headers = self._headers(block)
            changed = next((index for index, formats in headers.items() if formats != stretch.formats), len(block.end))
            if changed < len(block.end):
                rest += self._behind(stretch, int(block.end[changed]) + 1, headers[changed])
            else:
                rest.append(_Stretch(block_end, stretch.end, stretch.formats))
            if changed:
                yield from self._rows(block, stretch.formats, [line for line in headers if line < changed], changed)

    def _first_header(self, stretch: _Stretch) -> tuple[int, Formats] | None:
        """Return where the first line ends and what it announces, where it is a header line."""
        if self._buffer.bytes[stretch.begin] < ord("a"):
            return None
        end = self._line_end(stretch.begin)
        announced = self._header(self._buffer.slice(stretch.begin, end - 1))
        return None if announced is None else (end, (tuple(announced.split()),))

    def _behind(self, stretch: _Stretch, at: int, formats: Formats) -> list[_Stretch]:
        """Cut what is behind a header line: its format holds to the end of its message."""
        message = min(int(np.searchsorted(self._ends, at - 1, side="right")), len(self._ends) - 1)
        message_end = min(int(self._ends[message]), stretch.end)
        return [_Stretch(message_end, stretch.end, self._formats), _Stretch(at, message_end, formats)]

    def _line_end(self, at: int) -> int:
        """Return where the line that holds a byte ends, behind its line end."""
        while True:
            found = np.flatnonzero(self._buffer.bytes[at : at + _LINE_BYTES] == _NEWLINE)
            if len(found):
                return at + int(found[0]) + 1
            at += _LINE_BYTES

    def _separators(self, begin: int, end: int) -> tuple[Int64Array, UInt8Array]:
        """Find everything that separates fields or lines, and what it is."""
        separators = _up_to_comma(self._buffer.bytes[begin:end])
        if begin:
            separators += begin
        kinds = self._buffer.bytes.take(separators)
        if kinds.max() <= _SPACE:
            return separators, kinds
        proper = (kinds <= _SPACE) | (kinds == _COMMA)
        return separators[proper], kinds[proper]

    def _uniform(self, separators: Int64Array, kinds: UInt8Array, stretch: _Stretch) -> Read | None:
        """Cut lines that all look like records of the only format, without looking at them singly."""
        length = len(stretch.formats[0])
        if len(stretch.formats) > 1 or len(separators) % length or length < 2 or not self._buffer.is_ascii:
            return None
        lines = len(separators) // length
        if (
            kinds[0] not in _SEPARATORS
            or np.count_nonzero(kinds == kinds[0]) != lines * (length - 1)
            or (kinds[length - 1 :: length] != _NEWLINE).any()
        ):
            return None
        end = np.ascontiguousarray(separators.reshape(-1, length).T)
        begin = np.empty_like(end)
        begin[0, 0] = stretch.begin
        begin[0, 1:] = end[-1, :-1] + 1
        np.add(end[:-1], 1, out=begin[1:])
        blank_at_end = (begin[-1] == end[-1]).any()
        if blank_at_end or (self._buffer.bytes.take(begin[0]) >= ord("a")).any():
            return None
        return self._read(stretch.formats[0], begin, end, Texts(self._buffer, begin[0], end[-1]), ())

    def _headers(self, block: _Split) -> dict[int, Formats]:
        """Find header lines, and what they announce."""
        found: dict[int, Formats] = {}
        likely = (self._buffer.bytes.take(block.begin) >= ord("a")) & (block.fields > 1)
        for line in np.flatnonzero(likely).tolist():
            announced = self._header(self._buffer.slice(int(block.begin[line]), int(block.end[line])))
            if announced is not None:
                found[line] = (tuple(announced.split()),)
        return found

    def _rows(self, block: _Split, formats: Formats, headers: list[int], count: int) -> Iterator[Read]:
        """Find the fields of the first `count` lines of a block, format by format."""
        fields = self._filled_fields(block)[:count]
        unread = fields > 0
        unread[headers] = False
        if not self._buffer.is_ascii:
            unread[odd := self._not_text(block, unread)] = False
            yield Read.nothing(self._refused(block, odd, ["not valid UTF-8"] * len(odd)))
        for length in sorted({len(each) for each in formats}, reverse=True):
            alike = tuple(each for each in formats if len(each) == length)
            for lines, skipped in (
                (unread & (fields == length), 0),
                (self._exported(block, unread & (fields == length + 1)), 1),
                (unread & (fields > length) & self._surplus, 0),
            ):
                found = np.flatnonzero(lines & unread)
                if len(found):
                    unread[found] = False
                    yield from self._fields(block, found, skipped, alike)
        expected = " or ".join(str(length) for length in sorted({len(each) for each in formats}))
        wrong = np.flatnonzero(unread)
        counted = fields[wrong].tolist()
        counts = {count: f"wrong field count: {count} instead of {expected}" for count in set(counted)}
        reasons = [counts[count] for count in counted]
        if len(wrong) and not np.isin(block.kinds, _EXPECTED).all():
            reasons = [
                self._control(block, line) or reason for line, reason in zip(wrong.tolist(), reasons, strict=True)
            ]
        if len(wrong):
            yield Read.nothing(self._refused(block, wrong, reasons))

    def _refused(self, block: _Split, lines: Int64Array, reasons: list[str]) -> Refused:
        return Refused(self._places(block.begin[lines], block.end[lines]), reasons)

    def _control(self, block: _Split, line: int) -> str | None:
        """Name the first control character of a line."""
        raw = self._buffer.slice(int(block.begin[line]), int(block.end[line]))
        return _oddity(raw) if _CONTROL.search(raw) else None

    def _filled_fields(self, block: _Split) -> Int64Array:
        """Count the fields of each line, without blanks at its end; 0 for a blank line."""
        last = self._buffer.bytes.take(block.end - 1)
        trailing = (block.end == block.begin) | (last == _SPACE) | (last == _TAB)
        if not trailing.any():
            return block.fields
        fields = block.fields.copy()
        for line in np.flatnonzero(trailing).tolist():
            raw = self._buffer.slice(int(block.begin[line]), int(block.end[line]))
            filled = raw.rstrip(b" \t")
            fields[line] = fields[line] - (len(raw) - len(filled)) if filled else 0
        return fields

    def _not_text(self, block: _Split, unread: BoolArray) -> Int64Array:
        odd = np.flatnonzero(self._buffer.bytes[block.begin[0] : block.end[-1]] >= 0x80) + block.begin[0]
        lines = np.unique(np.searchsorted(block.end, odd))
        return np.array(
            [
                index
                for index in lines.tolist()
                if index < len(unread)
                and unread[index]
                and not _is_utf8(self._buffer.slice(int(block.begin[index]), int(block.end[index])))
            ],
            np.int64,
        )

    def _exported(self, block: _Split, lines: BoolArray) -> BoolArray:
        """Find lines with an ISO time in front of the fields, as CloudWatch exports them."""
        if lines.any():
            begin = block.begin[: len(lines)]
            length = block.separators[block.first[: len(lines)]] - begin
            lines &= (length >= _TIME_LENGTH[0]) & (length <= _TIME_LENGTH[1])
            for offset, character in ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")):
                lines &= self._buffer.bytes.take(np.minimum(begin + offset, self._buffer.size - 1)) == ord(character)
        return lines

    def _fields(self, block: _Split, lines: Int64Array, skipped: int, formats: Formats) -> Iterator[Read]:
        """Cut lines that have the right number of fields."""
        length = len(formats[0])
        at = block.first[lines] + np.arange(skipped, skipped + length)[:, None]
        end = block.separators.take(at)
        cut = Texts(self._buffer, block.begin[lines], block.end[lines])
        begin = np.empty_like(end)
        begin[0] = block.separators[block.first[lines]] + 1 if skipped else cut.begin
        np.add(end[:-1], 1, out=begin[1:])
        refused: Sequence[Refusal] = ()
        odd = None if block.alike else _mixed(block.kinds.take(at[:-1]))
        if odd is not None:
            refused = self._refused_odd(cut.at(odd))
            begin, end, cut = begin[:, ~odd], end[:, ~odd], cut.at(~odd)
        reads = [self._read(each, begin, end, cut, refused) for each in formats]
        yield from reads if len(reads) == 1 else _by_content(reads)

    def _read(
        self,
        fields: Format,
        begin: Int64Array,
        end: Int64Array,
        whole: Texts,
        refused: Sequence[Refusal],
    ) -> Read:
        columns = {
            name.replace("-", "_"): Texts(self._buffer, begin[index], end[index]) for index, name in enumerate(fields)
        }
        return Read(
            columns,
            self._messages(whole.begin),
            whole.begin,
            lambda rows: self._places(whole.begin[rows], whole.end[rows]),
            refused,
        )

    def _messages(self, begins: Int64Array) -> Int64Array:
        if len(self._ends) == 1:
            return np.zeros(len(begins), np.int64)
        if np.array_equal(begins, self._begins):
            return np.arange(len(begins))
        return np.searchsorted(self._ends, begins, side="right")

    @cached_property
    def _newlines(self) -> Int64Array:
        return np.flatnonzero(self._buffer.bytes == _NEWLINE)

    def _places(self, begins: Int64Array, ends: Int64Array) -> PlaceColumns:
        """Say where lines stood. Lines are counted only here, since only refused ones are asked about."""
        messages = self._messages(begins)
        number = np.searchsorted(self._newlines, begins)
        if len(self._begins) > 1:
            number -= np.searchsorted(self._newlines, self._begins[messages])
        return PlaceColumns(messages, number + 1, Texts(self._buffer, begins, ends))

    def _refused_odd(self, lines: Texts) -> Refused:
        return Refused(self._places(lines.begin, lines.end), [_oddity(raw) for raw in lines.parts()])


def _up_to_comma(text: UInt8Array) -> Int64Array:
    """Find bytes up to the comma, as all separators are; two bytes at one go, since seldom both of them are."""
    found = np.empty(len(text) + 1 & ~1, np.bool_)
    found[-1] = False
    np.less_equal(text, _COMMA, out=found[: len(text)])
    pairs = found.view(np.uint16)
    places = np.flatnonzero(pairs != 0)
    which = pairs.take(places)
    if (which == _BOTH).any():
        return np.flatnonzero(found)
    places <<= 1
    which >>= 8
    places += which
    return places


def _split(separators: Int64Array, kinds: UInt8Array, begin: int) -> _Split:
    newlines = np.flatnonzero(kinds == _NEWLINE)
    line_ends = separators[newlines]
    first, line_begins = np.empty_like(newlines), np.empty_like(line_ends)
    first[0], line_begins[0] = 0, begin
    first[1:] = newlines[:-1] + 1
    line_begins[1:] = line_ends[:-1] + 1
    return _Split(separators, kinds, first, newlines - first + 1, line_begins, line_ends)


def _mixed(kinds: UInt8Array) -> BoolArray | None:
    """Find lines whose fields are not all separated by one and the same separator."""
    if not kinds.size:
        return None
    mixed: BoolArray = (kinds != kinds[0]).any(axis=0) | ~np.isin(kinds[0], _SEPARATORS)
    return mixed if mixed.any() else None


def _oddity(raw: bytes) -> str:
    control = _CONTROL.search(raw)
    return "fields are separated in more than one way" if control is None else f"control character 0x{control[0].hex()}"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _by_content(reads: Sequence[Read]) -> Iterator[Read]:
    """Give each row to the only format it makes sense in; refuse it where it makes sense in several."""
    kept = np.array([check(read).kept for read in reads])
    fitting = kept.sum(axis=0)
    several = np.flatnonzero(fitting > 1)
    refused = Refused(reads[0].places(several), ["fits several formats: say which in a header line"] * len(several))
    chosen = np.where(fitting == 0, 0, kept.argmax(axis=0))
    chosen[several] = -1
    yield Read.nothing([*reads[0].refused, *refused])
    for index, read in enumerate(reads):
        rows = np.flatnonzero(chosen == index)
        if len(rows):
            yield read.at(rows)
