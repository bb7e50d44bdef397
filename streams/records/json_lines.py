"""Records as JSON objects, one to a line.

Lines of one producer differ in their values only. What the first of them looks like is compared with all the
others, byte for byte, thousands at once, and the values are cut out between; a line that looks otherwise is
tried against the next unlike one, and at last parsed on its own.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from detectors.repeated_texts import RepeatedTexts
from detectors.texts import BoolArray, Int64Array, Texts
from streams.records.contract import Column, Place, Read, Refusal
from streams.records.fields import NUMBERS
from streams.records.joined import Joined

FieldOf = Callable[[tuple[str, ...]], str | None]
"""Says which field the value at a path of keys is, or None where nobody needs it."""

_MOST_PATTERNS: Final = 8
_FEWEST_LINES: Final = 4
"""So many lines are parsed singly rather than compared."""

_BLOCK: Final = 2048
"""Lines compared at one go: what is computed on the way stays in the processor's cache."""

_QUOTE: Final = 34
_NEWLINE: Final = 10
_TOKEN: Final = re.compile(rb'"[^"\\\x00-\x1f]*"|[{}\[\]:,]|[^\s"{}\[\]:,]+|[ \t\r]+')
_LIST: Final = re.compile(rb'\[(?:"[^"\\]*"|[^\[\]{}"])*\]')
_NUMBER: Final = re.compile(rb"(0|[1-9][0-9]*)")


class _Value(NamedTuple):
    """A value that differs from line to line: its field, and whether it stands in quotes."""

    field: str | None
    quoted: bool


class _Pattern(NamedTuple):
    """What lines have in common: `parts` around and between `values`, and where the lists of fields stand in one."""

    parts: tuple[bytes, ...]
    values: tuple[_Value, ...]
    lists: Mapping[str, tuple[int, int]]


class JsonLines:
    """The lines of messages that hold one JSON object each.

    Parameters
    ----------
    joined
        The messages' lines.
    field_of
        Says which field the value at a path of keys is.
    """

    def __init__(self, joined: Joined, field_of: FieldOf) -> None:
        self._field_of = field_of
        self._buffer = buffer = joined.buffer
        self._ends = joined.ends
        self._newlines = np.flatnonzero(buffer.bytes == _NEWLINE)
        self._begins = np.concatenate([np.zeros(1, np.int64), self._newlines[:-1] + 1])
        self._quotes = np.flatnonzero(buffer.bytes == _QUOTE)
        self._first_quote = np.searchsorted(self._quotes, self._begins)

    def read(self) -> Iterator[Read]:
        """Read all lines."""
        begins, ends = self._begins, self._newlines
        rest = np.flatnonzero(ends > begins)
        plain = rest if self._is_plain() else rest[self._plain_lines(rest)]
        for _ in range(_MOST_PATTERNS):
            if len(plain) < _FEWEST_LINES:
                break
            pattern = self._pattern(int(plain[0]))
            if pattern is None:
                plain = plain[1:]
                continue
            fitting = [plain[:0]]
            for at in range(0, len(plain), _BLOCK):
                alike, columns = self._compare(pattern, plain[at : at + _BLOCK])
                if len(alike):
                    fitting.append(alike)
                    yield self._read(alike, columns)
            found = np.concatenate(fitting)
            if len(found) == len(rest):
                return
            rest = np.setdiff1d(rest, found, assume_unique=True)
            plain = np.setdiff1d(plain[1:], found, assume_unique=True)
        if len(rest):
            yield self._singly(rest)

    def _line(self, index: int) -> bytes:
        return self._buffer.slice(int(self._begins[index]), int(self._newlines[index]))

    def _is_plain(self) -> bool:
        """Say whether no character of any line has a meaning of its own, or needs a look."""
        if not self._buffer.is_ascii or b"\\" in self._buffer:
            return False
        return int(np.count_nonzero(self._buffer.bytes < 32)) == len(self._newlines)

    def _plain_lines(self, lines: Int64Array) -> BoolArray:
        text = self._buffer.bytes
        odd = np.flatnonzero(((text < 32) & (text != _NEWLINE)) | (text == ord("\\")) | (text >= 128))
        return ~np.isin(lines, np.searchsorted(self._newlines, odd))

    def _pattern(self, index: int) -> _Pattern | None:
        """Cut a line into what is likely to repeat and its values."""
        line = self._line(index)
        try:
            if not isinstance(json.loads(line), dict):
                return None
        except (ValueError, RecursionError):
            return None
        parts, values = [b""], list[_Value]()
        lists: dict[str, tuple[int, int]] = {}
        path: list[str] = []
        kinds: list[bytes] = []
        before = b""
        for match in _TOKEN.finditer(line):
            token, value = match[0], None
            if kinds and kinds[-1] == b"{" and before == b":" and token != b"{" and token.strip():
                value = self._value(tuple(path), token)
                if token == b"[":
                    lists |= self._list(index, tuple(path), match)
            if value is None:
                parts[-1] += token
            else:
                parts[-1] += b'"' * value.quoted
                values.append(value)
                parts.append(b'"' * value.quoted)
            if token.strip():
                _step(token, before, path, kinds)
                before = token
        if not values or not lists.keys().isdisjoint(value.field for value in values):
            return None
        return _Pattern(tuple(parts), tuple(values), lists)

    def _list(self, index: int, path: tuple[str, ...], begins: re.Match[bytes]) -> dict[str, tuple[int, int]]:
        """Return the field that a list is the value of, if it is, and where the list stands."""
        field, found = self._field_of(path), _LIST.match(begins.string, begins.start())
        if field is None or found is None:
            return {}
        start = int(self._begins[index])
        return {field: (start + found.start(), start + found.end())}

    def _value(self, path: tuple[str, ...], token: bytes) -> _Value | None:
        if token.startswith(b'"'):
            return _Value(self._field_of(path), quoted=True)
        return _Value(self._field_of(path), quoted=False) if _NUMBER.fullmatch(token) else None

    def _compare(self, pattern: _Pattern, lines: Int64Array) -> tuple[Int64Array, dict[str, Texts]]:
        """Find the lines that a pattern fits, and the values in them."""
        inside = [part.count(b'"') for part in pattern.parts]
        quotes = sum(inside)
        counts = np.diff(self._first_quote, append=len(self._quotes))
        lines = lines[counts[lines] == quotes]
        at = self._quotes[self._first_quote[lines] + np.arange(quotes)[:, None]]
        position, line_end = self._begins[lines], self._newlines[lines]
        fits = np.ones(len(lines), np.bool_)
        columns = {
            field: Texts(self._buffer, np.full(len(lines), begin), np.full(len(lines), end))
            for field, (begin, end) in pattern.lists.items()
        }
        seen = 0
        for index, part in enumerate(pattern.parts):
            self._match(part, position, fits)
            seen += inside[index]
            begin = position + len(part)
            if index == len(pattern.values):
                fits &= begin == line_end
                break
            value, following = pattern.values[index], pattern.parts[index + 1]
            if value.quoted:
                fits &= at[seen - 1] + 1 == begin
                position = at[seen]
            elif inside[index + 1]:
                position = at[seen] - following.index(b'"')
            else:
                position = line_end - len(following)
            fits &= position >= begin
            if value.field is not None:
                columns[value.field] = Texts(self._buffer, begin, position)
            if not value.quoted:
                self._number(value, begin, position, fits)
        alike = np.flatnonzero(fits)
        if len(alike) < len(lines):
            columns = {name: texts.at(alike) for name, texts in columns.items()}
        return lines[alike], columns

    def _match(self, part: bytes, position: Int64Array, fits: BoolArray) -> None:
        """Keep the lines that have these bytes at their positions."""
        room = self._buffer.size
        for at in range(0, len(part), 8):
            piece = part[at : at + 8]
            mask = np.uint64((1 << 8 * len(piece)) - 1)
            words = self._buffer.heads[np.clip(position + at, 0, room)]
            words &= mask
            fits &= words == np.uint64(int.from_bytes(piece, "little"))

    def _number(self, value: _Value, begin: Int64Array, end: Int64Array, fits: BoolArray) -> None:
        """Keep the lines whose value looks like a number, and where nobody checks it later, is one."""
        last_byte = self._buffer.size - 1
        first = self._buffer.bytes.take(np.clip(begin, 0, last_byte))
        last = self._buffer.bytes.take(np.clip(end - 1, 0, last_byte))
        fits &= (first >= ord("0")) & (first <= ord("9")) & (last >= ord("0")) & (last <= ord("9"))
        fits &= (first != ord("0")) | (end - begin == 1)
        if value.field not in NUMBERS:
            sound = np.flatnonzero(fits)
            fits[sound] = Texts(self._buffer, begin[sound], end[sound]).numbers()[1]

    def _read(self, lines: Int64Array, columns: Mapping[str, Texts | pl.Series]) -> Read:
        begins = self._begins[lines]
        return Read(columns, self._messages(begins), begins, lambda rows: self._places(lines[rows]))

    def _messages(self, begins: Int64Array) -> Int64Array:
        if len(self._ends) == 1:
            return np.zeros(len(begins), np.int64)
        return np.searchsorted(self._ends, begins, side="right")

    def _places(self, lines: Int64Array) -> list[Place]:
        messages = self._messages(self._begins[lines])
        starts = np.concatenate([np.zeros(1, np.int64), self._ends])[messages]
        numbers = lines - np.searchsorted(self._begins, starts)
        return [
            Place(message, number + 1, self._line(line))
            for message, number, line in zip(messages.tolist(), numbers.tolist(), lines.tolist(), strict=True)
        ]

    def _singly(self, lines: Int64Array) -> Read:
        """Parse line after line."""
        kept: list[int] = []
        found: list[dict[str, str | None]] = []
        refused: list[Refusal] = []
        for index in lines.tolist():
            line = self._line(index)
            if not line.strip():
                continue
            try:
                found.append(dict(self._flat(_parsed(line), ())))
                kept.append(index)
            except (ValueError, RecursionError) as error:
                refused.append(Refusal(self._places(np.array([index]))[0], f"not a JSON object: {error}"))
        names = dict.fromkeys(name for each in found for name in each)
        series = {name: pl.Series(name, [each.get(name) for each in found], dtype=pl.String) for name in names}
        read = self._read(np.array(kept, np.int64), series)
        return Read(read.columns, read.messages, read.positions, read.places, refused)

    def _flat(self, document: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
        for key, value in document.items():
            if isinstance(value, dict):
                yield from self._flat(value, (*path, key))
                continue
            field = self._field_of((*path, key))
            if field is not None:
                text = value if value is None or isinstance(value, str) else json.dumps(value)
                if text is not None and not text.isascii():
                    text.encode()  # what JSON may escape but UTF-8 cannot say is refused here
                yield field, text


def _step(token: bytes, before: bytes, path: list[str], kinds: list[bytes]) -> None:
    """Go one token on: `path` are the keys above it, `kinds` the brackets."""
    if token in {b"{", b"["}:
        kinds.append(token)
        path.append("")
    elif token in {b"}", b"]"}:
        kinds.pop()
        path.pop()
    elif kinds and kinds[-1] == b"{" and before in {b"{", b","}:
        path[-1] = token[1:-1].decode()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except UnicodeDecodeError:
        raise ValueError("not valid UTF-8") from None
    if not isinstance(document, dict):
        raise ValueError(f"{type(document).__name__} instead")  # noqa: TRY004 - the value is wrong, not the call
    return document


def strings(column: Column) -> pl.Series:
    """Return a column as strings."""
    if isinstance(column, RepeatedTexts):
        return column.strings()
    return column.buffer.strings({"": column})[""] if isinstance(column, Texts) else column


def words(column: pl.Series, meanings: Mapping[str, str]) -> pl.Series:
    """Replace words, however they are capitalised, by what they mean; others stay, to be refused."""
    meant = column.str.to_lowercase().replace_strict(meanings, default=None, return_dtype=pl.String)
    return meant.zip_with(meant.is_not_null(), column)


def meaning(columns: Sequence[pl.Series], meanings: Mapping[str, str]) -> pl.Series:
    """Take from each row the first word that means something; where none does, the first word, to be refused."""
    lower = [column.str.to_lowercase() for column in columns]
    meant = [column.replace_strict(meanings, default=None, return_dtype=pl.String) for column in lower]
    return strings(first_known([*meant, *columns]))


def first_known(columns: Sequence[Column]) -> Column:
    """Take from each row the first text that is not missing."""
    if len(columns) == 1 or (isinstance(columns[0], Texts) and columns[0].missing() is None):
        return columns[0]
    found, *others = (strings(column).replace(["", "-"], None) for column in columns)
    for other in others:
        found = found.zip_with(found.is_not_null(), other)
    return found
