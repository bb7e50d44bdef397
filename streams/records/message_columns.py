"""Messages as columns: with one record a message, an object for each takes longer than reading it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, overload

import numpy as np

from streams.fetched_records import Records
from streams.records.contract import Message

_NO_HEADERS: Final[Mapping[str, bytes]] = {}


class MessageColumns(Sequence[Message]):
    """Messages that are made of the records of a partition, each when somebody asks for it.

    Parameters
    ----------
    records
        The records.
    """

    __slots__ = ("records",)

    def __init__(self, records: Records) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Message: ...

    @overload
    def __getitem__(self, index: slice) -> "MessageColumns": ...

    def __getitem__(self, index: int | slice) -> "Message | MessageColumns":
        if isinstance(index, slice):
            return MessageColumns(self.records[index])
        record = self.records[index]
        return Message(record.value, record.said if record.headers else _NO_HEADERS, record.timestamp)

    def __iter__(self) -> Iterator[Message]:
        return map(self.__getitem__, range(len(self)))

    def first_bytes(self) -> set[bytes]:
        """Return what the values begin with: single bytes, and nothing where one is empty."""
        records = self.records
        filled = records.begin[records.end > records.begin]
        first = np.unique(np.frombuffer(records.buffer, np.uint8).take(filled))
        return {bytes((each,)) for each in first.tolist()} | ({b""} if len(filled) < len(self) else set())


def with_header(messages: Sequence[Message], name: str) -> list[int]:
    """Return the indices of the messages that have a header."""
    if isinstance(messages, MessageColumns) and messages.records.headers is None:
        return []
    return [index for index, message in enumerate(messages) if name in message.headers]
