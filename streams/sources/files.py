"""Flow log files on disk, plain, gzip, zstd or Parquet, and standard input."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from zstandard import ZstdDecompressor, ZstdError

from streams.errors import InputError
from streams.records.aws_text import header_format, last_header_format
from streams.records.contract import FORMAT_HEADER
from streams.sources.contract import Block, Source

BLOCK_BYTES: Final = 128 * 1024

LINE_BYTES: Final = 1 << 20
"""Longer lines are none of a flow log; the longest real ones have a few hundred bytes."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PARQUET: Final = b"PAR1"


class _Counted(io.RawIOBase):
    """Counts the stored bytes of a file as they are read."""

    def __init__(self, stored: io.BufferedReader) -> None:
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


class FileSource(Source):
    """One file of lines; `-` is standard input.

    Positions are offsets into the text, behind any compression.
    """

    name = "files"

    def __init__(self, path: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self.acknowledged = 0
        self._block_bytes = block_bytes
        try:
            stored = cast("io.BufferedReader", sys.stdin.buffer) if path == "-" else Path(path).open("rb")  # noqa: SIM115 - closed by blocks
            self._size = 0 if path == "-" else Path(path).stat().st_size
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        self._stored = _Counted(stored)
        self._opened = stored

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take every place that does not name a protocol."""
        return "://" not in place

    @classmethod
    def at(cls, place: str) -> Self:
        """Open a file."""
        return cls(place)

    @property
    def size(self) -> int:
        """Stored bytes of the file."""
        return self._size

    @property
    def consumed(self) -> int:
        """Stored bytes read so far."""
        return self._stored.consumed

    def blocks(self) -> Iterator[Block]:
        """Cut the file into blocks of whole lines; a header line's format goes with every block behind it.

        A Parquet file cannot be cut and is one block, however large it is.
        """
        with self._opened:
            stored = io.BufferedReader(self._stored, self._block_bytes)
            if stored.peek(4)[:4] == _PARQUET:
                yield Block(self._whole(stored), {}, 1, self.path, self.consumed)
                return
            text = self._opened_text(stored)
            headers: dict[str, bytes] = {}
            rest, position, line = b"", 0, 1
            while data := self._read(text):
                if len(rest) + len(_first_line(data)) > LINE_BYTES:
                    raise InputError(f"{self.path}:{line}: is longer than {LINE_BYTES >> 20} MiB; is this a flow log?")
                end = data.rfind(b"\n")
                if end < 0:
                    rest += data
                    continue
                value, rest = rest + data[:end], data[end + 1 :]
                for piece in _cut_at_headers(value):
                    position += len(piece) + 1
                    block = self._block(piece, headers, position, line)
                    yield block
                    line += block.lines
            if rest:
                yield self._block(rest, headers, position + len(rest), line)

    def acknowledge(self, block: Block) -> None:
        """Remember how far the file has been published."""
        self.acknowledged = block.position

    def _opened_text(self, stored: "io.BufferedReader[_Counted]") -> BinaryIO:
        begin = stored.peek(4)[:4]
        if begin[:2] == _GZIP:
            return cast("BinaryIO", gzip.GzipFile(fileobj=stored))
        if begin == _ZSTD:
            return cast("BinaryIO", ZstdDecompressor().stream_reader(stored, read_across_frames=True))
        return cast("BinaryIO", stored)

    def _read(self, text: BinaryIO) -> bytes:
        try:
            return text.read(self._block_bytes)
        except (OSError, EOFError, zlib.error, ZstdError) as error:
            raise InputError(f"{self.path}: stops being readable after {self.consumed} bytes: {error}") from error

    def _whole(self, stored: "io.BufferedReader[_Counted]") -> bytes:
        try:
            return stored.read()
        except OSError as error:
            raise InputError(f"{self.path}: stops being readable after {self.consumed} bytes: {error}") from error

    def _block(self, value: bytes, headers: dict[str, bytes], position: int, line: int) -> Block:
        announced = header_format(_first_line(value))
        if announced is not None:
            headers[FORMAT_HEADER] = announced.encode()
        return Block(value, dict(headers), value.count(b"\n") + 1, self.path, position, line)


def _first_line(text: bytes) -> bytes:
    r"""Return what stands before the first line end.

    >>> _first_line(b"a 1\nb 2"), _first_line(b"a 1")
    (b'a 1', b'a 1')
    """
    end = text.find(b"\n")
    return text if end < 0 else text[:end]


def _cut_at_headers(value: bytes) -> list[bytes]:
    r"""Cut lines in front of each header line, so that every block has one format.

    >>> _cut_at_headers(b"a 1\nsrcaddr dstaddr\nb 2")
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
