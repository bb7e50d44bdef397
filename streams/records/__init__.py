"""Bytes in, columns out, refused lines named.

`decode` is pure: the same messages, headers and settings give the same rows, always, in every process.
"""

from streams.records.contract import REFUSED, Decoded, Dialect, Message, Read
from streams.records.decode import decode, decode_all, dialects
from streams.records.settings import NetworkSettings, RecordSettings, Scope

__all__ = [
    "REFUSED",
    "Decoded",
    "Dialect",
    "Message",
    "NetworkSettings",
    "Read",
    "RecordSettings",
    "Scope",
    "decode",
    "decode_all",
    "dialects",
]
