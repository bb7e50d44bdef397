"""The records of Kafka messages as columns: no object is made of a record before somebody asks for it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
Headers = Sequence[tuple[str, bytes | None]]

UNKNOWN: Final = -1
"""The timestamp of a record that has none."""

_LINE_END: Final = 10

_AT_ONCE: Final = 1 << 15
"""Records that are put together at one go: what is computed on the way stays in the processor's cache."""

_WIDEST_GAP: Final = 64
"""Bytes between values that are cut out at one go."""


class Record(NamedTuple):
    """One record.

    Attributes
    ----------
    offset
        Where it stands in its partition.
    timestamp
        When it was written, milliseconds since the epoch; None where nobody knows.
    value
        Its bytes; none where it has no value.
    headers
        Its headers, in order.
    """

    offset: int
    timestamp: int | None
    value: bytes
    headers: Headers = ()

    @property
    def said(self) -> dict[str, bytes]:
        """Its headers by name, the last of a name; those without a value say nothing."""
        return {name: value for name, value in self.headers if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sequence[Record]):
    r"""Records of one partition, in order. Keys are not kept.

    Attributes
    ----------
    buffer
        Bytes in which the values lie in order, each followed by at least one byte that belongs to none of them.
    begin, end
        Where each value begins and, not included, ends; int64, shape (n,).
    offsets, timestamps
        Of each record, int64, shape (n,); a timestamp that nobody knows is `UNKNOWN`.
    headers
        Of each record; None where none of them has any.

    Examples
    --------
    >>> records = Records.of([Record(7, 1_767_603_600_000, b"one"), Record(8, None, b"two")])
    >>> records[0].value, records[1:].offsets.tolist(), bytes(records.joined())
    (b'one', [8], b'one\ntwo\n')
    """

    buffer: bytes
    begin: Int64Array
    end: Int64Array
    offsets: Int64Array
    timestamps: Int64Array
    headers: Sequence[Headers] | None = None

    @classmethod
    def of(cls, records: Iterable[Any]) -> Self:
        """Put records with the attributes of a `Record` into columns; values and timestamps may be None."""
        each = list(records)
        values = [record.value or b"" for record in each]
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        behind = np.cumsum(sizes + 1)
        timestamps = (UNKNOWN if record.timestamp is None else record.timestamp for record in each)
        headers = [record.headers for record in each]
        return cls(
            b"\n".join([*values, b""]),
            behind - 1 - sizes,
            behind - 1,
            np.fromiter((record.offset for record in each), np.int64, len(each)),
            np.fromiter(timestamps, np.int64, len(each)),
            headers if any(headers) else None,
        )

    @classmethod
    def concatenated(cls, parts: "Sequence[Records]") -> "Records":
        """Put records behind each other; of none there are none."""
        if len(parts) < 2:
            return parts[0] if parts else cls.of([])
        sizes = [len(part.buffer) for part in parts]
        shifts = np.repeat(np.cumsum([0, *sizes[:-1]]), [len(part) for part in parts])
        return cls(
            b"".join(part.buffer for part in parts),
            np.concatenate([part.begin for part in parts]) + shifts,
            np.concatenate([part.end for part in parts]) + shifts,
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.timestamps for part in parts]),
            [headers for part in parts for headers in part.headers or [()] * len(part)]
            if any(part.headers for part in parts)
            else None,
        )

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> "Records": ...

    def __getitem__(self, index: int | slice) -> "Record | Records":
        if isinstance(index, slice):
            return Records(
                self.buffer,
                self.begin[index],
                self.end[index],
                self.offsets[index],
                self.timestamps[index],
                None if self.headers is None else self.headers[index],
            )
        timestamp = int(self.timestamps[index])
        return Record(
            int(self.offsets[index]),
            None if timestamp < 0 else timestamp,
            self.buffer[self.begin[index] : self.end[index]],
            () if self.headers is None else self.headers[index],
        )

    def __iter__(self) -> Iterator[Record]:
        return map(self.__getitem__, range(len(self)))

    @property
    def sizes(self) -> Int64Array:
        """Sizes of the values, bytes."""
        return self.end - self.begin

    def parts(self, most_records: int, most_bytes: int) -> Iterator["Records"]:
        """Divide them into parts of at most so many records and bytes of values; more bytes only where it is one."""
        behind = np.cumsum(self.sizes)
        first = 0
        while first < len(self):
            before = int(behind[first - 1]) if first else 0
            last = min(first + most_records, int(np.searchsorted(behind, before + most_bytes, side="right")))
            last = max(last, first + 1)
            yield self[first:last]
            first = last

    def values(self) -> list[bytes]:
        """Return the values."""
        buffer = self.buffer
        return [buffer[begin:end] for begin, end in zip(self.begin.tolist(), self.end.tolist(), strict=True)]

    def joined(self) -> memoryview:
        """Return the values behind each other, with a line end behind each."""
        if len(self) <= _AT_ONCE:
            return _joined(self)
        return memoryview(b"".join(_joined(self[at : at + _AT_ONCE]) for at in range(0, len(self), _AT_ONCE)))


def _joined(records: Records) -> memoryview:
    if not len(records):
        return memoryview(b"")
    first = int(records.begin[0])
    text = np.frombuffer(records.buffer, np.uint8, int(records.end[-1]) + 1 - first, first)
    begin, end = records.begin - first, records.end - first
    text = text.copy()
    text[end] = _LINE_END
    if (begin[1:] == end[:-1] + 1).all():
        return text.data
    # Between two values there is what Kafka keeps of a record, mostly as much of each.
    gaps, behind = begin[1:] - end[:-1] - 1, end[:-1] + 1
    if gaps.max() > _WIDEST_GAP:
        return memoryview(b"\n".join([*records.values(), b""]))
    kept = np.ones(len(text), np.bool_)
    for place in range(int(gaps.max())):
        kept[(behind + place)[gaps > place]] = False
    return text[kept].data
