"""Stored bytes, plain, gzip, zstd or Parquet, cut into blocks of whole lines."""

import io
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, cast

from isal import isal_zlib
from zstandard import ZstdDecompressor, ZstdError

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records.contract import PARQUET_MAGIC
from streams.sources.contract import Block
from streams.sources.cutter import Cutter
from streams.sources.gunzip import Gunzip
from streams.sources.tables import table_blocks

BLOCK_BYTES: Final = 128 * 1024
"""How large blocks become where nobody says so."""

# The type of isal's errors is missing from what it publishes of its types.
_DAMAGED: Final[tuple[type[Exception], ...]] = (
    *(OSError, EOFError, zlib.error, ZstdError),
    cast("type[Exception]", isal_zlib.error),
)

_STORED_BYTES: Final = 128 << 10
_GZIP_BYTES: Final = 4 << 10
_TEXT_BYTES: Final = 256 << 10
"""How much is read at a time, as it is stored and behind any compression."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


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
    cut
        When a block is full.
    comes
        Waits so many seconds for bytes, and says whether there are any, or will be none; None where they never wait.
    """

    def __init__(
        self,
        stored: Stored,
        origin: str,
        *,
        content: str = "",
        headers: dict[str, bytes] | None = None,
        cut: BlockSettings,
        comes: Callable[[float], bool] | None = None,
    ) -> None:
        self._stored = _Counted(stored)
        self._origin = origin
        self._content = content
        self._cutter = Cutter(origin, content=content, headers=headers, settings=cut)
        self._cut = cut
        self._comes = comes

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
        # Of many files at once each has to do with little.
        most = min(self._cut.bytes, _STORED_BYTES)
        stored = io.BufferedReader(self._stored, max(most, 4))
        begin = self._read(stored.peek, 4)[:4]
        if begin == PARQUET_MAGIC:
            yield from table_blocks(self._read(stored.read, -1), self._origin, self._content)
            return
        text = _opened(stored, begin, most)
        since = time.monotonic()
        try:
            while data := self._read(text.read1, min(self._cut.bytes, _TEXT_BYTES)):
                since = since if self._cutter.waits else time.monotonic()
                yield from self._cutter.add(data)
                # Of compressed bytes nobody knows whether they are enough for a line.
                if text is stored and self._cutter.waits and not self._more_comes(since):
                    yield from self._cutter.flush()
        except InputError:
            # What came before it is whole.
            yield from self._cutter.flush()
            raise
        yield from self._cutter.end()

    def _more_comes(self, since: float) -> bool:
        """Wait for more, but not for longer than lines may wait that came at some time."""
        left = since + self._cut.ms / 1000 - time.monotonic()
        return self._comes is None or self._comes(max(left, 0.0))

    def _read(self, read: "_Read", size: int) -> bytes:
        try:
            return read(size)
        except _DAMAGED as error:
            raise InputError(f"{self._origin}: stops being readable after {self.consumed} bytes: {error}") from error


def is_compressed(begin: bytes) -> bool:
    """Say whether a content that begins so is read only as a whole.

    >>> is_compressed(b"PAR1"), is_compressed(b"2 123456789012")
    (True, False)
    """
    return begin.startswith((_GZIP, _ZSTD, PARQUET_MAGIC))


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


def _opened(stored: "io.BufferedReader[_Counted]", begin: bytes, most: int) -> "io.BufferedReader[Any]":
    if begin[:2] == _GZIP:
        return io.BufferedReader(Gunzip(stored, max(most, _GZIP_BYTES)), max(most, _GZIP_BYTES))
    if begin == _ZSTD:
        return cast("io.BufferedReader[Any]", ZstdDecompressor().stream_reader(stored, read_across_frames=True))
    return cast("io.BufferedReader[Any]", stored)
