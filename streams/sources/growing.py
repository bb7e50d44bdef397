"""A file that grows: what is in it so far, whichever name it has, until it is cut short or done with."""

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

from streams.block_settings import LINE_BYTES, BlockSettings
from streams.errors import InputError
from streams.records.aws_text import header_format
from streams.sources.contract import Block
from streams.sources.cutter import Cutter
from streams.sources.lines import Lines, is_compressed
from streams.sources.resumed import tail

_READ_BYTES: Final = 256 << 10
_BEGIN_BYTES: Final = 16 << 10
_WHOLE_SECONDS: Final = 1.0
"""How long a compressed file must not have grown before it is read."""


def identity_of(begin: bytes) -> str | None:
    r"""Tell a file from others by its first record; None while it has no whole line of that.

    A file that was renamed, copied or compressed is so the same as before.

    >>> identity_of(b"2 123456789012 eni-1\n") == identity_of(b"2 123456789012 eni-1\n2 1"), identity_of(b"2 1")
    (True, None)
    """
    first, end, rest = begin.partition(b"\n")
    if header_format(first) is not None:
        first, end, rest = rest.partition(b"\n")
    return hashlib.sha256(first).hexdigest()[:16] if end else None


class GrowingFile:
    """Reads one file as it grows.

    Parameters
    ----------
    path
        Where it is now.
    place
        What its origin begins with; the identity follows.
    headers
        Headers of every block.
    cut
        When a block is full.
    known
        How far each identity has been read; read and kept up to date here, for several files may have the same.
    only_known
        Whether to read it only if its identity is known.

    Raises
    ------
    OSError
        When it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        place: str,
        headers: Mapping[str, bytes],
        cut: BlockSettings,
        known: MutableMapping[str, int],
        *,
        only_known: bool = False,
    ) -> None:
        self.path = path
        self.identity: str | None = None
        self.moved = False
        self.consumed = 0
        self._place = place
        self._headers = dict(headers)
        self._cut = cut
        self._known = known
        self._only_known = only_known
        self._file = path.open("rb")
        self._ignored = False
        self._ready: deque[Block] = deque()
        self._whole: Iterator[Block] = iter(())
        self._cutter: Cutter | None = None
        self._offset = 0
        self._begin = b""
        self._size = -1
        self._grew = self._since = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """How long it has not grown."""
        return time.monotonic() - self._grew

    def next(self) -> Block | None:
        """Return the next block; None when there is none yet.

        Raises
        ------
        streams.errors.InputError
            When it is damaged, or no text of lines.
        """
        while True:
            while self._ready:
                block = self._ready.popleft()
                if block.position > self._known.get(self.identity or "", 0):
                    return self._take(block)
            if not self._read():
                return None

    def skip(self) -> None:
        """Leave out what is in it by now."""
        begin = os.pread(self._file.fileno(), _BEGIN_BYTES, 0)
        identity = identity_of(begin)
        if is_compressed(begin):
            self._ignored = True
        elif identity is not None:
            size = os.fstat(self._file.fileno()).st_size
            first = max(0, size - LINE_BYTES)
            last = os.pread(self._file.fileno(), LINE_BYTES, first).rfind(b"\n")
            self._known.setdefault(identity, first + last + 1)

    def finish(self) -> Iterator[Block]:
        """Yield what is left, although no line end may be behind it."""
        while (block := self.next()) is not None:
            yield block
        if self._cutter is not None:
            self._ready.extend(self._cutter.end())
            while (block := self.next()) is not None:
                yield block

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def _take(self, block: Block) -> Block:
        known = self._known.get(self.identity or "", 0)
        self._known[self.identity or ""] = block.position
        return block if block.start is None or known <= block.start else tail(block, known - block.start)

    def _read(self) -> bool:
        """Read on; False when there is nothing new that could be told."""
        size = os.fstat(self._file.fileno()).st_size
        if size != self._size:
            self._size, self._grew = size, time.monotonic()
        if self._offset and (size < self._offset or not self._same_begin()):
            return self._begin_anew()
        if self._ignored or not self._recognised() or (self._only_known and self.identity not in self._known):
            return False
        return self._next_of_whole() if self._cutter is None else self._read_text(self._cutter)

    def _read_text(self, cutter: Cutter) -> bool:
        data = self._file.read(_READ_BYTES)
        if data:
            self._since = self._since if cutter.waits else time.monotonic()
            self._offset += len(data)
            self.consumed += len(data)
            self._ready.extend(cutter.add(data))
        elif cutter.waits and time.monotonic() - self._since >= self._cut.ms / 1000:
            self._ready.extend(cutter.flush())
        else:
            return False
        return True

    def _same_begin(self) -> bool:
        return os.pread(self._file.fileno(), len(self._begin), 0) == self._begin

    def _begin_anew(self) -> bool:
        """Go on with other content, now that the file was cut short; what was read of the old one still counts."""
        if self._cutter is not None and self._cutter.waits:
            self._ready.extend(self._cutter.flush())
            return True
        self.identity, self._cutter, self._offset, self._begin = None, None, 0, b""
        self._file.seek(0)
        return True

    def _recognised(self) -> bool:
        if self.identity is not None:
            return True
        begin = os.pread(self._file.fileno(), _BEGIN_BYTES, 0)
        if is_compressed(begin):
            return self.quiet_seconds >= _WHOLE_SECONDS and self._recognise_whole()
        self.identity = identity_of(begin)
        if self.identity is not None:
            self._begin = begin[:1024]
            self._cutter = Cutter(self._origin(), headers=self._headers, settings=self._cut)
        return self.identity is not None

    def _recognise_whole(self) -> bool:
        """Read the beginning of a compressed file, which is written once and then stays."""
        with self.path.open("rb") as file:
            first = next(Lines(file, str(self.path), cut=self._cut).blocks(), None)
        if first is None:
            return False
        self.identity = identity_of(first.value + b"\n") or hashlib.sha256(first.value).hexdigest()[:16]
        self._whole = Lines(self._file, self._origin(), headers=self._headers, cut=self._cut).blocks()
        return True

    def _next_of_whole(self) -> bool:
        try:
            block = next(self._whole, None)
        except InputError as error:
            raise InputError(str(error).replace(self._origin(), str(self.path))) from error
        if block is not None:
            self._ready.append(block)
            self._grew = time.monotonic()
        return block is not None

    def _origin(self) -> str:
        return f"{self._place}#{self.identity}"
