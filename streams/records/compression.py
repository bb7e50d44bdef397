"""Compressed messages."""

from collections.abc import Callable
from typing import Any, Final

import cramjam

from streams.records.contract import Envelope, EnvelopeError
from streams.records.settings import RecordSettings

_LIKELY_RATIO: Final = 16
_GROWTH: Final = 8
_TOO_SMALL: Final = "failed to write whole buffer"

Decompress = Callable[[bytes, bytearray], Any]


def _decompressed(value: bytes, decompress: Decompress, name: str, limit: int) -> bytes:
    """Decompress into ever larger buffers: however small a bomb is, it gets no more memory than the limit."""
    size = min(max(len(value) * _LIKELY_RATIO, 1 << 16), limit)
    while True:
        room = bytearray(size)
        try:
            written = decompress(value, room)
        except cramjam.DecompressionError as error:
            if _TOO_SMALL not in str(error):
                raise EnvelopeError(f"{name} cannot be decompressed: {error}") from error
        else:
            return bytes(memoryview(room)[:written])
        if size == limit:
            raise EnvelopeError(f"{name} is larger than records.decompressed_limit_bytes ({limit}) when decompressed")
        size = min(size * _GROWTH, limit)


class Gzip(Envelope):
    """One or several gzip members (RFC 1952)."""

    name = "gzip"
    begins = b"\x1f"

    def recognises(self, value: bytes) -> bool:
        """Look at the first two bytes."""
        return value[:2] == b"\x1f\x8b"

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Decompress."""
        return _decompressed(value, cramjam.gzip.decompress_into, self.name, settings.decompressed_limit_bytes)


class Zstandard(Envelope):
    """One or several Zstandard frames (RFC 8878)."""

    name = "zstd"
    begins = b"\x28"

    def recognises(self, value: bytes) -> bool:
        """Look at the first four bytes."""
        return value[:4] == b"\x28\xb5\x2f\xfd"

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Decompress."""
        return _decompressed(value, cramjam.zstd.decompress_into, self.name, settings.decompressed_limit_bytes)
