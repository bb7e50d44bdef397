"""Kafka's record batches, read as columns: all records of several batches at one go.

The records of a batch are a chain: each says how long it is, and the next one begins behind it. Where one may begin is
seen from its attributes, a byte that is 0, behind the number of headers of the record before, which is 0 as well; the
chain then has to close, from the first byte to the last, with as many records as the batches say. Where it does not,
nothing is read, and somebody has to go from record to record: records with headers, or an empty key.

Format: https://kafka.apache.org/documentation/#recordbatch
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, Self

import numpy as np
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import UnsupportedCodecError

from streams.fetched_records import Int64Array, Records, UInt8Array

_HEAD: Final = Struct(">qiibIhiqqqhii")
_FORMAT: Final = 2
_FORMAT_AT: Final = 16
_CODEC: Final = 0x07
_APPEND_TIME: Final = 0x08
_DECODERS: Final = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}

_FRONT: Final = b"\x01" * 7 + b"\0"
"""Ahead of all records: as if another one ended there, and nothing that looks like the length of one."""

_BACK: Final = b"\x01" * 8

_MORE: Final = 0x80
_SEVEN_BITS: Final = 0x7F
_WIDEST: Final = 63


class Payload(NamedTuple):
    """The records of a batch, and what its head says of them.

    Attributes
    ----------
    records
        The records as they are written, not compressed.
    number
        How many they are.
    offset, timestamp
        What the offsets and the timestamps of the records are counted from.
    appended
        The timestamp of all of them, where the broker sets it; None where each has its own.
    """

    records: bytes | memoryview
    number: int
    offset: int
    timestamp: int
    appended: int | None

    @classmethod
    def of(cls, batch: memoryview) -> Self | None:
        """Read the head of a batch, and unpack its records; None where its format is an older one.

        Raises
        ------
        aiokafka.errors.UnsupportedCodecError
            When nobody knows how it is compressed.
        """
        if batch[_FORMAT_AT] != _FORMAT:
            return None
        offset, *_, attributes, _, first, newest, _, _, _, count = _HEAD.unpack_from(batch)
        records: bytes | memoryview = batch[_HEAD.size :]
        if codec := attributes & _CODEC:
            if codec not in _DECODERS:
                raise UnsupportedCodecError(f"records are compressed in a way that nobody knows: codec {codec}")
            records = _DECODERS[codec](bytes(records))
        return cls(records, count, offset, first, newest if attributes & _APPEND_TIME else None)


def read(payloads: Sequence[Payload]) -> Records | None:
    """Read the records of batches; None where they are not as most are.

    What is read of a chain that closes is what aiokafka reads, record for record.
    """
    text = b"".join((_FRONT, *(each.records for each in payloads), _BACK))
    data = np.frombuffer(text, np.uint8)
    counts = np.array([each.number for each in payloads], np.int64)
    heads, behind = _chain(data)
    ends = len(_FRONT) + np.cumsum([len(each.records) for each in payloads], dtype=np.int64)
    if counts.min(initial=0) < 0 or counts.sum() != len(heads):
        return None
    # Every batch has to end where the last of its records does.
    if (np.append(len(_FRONT), behind)[np.cumsum(counts)] != ends).any():
        return None
    deltas, at = _numbers(data, heads + 1)
    numbers, at = _numbers(data, at)
    keys, at = _numbers(data, at)
    sizes, begin = _numbers(data, at + np.maximum(keys, 0))
    end = begin + np.maximum(sizes, 0)
    # Behind its value a record has the number of its headers, a byte, and is over.
    if (end + 1 != behind).any():
        return None
    offsets = np.repeat(np.array([each.offset for each in payloads], np.int64), counts) + numbers
    return Records(text, begin, end, offsets, _timestamps(payloads, counts, deltas))


def _chain(data: UInt8Array) -> tuple[Int64Array, Int64Array]:
    """Find the attributes of records, each but the last followed by another one, and where the records end."""
    nothing = np.zeros(0, np.int64)
    zeros = np.flatnonzero(data == 0)[1:]
    last, middle, first = (data.take(zeros - back).astype(np.int64) for back in (1, 2, 3))
    # The length of a record is a number of up to three bytes ahead of its attributes; those of a megabyte have more.
    two = middle >= _MORE
    three = two & (first >= _MORE)
    lengths = np.where(two, middle & _SEVEN_BITS | last << 7, last)
    lengths = np.where(three, first & _SEVEN_BITS | (middle & _SEVEN_BITS) << 7 | last << 14, lengths)
    begins = zeros - 1 - two - three
    likely = (last > 0) & (last < _MORE) & (lengths & 1 == 0) & (data.take(begins - 1) == 0)
    heads, begins = zeros[likely], begins[likely]
    behind = heads + (lengths[likely] >> 1)
    if not len(heads) or begins[0] != len(_FRONT) or (behind[:-1] != begins[1:]).any():
        return nothing, nothing
    return heads, behind


def _numbers(data: UInt8Array, at: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Read numbers of any length, whose bytes have seven bits each, and say where they end.

    Format: https://protobuf.dev/programming-guides/encoding/#signed-ints
    """
    byte = data.take(at, mode="clip")
    values, behind = (byte & _SEVEN_BITS).astype(np.int64), at + 1
    unfinished = np.flatnonzero(byte >= _MORE)
    for shift in range(7, _WIDEST + 1, 7):
        if not len(unfinished):
            break
        byte = data.take(behind[unfinished], mode="clip")
        values[unfinished] |= (byte & _SEVEN_BITS).astype(np.int64) << shift
        behind[unfinished] += 1
        unfinished = unfinished[byte >= _MORE]
    # The lowest bit is the sign; the shift must not keep the highest one, which is a bit like others.
    return (values.view(np.uint64) >> np.uint64(1)).view(np.int64) ^ -(values & 1), behind


def _timestamps(payloads: Sequence[Payload], counts: Int64Array, deltas: Int64Array) -> Int64Array:
    """Say when records were written: at the time of their batch where the broker sets it, or by their own."""
    own = np.array([each.appended is None for each in payloads])
    base = np.array([each.timestamp if each.appended is None else each.appended for each in payloads], np.int64)
    timestamps: Int64Array = np.repeat(base, counts) + deltas * np.repeat(own, counts)
    return timestamps
