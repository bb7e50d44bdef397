"""The mark that some editors put in front of UTF-8."""

from typing import Final

from streams.records.contract import Envelope
from streams.records.settings import RecordSettings

_MARK: Final = b"\xef\xbb\xbf"


class ByteOrderMark(Envelope):
    """A byte order mark in front of anything else."""

    name = "byte-order-mark"
    begins = _MARK[:1]

    def recognises(self, value: bytes) -> bool:
        """Look at the first three bytes."""
        return value.startswith(_MARK)

    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Take it off."""
        del settings
        return value[len(_MARK) :]
