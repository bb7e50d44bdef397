"""The contract of a source: where flow records come from before Kafka has them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records.aws_text import header_format


class Position(NamedTuple):
    """How much of an origin Kafka has.

    Attributes
    ----------
    offset
        Where to resume reading, as in `Block.position`.
    content
        Which content that was, as in `Block.content`; an origin with another content is read from its beginning.
    """

    offset: int
    content: str = ""


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
    content
        What tells this content of the origin from another under the same name, for example an ETag.
    start
        Where it begins in the origin, if positions are offsets into text and it may be cut behind any line; else None.
    """

    value: bytes
    headers: Mapping[str, bytes]
    lines: int
    origin: str
    position: int
    line: int = 1
    content: str = ""
    start: int | None = None

    @property
    def records(self) -> int:
        """How many lines there are that are no header line; only the first one may be."""
        end = self.value.find(b"\n")
        return self.lines - (header_format(self.value if end < 0 else self.value[:end]) is not None)


class PlaceSettings(BaseModel):
    """Parameters of a place: the part behind the question mark. Those of a source are a subclass beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _raise(error: InputError) -> None:
    raise error


class Source(ABC):
    """Yields blocks in order, and is told when Kafka has them.

    Blocks may be read in one thread and acknowledged in another.
    """

    name: ClassVar[str]

    written: ClassVar[str]
    """How its places are written, without parameters; empty where it is made of other sources."""

    settings: ClassVar[type[PlaceSettings]] = PlaceSettings
    """The parameters that its places take."""

    on_problem: Callable[[InputError], None] = staticmethod(_raise)
    """Is told of what cannot be read while the rest goes on; unless it is set, such a problem ends the reading."""

    parked = 0
    """How many messages were put aside since they failed too often."""

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

    def begin(self) -> Block | None:
        """Return the first block without beginning to read; None where that cannot be done, or there is none.

        Raises
        ------
        streams.errors.InputError
            When it cannot be read.
        """
        return None

    @property
    def waits(self) -> bool:
        """Whether it has given all that there is by now, and waits for more; then it holds up no other source."""
        return False

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Read block after block; ends when there will be no more, or soon after `stop`.

        Raises
        ------
        streams.errors.InputError
            When something cannot be read to its end; what came before it has been yielded.
        """

    @abstractmethod
    def resume(self, positions: Mapping[str, Position]) -> None:
        """Leave out what Kafka has already, by origin; origins of other sources may be among them.

        Is called before `blocks`, if at all.
        """

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut blocks so; a source whose blocks come as they are has nothing to cut.

        Is called before `blocks`, if at all.
        """
        del settings

    @abstractmethod
    def acknowledge(self, block: Block) -> None:
        """Take note that Kafka has this block and all before it from the same origin."""

    def forget(self) -> Iterable[str]:
        """Name origins that will never be read again, so that nobody needs to keep their positions; each once."""
        return ()

    def stop(self) -> None:
        """Let `blocks` come to an end, from another thread; nothing where it ends by itself."""
        return


class PlacelessSource(Source):
    """A source that nobody names by a place: it is made of others, or of what is in memory."""

    written = ""

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take none."""
        del place
        return False

    @classmethod
    def at(cls, place: str) -> Self:
        """Refuse: there is no place for it."""
        raise InputError(f"{place}: name the sources one by one")
