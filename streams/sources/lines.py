"""Stored bytes, plain, gzip, zstd or Parquet, cut into blocks of whole lines."""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol, cast

from zstandard import ZstdDecompressor, ZstdError

from streams.errors import InputError
from streams.records.aws_text import header_format, last_header_format
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block
from streams.sources.tables import table_blocks

BLOCK_BYTES: Final = 128 * 1024

LINE_BYTES: Final = 1 << 20
"""Longer lines are none of a flow log; the longest real ones have a few hundred bytes."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PARQUET: Final = b"PAR1"


class Stored(Protocol):
    """Bytes as they are stored."""

    def read1(self, size: int, /) -> bytes:
        """Return some bytes, at most `size`; none at the end. Raises OSError when they cannot be had."""


class _Counted(io.RawIOBase):
    """Counts the stored bytes as they are read."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self.consumed = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than Buffer
        # One read of the system at a time: between two of them Python takes note of signals.
        data = self._stored.read1(len(buffer))
        buffer[: len(data)] = data
        self.consumed += len(data)
        return len(data)


class Lines:
    """Cuts one stored content into blocks of whole lines.

    Positions are offsets into the text, behind any compression.

    Parameters
    ----------
    stored
        The bytes; whoever opened them closes them.
    origin
        What blocks and errors name as their origin.
    content
        Which content of the origin it is.
    headers
        Headers of every block.
    block_bytes
        How much text is read at a time.
    """

    def __init__(
        self,
        stored: Stored,
        origin: str,
        *,
        content: str = "",
        headers: dict[str, bytes] | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._stored = _Counted(stored)
        self._origin = origin
        self._content = content
        self._headers = dict(headers or {})
        self._block_bytes = block_bytes

    @property
    def consumed(self) -> int:
        """Stored bytes read so far."""
        return self._stored.consumed

    def blocks(self) -> Iterator[Block]:
        """Cut into blocks of whole lines; a header line's format goes with every block behind it.

        A Parquet file becomes one block, or several when it is large.

        Raises
        ------
        streams.errors.InputError
            When it cannot be read to its end, or is no text of lines.
        """
        stored = io.BufferedReader(self._stored, self._block_bytes)
        begin = self._read(stored.peek, 4)[:4]
        if begin == _PARQUET:
            yield from table_blocks(self._read(stored.read, -1), self._origin, self._content)
            return
        text = _opened(stored, begin)
        rest, position, line = b"", 0, 1
        while data := self._read(text.read, self._block_bytes):
            if len(rest) + len(_first_line(data)) > LINE_BYTES:
                raise InputError(f"{self._origin}:{line}: is longer than {LINE_BYTES >> 20} MiB; is this a flow log?")
            end = data.rfind(b"\n")
            if end < 0:
                rest += data
                continue
            value, rest = rest + data[:end], data[end + 1 :]
            for piece in cut_at_headers(value):
                position += len(piece) + 1
                block = self._block(piece, position, line)
                yield block
                line += block.lines
        if rest:
            yield self._block(rest, position + len(rest), line)

    def _read(self, read: "_Read", size: int) -> bytes:
        try:
            return read(size)
        except (OSError, EOFError, zlib.error, ZstdError) as error:
            raise InputError(f"{self._origin}: stops being readable after {self.consumed} bytes: {error}") from error

    def _block(self, value: bytes, position: int, line: int) -> Block:
        announced = header_format(_first_line(value))
        if announced is not None:
            self._headers[FORMAT_HEADER] = announced.encode()
        lines = value.count(b"\n") + 1
        return Block(value, dict(self._headers), lines, self._origin, position, line, self._content)


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


def _opened(stored: "io.BufferedReader[_Counted]", begin: bytes) -> BinaryIO:
    if begin[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=stored))
    if begin == _ZSTD:
        return cast("BinaryIO", ZstdDecompressor().stream_reader(stored, read_across_frames=True))
    return cast("BinaryIO", stored)


def _first_line(text: bytes) -> bytes:
    r"""Return what stands before the first line end.

    >>> _first_line(b"a 1\nb 2"), _first_line(b"a 1")
    (b'a 1', b'a 1')
    """
    end = text.find(b"\n")
    return text if end < 0 else text[:end]


def cut_at_headers(value: bytes) -> list[bytes]:
    r"""Cut lines in front of each header line, so that every block has one format.

    >>> cut_at_headers(b"a 1\nsrcaddr dstaddr\nb 2")
    [b'a 1', b'srcaddr dstaddr\nb 2']
    """
    if last_header_format(value, len(_first_line(value)) + 1) is None:
        return [value]
    pieces: list[list[bytes]] = [[]]
    for line in value.split(b"\n"):
        if pieces[-1] and header_format(line) is not None:
            pieces.append([])
        pieces[-1].append(line)
    return [b"\n".join(piece) for piece in pieces]
