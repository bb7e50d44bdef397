"""Text as it comes, cut into blocks of whole lines."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.block_settings import LINE_BYTES, BlockSettings
from streams.errors import InputError
from streams.records.aws_text import header_format
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block

Offsets = npt.NDArray[np.int64]

_NEWLINE, _SMALL_A, _LETTERS = np.uint8(ord("\n")), np.uint8(ord("a")), np.uint8(26)
_NONE: Final[Offsets] = np.empty(0, np.int64)


class Cutter:
    r"""Cuts one text into blocks; the format of a header line goes with every block behind it.

    Positions are offsets into the text.

    Parameters
    ----------
    origin
        What blocks and errors name as their origin.
    content
        Which content of the origin it is.
    headers
        Headers of every block.
    settings
        When a block is full.
    position, line
        Where in the text it begins, if not at its beginning.

    Examples
    --------
    >>> cutter = Cutter("a.log", settings=BlockSettings(records=2))
    >>> [block.value for block in cutter.add(b"one\ntwo\nthree\nfo")], [block.value for block in cutter.end()]
    ([b'one\ntwo'], [b'three\nfo'])
    """

    def __init__(
        self,
        origin: str,
        *,
        content: str = "",
        headers: dict[str, bytes] | None = None,
        settings: BlockSettings,
        position: int = 0,
        line: int = 1,
    ) -> None:
        self._origin = origin
        self._content = content
        self._headers = dict(headers or {})
        self._settings = settings
        self._position = position
        self._line = line
        self._rest = b""
        self._ends = _NONE

    @property
    def waits(self) -> bool:
        """Whether there are whole lines that wait for a block to be full."""
        return self._ends.size > 0

    def add(self, data: bytes) -> Iterator[Block]:
        """Add text that follows, and cut off what is full.

        Raises
        ------
        streams.errors.InputError
            When a line is far too long.
        """
        found = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
        begun = len(self._rest) - (int(self._ends[-1]) + 1 if self._ends.size else 0)
        if begun + (int(found[0]) if found.size else len(data)) > LINE_BYTES:
            line = self._line + self._ends.size
            raise InputError(f"{self._origin}:{line}: is longer than {LINE_BYTES >> 20} MiB; is this a flow log?")
        text, ends = self._rest + data, np.concatenate((self._ends, found + len(self._rest)))
        start = first = 0
        while (last := self._full(len(text), start, ends, first)) > first:
            yield from self._blocks(text, start, ends[first:last])
            start, first = int(ends[last - 1]) + 1, last
        self._rest, self._ends = text[start:], ends[first:] - start

    def flush(self) -> Iterator[Block]:
        """Cut off all whole lines that there are."""
        if self._ends.size:
            text, ends = self._rest, self._ends
            self._rest, self._ends = text[int(ends[-1]) + 1 :], _NONE
            yield from self._blocks(text, 0, ends)

    def end(self) -> Iterator[Block]:
        """Cut off everything: nothing follows."""
        text, ends = self._rest, self._ends
        self._rest, self._ends = b"", _NONE
        if text and not text.endswith(b"\n"):
            ends = np.append(ends, len(text))
        if text:
            yield from self._blocks(text, 0, ends)

    def _full(self, size: int, start: int, ends: Offsets, first: int) -> int:
        """Return the end of the lines that fill a block; where it begins when they are too few."""
        most = int(np.searchsorted(ends, start + self._settings.bytes, "right"))
        if ends.size - first >= self._settings.records or size - start > self._settings.bytes:
            return min(first + self._settings.records, max(most, first + 1), ends.size)
        return first

    def _blocks(self, text: bytes, start: int, ends: Offsets) -> Iterator[Block]:
        """Make a block of lines, or several where header lines announce another format."""
        begins = np.append(start, ends[:-1] + 1)
        codes = np.frombuffer(text, np.uint8)
        inner = np.flatnonzero(codes[np.minimum(begins[1:], len(text) - 1)] - _SMALL_A < _LETTERS) + 1
        cuts = [index for index in inner.tolist() if header_format(text[begins[index] : ends[index]]) is not None]
        for first, last in zip([0, *cuts], [*cuts, ends.size], strict=True):
            size = min(int(ends[last - 1]) + 1, len(text)) - int(begins[first])
            yield self._block(text[begins[first] : ends[last - 1]], last - first, size)

    def _block(self, value: bytes, lines: int, size: int) -> Block:
        start = self._position
        self._position += size
        announced = header_format(value[: value.find(b"\n")] if lines > 1 else value)
        if announced is not None:
            self._headers[FORMAT_HEADER] = announced.encode()
        block = Block(value, dict(self._headers), lines, self._origin, self._position, self._line, self._content, start)
        self._line += lines
        return block
