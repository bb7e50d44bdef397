"""Flow log files on disk, plain, gzip, zstd or Parquet, and standard input."""

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, cast

from streams.block_settings import BlockSettings, of_bytes
from streams.errors import InputError
from streams.sources.contract import Block, Position, Source
from streams.sources.lines import BLOCK_BYTES, Lines
from streams.sources.resumed import behind


class FileSource(Source):
    """One file of lines; `-` is standard input.

    Positions are offsets into the text, behind any compression.
    """

    name = "files"
    written = "PATH"

    def __init__(self, path: str, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.path = path
        self.acknowledged = 0
        self._positions: Mapping[str, Position] = {}
        self._size = 0 if path == "-" else _size(path)
        self._cut = of_bytes(block_bytes)
        self._lines: Lines | None = None

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
        return 0 if self._lines is None else self._lines.consumed

    def begin(self) -> Block | None:
        """Look at the first block of a file; what is no file is read once."""
        if not Path(self.path).is_file():
            return None
        with _opened(self.path) as opened:
            return next(Lines(opened, self.path, cut=self._cut).blocks(), None)

    def blocks(self) -> Iterator[Block]:
        """Cut the file into blocks of whole lines; a header line's format goes with every block behind it."""
        with _opened(self.path) as opened:
            self._lines = Lines(opened, self.path, cut=self._cut, comes=_comes(opened))
            yield from behind(self._lines.blocks(), self._positions)

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut the text so."""
        self._cut = settings

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Go on behind what Kafka has; standard input is never the same again, and read whole."""
        self._positions = {} if self.path == "-" else positions

    def acknowledge(self, block: Block) -> None:
        """Remember how far the file has been published."""
        self.acknowledged = block.position


def _size(path: str) -> int:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path}: cannot be read: {os.strerror(errno.EISDIR)}")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read: {os.strerror(errno.EACCES)}")
    return found.st_size


def _opened(path: str) -> io.BufferedReader:
    try:
        return cast("io.BufferedReader", sys.stdin.buffer) if path == "-" else Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _comes(opened: io.BufferedReader) -> Callable[[float], bool] | None:
    """Return what waits for more of a pipe or a terminal; None for a file, which is there."""
    try:
        number = opened.fileno()
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(number).st_mode):
        return None
    return lambda seconds: bool(select.select([number], [], [], seconds)[0])
