"""The contract of an episode: something that stands out, malicious or not, and is labelled."""

import re
from abc import ABC, abstractmethod
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from streams.errors import SettingsError
from streams.generate.network import Network, Vpc


def parameter(
    default: float | str,
    meaning: str,
    *,
    least: float = 1,
    most: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a parameter of an episode.

    Parameters
    ----------
    default
        A whole number, a number or a text; values are of its type.
    meaning
        What it is, as people read it.
    least, most
        The range of a number, both ends included.
    choices
        The texts that make sense; all do where there are none.
    """
    return field(default=default, metadata={"meaning": meaning, "least": least, "most": most, "choices": choices})


_ENDS: Final = ("client", "server")


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
    kind
        Kind of the finding where it is not that of the episode.
    also
        What else happened, each with a label of its own.
    """

    conversations: pl.DataFrame
    note: str
    source: int | None = None
    target: int | None = None
    kind: str | None = None
    also: "tuple[Played, ...]" = ()

    @property
    def everything(self) -> "tuple[Played, ...]":
        """It, and what else happened."""
        return (self, *self.also)

    def over_ipv6(self, network: Network) -> "Played":
        """Let the same happen between the IPv6 addresses of the same hosts, with no NAT gateway on the way.

        Addresses that are IPv6 ones already stay.
        """
        return replace(
            self,
            conversations=self.conversations.with_columns(
                *(pl.coalesce(network.twin.gather(self.conversations[end]), end).alias(end) for end in _ENDS),
                pl.lit(None, pl.UInt32).alias("translator"),
            ),
            source=None if self.source is None else int(network.twin[self.source]),
            target=None if self.target is None else int(network.twin[self.target]),
            also=tuple(each.over_ipv6(network) for each in self.also),
        )


@dataclass(frozen=True)
class Episode(ABC):
    """Something that stands out. Its attributes are parameters; it is played every so often, by other actors.

    Attributes
    ----------
    kind
        Kind of the finding that is right, or would be wrong.
    expect
        Whether it is to be found.
    grade
        How much it matters: must, should or hard.
    usual
        Whether it is in traffic for which nothing was chosen.

    Raises
    ------
    SettingsError
        When a parameter is out of its range.
    """

    kind: ClassVar[str]
    expect: ClassVar[bool]
    grade: ClassVar[str] = "must"
    usual: ClassVar[bool] = True

    minute: int = parameter(0, "minute of the hour at which it begins", least=0, most=59)
    seconds: int = parameter(300, "how long it goes on", most=604_800)
    hour: int = parameter(0, "hours that pass before the first", least=0, most=8760)
    every: int = parameter(1, "hours from one to the next", most=8760)
    ipv6: int = parameter(0, "1: between the IPv6 addresses of the same hosts", least=0, most=1)
    label: str = parameter("", "how its labels begin; its class where empty")

    def __post_init__(self) -> None:
        for name, each in self.parameters().items():
            value, meta = getattr(self, name), each.metadata
            if isinstance(value, str):
                if meta["choices"] and value not in meta["choices"]:
                    raise SettingsError(
                        f"{self.name()}: {name} is {value!r}, but must be one of {', '.join(meta['choices'])}"
                    )
            elif not value >= meta["least"]:
                raise SettingsError(f"{self.name()}: {name} is {value:g}, but at least {meta['least']:g} is needed")
            elif meta["most"] is not None and value > meta["most"]:
                raise SettingsError(f"{self.name()}: {name} is {value:g}, but at most {meta['most']:g} is possible")

    @classmethod
    def name(cls) -> str:
        """Return what it is called by who chooses it.

        >>> type("SlowScan", (Episode,), {}).name()
        'slow_scan'
        """
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def parameters(cls) -> dict[str, Field[Any]]:
        """Return its parameters by name: the default is its own, what they mean may be told by a base class."""
        told: dict[str, Field[Any]] = {}
        for base in reversed(cls.__mro__):
            declared = base.__dict__.get("__dataclass_fields__", {})
            told |= {name: each for name, each in declared.items() if "meaning" in each.metadata}
        return {each.name: told[each.name] for each in fields(cls) if each.name in told}

    @property
    def period(self) -> int:
        """Hours from one to the next: none begins before the one before has ended."""
        return max(self.every, -(-self.seconds // 3600))

    @abstractmethod
    def play(self, stage: Stage) -> Played:
        """Let it happen. The same stage gives the same, always."""

    def truth(self, played: Played, stage: Stage) -> list[Truth]:
        """Label what was played, and what else happened with it."""
        return [self._label(each, stage) for each in played.everything]

    def _label(self, played: Played, stage: Stage) -> Truth:
        ends = played.conversations.select(begin=pl.col("begin").min(), end=(pl.col("begin") + pl.col("seconds")).max())
        begin, end = ends.row(0)
        own = "" if played.kind is None else f"/{played.kind}"
        return Truth(
            id=f"{self.label or type(self).__name__}/{stage.begin}{own}",
            kind=played.kind or self.kind,
            source=None if played.source is None else stage.address(played.source),
            target=None if played.target is None else stage.address(played.target),
            start=begin,
            end=end,
            expect=self.expect,
            grade=self.grade,
            note=played.note,
        )
