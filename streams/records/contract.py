"""The contract of a dialect: one way of writing flow records."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.table import Table
from streams.records.settings import RecordSettings

DIALECT_HEADER: Final = "flowhawk-dialect"
"""Header of a Kafka message that names its dialect."""

FORMAT_HEADER: Final = "flowhawk-format"
"""Header of a Kafka message with the fields of its lines, for text without a header line."""

WATERMARK_HEADER: Final = "flowhawk-watermark"
"""Header of an empty Kafka message that ends an input: nothing of its time will follow on the partition."""

REFUSED: Final = pl.Schema({"message": pl.UInt32(), "line": pl.UInt32(), "reason": pl.String(), "raw": pl.Binary()})
"""Refused lines: index of the message, number of the line in it (the first is 1), why, and its bytes."""


class Message(NamedTuple):
    """One Kafka message, or one block of a file.

    Attributes
    ----------
    value
        Its bytes.
    headers
        Its headers.
    timestamp
        When it was written, milliseconds since the epoch; None where nobody knows.
    """

    value: bytes
    headers: Mapping[str, bytes] = {}
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What a dialect makes of messages, before anything is checked.

    Attributes
    ----------
    frame
        One row per line that has the shape of a record: `message` and `line` (UInt32) and the line's bytes
        `raw` (Binary or String), then columns named after AWS's fields with underscores (`srcaddr`,
        `interface_id`, ...), each a String or of its type in the table, null where the record has none.
    refused
        Lines without the shape of a record, columns of `REFUSED`.
    """

    frame: pl.DataFrame
    refused: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of messages.

    Attributes
    ----------
    table
        The accepted records, in the order of the messages and of the lines in them.
    refused
        The refused lines, columns of `REFUSED`.
    rows
        How many rows of the table came from each message, int64, shape (messages,).
    """

    table: Table
    refused: pl.DataFrame
    rows: npt.NDArray[np.int64]


class Dialect(ABC):
    """One way of writing flow records. It holds no state."""

    name: ClassVar[str]

    @abstractmethod
    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Say whether a message is written in this dialect, from its own bytes and headers alone."""

    @abstractmethod
    def layout(self, message: Message, settings: RecordSettings) -> str:
        """Name what messages must have in common to be read at one go, for example their format."""

    @abstractmethod
    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Read:
        """Read messages of one layout. Never raises, whatever the bytes."""
