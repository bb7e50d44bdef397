"""The contract of an episode: something that stands out, malicious or not, and is labelled."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from streams.generate.network import Network, Vpc


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in the traffic, or must not be found in it.

    Attributes
    ----------
    id
        Names the episode within the traffic.
    kind
        Kind of the finding that is right, or would be wrong.
    source, target
        The acting address and the one acted on; None where there are many.
    start, end
        Its first and its last second, epoch seconds.
    expect
        Whether it is to be found.
    grade
        How much it matters: must, should or hard.
    note
        What happens, in a sentence.
    """

    id: str
    kind: str
    source: str | None
    target: str | None
    start: int
    end: int
    expect: bool
    grade: str
    note: str

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where and when an episode is played.

    Attributes
    ----------
    network, vpc
        The directory of all addresses, and the VPC it happens in.
    begin
        When it begins, epoch seconds.
    generator
        Where chance comes from, for this episode and hour alone.
    """

    network: Network
    vpc: Vpc
    begin: int
    generator: np.random.Generator

    def address(self, index: int) -> str:
        """Return an address as written."""
        return str(self.network.text[int(index)])


@dataclass(frozen=True, slots=True)
class Played:
    """An episode as it happened.

    Attributes
    ----------
    conversations
        Columns of `CONVERSATIONS`.
    note
        What happens, in a sentence.
    source, target
        Places of the acting address and of the one acted on in the directory; None where there are many.
    """

    conversations: pl.DataFrame
    note: str
    source: int | None = None
    target: int | None = None


class Episode(ABC):
    """Something that stands out. Its attributes are parameters; every hour it is played once, by other actors.

    Attributes
    ----------
    kind
        Kind of the finding that is right, or would be wrong.
    expect
        Whether it is to be found.
    minute
        Minute of the hour at which it begins.
    seconds
        How long it goes on.
    """

    kind: ClassVar[str]
    expect: ClassVar[bool]
    grade: ClassVar[str] = "must"
    minute: int
    seconds: int

    @abstractmethod
    def play(self, stage: Stage) -> Played:
        """Let it happen. The same stage gives the same, always."""

    def truth(self, played: Played, stage: Stage) -> Truth:
        """Label what was played."""
        ends = played.conversations.select(begin=pl.col("begin").min(), end=(pl.col("begin") + pl.col("seconds")).max())
        begin, end = ends.row(0)
        return Truth(
            id=f"{type(self).__name__}/{stage.begin}",
            kind=self.kind,
            source=None if played.source is None else stage.address(played.source),
            target=None if played.target is None else stage.address(played.target),
            start=begin,
            end=end,
            expect=self.expect,
            grade=self.grade,
            note=played.note,
        )
