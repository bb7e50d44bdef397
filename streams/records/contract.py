"""The contracts of a dialect, one way of writing flow records, and of an envelope around them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.repeated_texts import RepeatedTexts
from detectors.table import Table
from detectors.texts import Texts
from streams.records.settings import RecordSettings

Int64Array = npt.NDArray[np.int64]

Column = Texts | RepeatedTexts | pl.Series
"""A column before anything is checked."""

PARQUET_MAGIC: Final = b"PAR1"
"""How every Parquet file begins."""

DIALECT_HEADER: Final = "flowhawk-dialect"
"""Header of a Kafka message that names its dialect."""

FORMAT_HEADER: Final = "flowhawk-format"
"""Header of a Kafka message with the fields of its lines, for text without a header line."""

WATERMARK_HEADER: Final = "flowhawk-watermark"
"""Header of an empty Kafka message that ends an input: nothing of its time will follow on the partition."""

SAMPLING_HEADER: Final = "flowhawk-sampling"
"""Header of a Kafka message whose records are a sample: how many each stands for, in digits."""

SOURCE_HEADER: Final = "flowhawk-source"
"""Header of a Kafka message that names what its lines were read from."""

POSITION_HEADER: Final = "flowhawk-position"
"""Header of a Kafka message that says how far its source had been read with its block."""

LINE_HEADER: Final = "flowhawk-source-line"
"""Header of a Kafka message with the number of its first line in its source."""

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


class Place(NamedTuple):
    """Where a refused line stood: the index of its message, its number there, and its bytes."""

    message: int
    line: int
    raw: bytes


class Places(Protocol):
    """Finds where rows of a `Read` stood; asked only about the few that are refused."""

    def __call__(self, rows: Int64Array, /) -> Sequence[Place]:
        """Return the place of each row, in the order asked."""


class Refusal(NamedTuple):
    """One refused line and why."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """Some of what a dialect finds in messages, before anything is checked.

    Attributes
    ----------
    columns
        Named after AWS's fields with underscores (`srcaddr`, `interface_id`, ...), all of one length: texts
        as they are written, texts that repeat, strings, or numbers. Empty, `-` and null are missing values.
    messages
        Index of the message that each row came from, int64, shape (rows,).
    positions
        Ascending in the order that rows have inside their message, int64, shape (rows,).
    places
        Where rows stood.
    refused
        Lines without the shape of a record.
    """

    columns: Mapping[str, Column]
    messages: Int64Array
    positions: Int64Array
    places: Places
    refused: Sequence[Refusal] = field(default_factory=tuple)

    @classmethod
    def nothing(cls, refused: Sequence[Refusal]) -> Self:
        """Make a read without rows."""
        none = np.zeros(0, np.int64)
        return cls({}, none, none, lambda _: [], refused)

    def at(self, rows: Int64Array) -> "Read":
        """Take some of the rows, and no refused lines."""
        columns = {
            name: column.gather(rows) if isinstance(column, pl.Series) else column.at(rows)
            for name, column in self.columns.items()
        }
        return Read(columns, self.messages[rows], self.positions[rows], lambda some: self.places(rows[some]))


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
    rows: Int64Array


class Dialect(ABC):
    """One way of writing flow records. It holds no state.

    A new one is a module of this package with a subclass; nothing else needs to know of it.
    """

    name: ClassVar[str]

    begins: ClassVar[bytes]
    """The bytes that a message may begin with, behind white space; `recognises` is asked only about such."""

    last: ClassVar[bool] = False
    """Whether it takes all that no other dialect recognises."""

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Say whether a message is written in this dialect, from its own bytes and headers, without envelopes.

        Dialects that may begin alike are asked in the order of their names, and the first to say yes has it.
        """
        del message, settings
        return True

    def layout(self, message: Message, settings: RecordSettings) -> str:
        """Name what messages must have in common to be read at one go, for example their format."""
        del message, settings
        return ""

    @abstractmethod
    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read messages of one layout, a few thousand rows at a time. Never raises, whatever the bytes."""


class EnvelopeError(Exception):
    """An envelope cannot be opened; says why."""


class Envelope(ABC):
    """Something around flow records that must come off first: compression, a subscription's wrapping."""

    name: ClassVar[str]

    begins: ClassVar[bytes]
    """The bytes that a message may begin with, behind white space; `recognises` is asked only about such."""

    last: ClassVar[bool] = False

    @abstractmethod
    def recognises(self, value: bytes) -> bool:
        """Say whether a message is such an envelope, from its own bytes alone."""

    @abstractmethod
    def open(self, value: bytes, settings: RecordSettings) -> bytes:
        """Return what is inside; its line n is what refusals call line n. Empty where nothing is to be read.

        Raises
        ------
        EnvelopeError
            When it is broken, or there is more in it than the settings allow.
        """
