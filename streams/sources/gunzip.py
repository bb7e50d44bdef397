"""Gzip as it comes: whatever can be read before a content breaks off is read."""

import io
from typing import Final, Protocol

from isal import isal_zlib

_GZIP: Final = 31
"""`wbits` of a gzip member with header and checksum."""


class _Stored(Protocol):
    def read1(self, size: int, /) -> bytes: ...


class Gunzip(io.RawIOBase):
    """Reads what is behind gzip, several members one after the other, which zeros may follow.

    Parameters
    ----------
    stored
        The compressed bytes.
    size
        How many of them are read at a time.

    Raises
    ------
    EOFError
        When they end in the middle of a member.
    isal.isal_zlib.error
        When they are damaged, or something else follows the last member.
    """

    def __init__(self, stored: _Stored, size: int) -> None:
        self._stored = stored
        self._size = size
        self._member = isal_zlib.decompressobj(_GZIP)
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower than Buffer
        """Read into a buffer, and return how many bytes; none at the end."""
        while True:
            if self._member.eof and not self._follows():
                return 0
            compressed = self._rest or self._stored.read1(self._size)
            data = self._member.decompress(compressed, len(buffer))
            self._rest = self._member.unconsumed_tail
            if data:
                buffer[: len(data)] = data
                return len(data)
            if not compressed and not self._member.eof:
                raise EOFError("it ends in the middle of what is compressed")

    def _follows(self) -> bool:
        """Go on to the next member, if there is one."""
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest:
            more = self._stored.read1(self._size)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        self._member, self._rest = isal_zlib.decompressobj(_GZIP), rest
        return True
