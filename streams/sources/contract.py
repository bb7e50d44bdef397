"""The contract of a source: where flow records come from before Kafka has them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines that become one Kafka message.

    Attributes
    ----------
    value
        The lines, without a line end behind the last one.
    headers
        Headers of the message: dialect and format, where the source knows them.
    lines
        How many lines there are in the value.
    origin
        What the source reads them from, for example the path of a file.
    position
        Where to resume reading the origin once this block is acknowledged.
    line
        Number of its first line in the origin; the first line of an origin is 1.
    """

    value: bytes
    headers: Mapping[str, bytes]
    lines: int
    origin: str
    position: int
    line: int = 1


class Source(ABC):
    """Yields blocks in order, and is told when Kafka has them."""

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def takes(cls, place: str) -> bool:
        """Say whether a place, as written on the command line, is of this kind."""

    @classmethod
    @abstractmethod
    def at(cls, place: str) -> Self:
        """Open the source at a place.

        Raises
        ------
        streams.errors.InputError
            When there is nothing to read there.
        """

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes to read in all, as stored; 0 where nobody knows."""

    @property
    @abstractmethod
    def consumed(self) -> int:
        """Bytes read so far, as stored."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Read block after block.

        Raises
        ------
        streams.errors.InputError
            When something cannot be read to its end; what came before it has been yielded.
        """

    @abstractmethod
    def acknowledge(self, block: Block) -> None:
        """Take note that Kafka has this block and all before it from the same origin."""
