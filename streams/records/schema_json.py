"""Flow records in schemas that many producers share, one JSON object to a line, put under AWS's names of the fields."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import polars as pl

from streams.records.contract import Column, Dialect, Message, Read
from streams.records.joined import Joined
from streams.records.json_lines import JsonLines, strings
from streams.records.settings import RecordSettings


class SchemaJson(Dialect):
    """A schema."""

    begins = b"{"

    keys: ClassVar[tuple[bytes, ...]]
    """What the first object of a message has, and objects of no other dialect."""

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look for the keys."""
        del settings
        first = message.value.lstrip().partition(b"\n")[0]
        return all(key in first for key in self.keys)

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read the objects."""
        del layout, settings
        for read in JsonLines(Joined.of(messages), self.field).read():
            columns = dict(read.columns)
            for name in {"start", "end"}.intersection(columns):
                times = strings(columns[name])
                seconds = self.seconds(times).cast(pl.String)
                # What is no time stays as it is, to be refused.
                columns[name] = seconds.zip_with(seconds.is_not_null(), times)
            self.translate(columns)
            yield Read(columns, read.messages, read.positions, read.places, read.refused)

    @staticmethod
    @abstractmethod
    def field(path: tuple[str, ...]) -> str | None:
        """Return the field that the value at a path of keys is, for the time being; None where nobody needs it."""

    @staticmethod
    @abstractmethod
    def seconds(times: pl.Series) -> pl.Series:
        """Turn the schema's times into epoch seconds, null where they are none."""

    @staticmethod
    @abstractmethod
    def translate(columns: dict[str, Column]) -> None:
        """Turn the fields, in place, into AWS's."""
