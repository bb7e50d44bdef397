"""When the records in a block end, told without decoding it where its lines are text."""

import time
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.records.aws_text import AwsText, header_format
from streams.records.decode import stated_dialect
from streams.sources.contract import Block

Int64Array = npt.NDArray[np.int64]

_NEWLINE, _BLANK, _ZERO = np.uint8(ord("\n")), np.uint8(ord(" ")), np.uint8(ord("0"))
_DIGITS: Final = 10
"""Of every time from 2001 to 2286."""

_TENS: Final = 10 ** np.arange(_DIGITS - 1, -1, -1, dtype=np.int64)


class Ends(NamedTuple):
    """When records end, epoch seconds; 0 where a line does not say.

    Attributes
    ----------
    latest
        The latest end in the block.
    by_line
        That of each line; None where a block is no text of lines.
    stops
        Where each line stops in the value; None likewise.
    """

    latest: int
    by_line: Int64Array | None = None
    stops: Int64Array | None = None


def ends_of(block: Block, records: RecordSettings) -> Ends:
    r"""Tell when the records in a block end.

    Parameters
    ----------
    block
        The block.
    records
        How its lines are written.

    Examples
    --------
    >>> block = Block(b"10.0.0.5 1767603600\n10.0.0.6 1767603660", {}, 2, "a.log", 40)
    >>> ends_of(block, RecordSettings(format="srcaddr end")).by_line.tolist()
    [1767603600, 1767603660]
    """
    names = text_fields(block, records)
    if names is None:
        ends = decode(Message(block.value, block.headers), records, NetworkSettings()).table.frame["end"]
        return Ends(int(ends.to_numpy().max()) if len(ends) else 0)
    stops = np.append(
        np.flatnonzero(np.frombuffer(block.value, np.uint8) == _NEWLINE).astype(np.int64), len(block.value)
    )
    if "end" not in names:
        return Ends(0, np.zeros(stops.size, np.int64), stops)
    by_line = _regular(block.value, names, stops)
    if by_line is None:
        by_line = _irregular(block.value, names)
    # What has not come yet is refused where it is read; here it would make all others wait.
    by_line[by_line > time.time() + records.future_tolerance_seconds] = 0
    return Ends(int(by_line.max()), by_line, stops)


def text_fields(block: Block, records: RecordSettings) -> list[str] | None:
    """Return the fields of lines of text, in order; None for anything else, and where it is not certain."""
    message = Message(block.value, block.headers)
    if stated_dialect(message, records) != AwsText.name:
        # What is in an envelope too: nobody can cut it.
        return None
    end = block.value.find(b"\n")
    first = block.value if end < 0 else block.value[:end]
    dialect = AwsText()
    stated = dialect.layout(message, records) or header_format(first)
    if stated:
        return stated.split()
    fitting = [names for each in dialect.formats(records) if len(names := each.split()) == len(first.split(b" "))]
    return fitting[0] if len(fitting) == 1 else None


def _regular(value: bytes, names: list[str], stops: Int64Array) -> Int64Array | None:
    """Read the times where every line has all fields, with a blank between them; None where one has not."""
    codes = np.frombuffer(value, np.uint8)
    begin, lines = 0, stops.size
    if codes[:1].size and header_format(value[: int(stops[0])]) is not None:
        begin, lines = int(stops[0]) + 1, lines - 1
    found = np.flatnonzero((codes[begin:] == _BLANK) | (codes[begin:] == _NEWLINE)) + begin
    if lines == 0 or found.size != lines * len(names) - 1:
        return None
    grid = np.append(found, len(codes)).reshape(lines, len(names))
    column = names.index("end")
    left = grid[:, column - 1] + 1 if column else np.append(begin, grid[:-1, -1] + 1)
    if (grid[:, -1] != stops[-lines:]).any() or (grid[:, column] - left != _DIGITS).any():
        return None
    digits = codes[left[:, None] + np.arange(_DIGITS)] - _ZERO
    times = np.where((digits < _DIGITS).all(axis=1), digits.astype(np.int64) @ _TENS, 0)
    return np.concatenate((np.zeros(stops.size - lines, np.int64), times))


def _irregular(value: bytes, names: list[str]) -> Int64Array:
    column, count = names.index("end"), len(names)
    split = (line.replace(b",", b" ").split() for line in value.split(b"\n"))
    words = (fields[column] if len(fields) == count else b"" for fields in split)
    return np.array([int(word) if word.isdigit() and len(word) == _DIGITS else 0 for word in words], np.int64)
