"""Settings that keep findings few and useful: they apply at once when the settings are read again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from detectors.addresses import network_of
from detectors.catalogue import cards
from detectors.finding import Direction
from streams.errors import did_you_mean


def _word(value: object) -> object:
    """Undo what YAML makes of the word off."""
    return "off" if value is False else value


Mode = Annotated[Literal["active", "observe", "off"], BeforeValidator(_word)]
Port = Annotated[int, Field(ge=0, le=65535)]
Values = Mapping[str, Mapping[str, float]]


def known_kind(kind: str) -> str:
    """Return the kind of a detector.

    Raises
    ------
    ValueError
        When there is none of that kind.
    """
    if kind not in cards():
        raise ValueError(f"no detector is called {kind!r}{did_you_mean(kind, cards())}")
    return kind


def known_parameters(value: Values) -> Values:
    """Return values of parameters by kind and name, held against the cards.

    Raises
    ------
    ValueError
        When a kind or a name is unknown, or a value is below the minimum.
    """
    for kind, parameters in value.items():
        known = {parameter.name: parameter for parameter in cards()[known_kind(kind)].parameters}
        for name, number in parameters.items():
            if name not in known:
                raise ValueError(f"{kind} has no parameter {name!r}{did_you_mean(name, known)}")
            if not number >= known[name].minimum:
                raise ValueError(f"{kind}.{name} is {number:g}, below its minimum {known[name].minimum:g}")
    return value


def _address(text: str) -> str:
    network_of(text)
    return text


def _moment(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Addresses = Annotated[str, AfterValidator(_address)]
Kind = Annotated[str, AfterValidator(known_kind)]
Parameters = Annotated[Values, AfterValidator(known_parameters)]


def _given(section: BaseModel, names: tuple[str, ...]) -> bool:
    return any(getattr(section, name) not in {None, ()} for name in names)


class SuppressionSettings(BaseModel):
    """Findings that are expected, and so not told: everything given must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the suppression, in metrics and in findings.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    reason: str = Field(min_length=1, description="Why it is there.")
    expires: Annotated[datetime, AfterValidator(_moment)] | None = Field(
        default=None,
        description="When it ends, in the time of the records; UTC unless it says otherwise, a date is its begin.",
    )
    kinds: tuple[Kind, ...] = Field(default=(), description="Kinds of findings.")
    sources: tuple[Addresses, ...] = Field(default=(), description="Where the acting address lies.")
    targets: tuple[Addresses, ...] = Field(default=(), description="Where the address acted on lies.")
    ports: tuple[Port, ...] = Field(default=(), description="Ports that all ports of a finding must be among.")
    tags: tuple[str, ...] = Field(default=(), description="Tags of which the finding's entity has one.")
    directions: tuple[Direction, ...] = Field(default=(), description="Directions, seen from the internal networks.")
    scope: str | None = Field(default=None, description="Name space of the entity's address.")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not _given(self, ("kinds", "sources", "targets", "ports", "tags", "directions", "scope")):
            raise ValueError("would hide everything; give kinds, sources, targets, ports, tags, directions or scope")
        return self


class OverrideSettings(BaseModel):
    """Other values of parameters for some hosts: the longest prefix wins, and of equal ones the last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    networks: tuple[Addresses, ...] = Field(default=(), description="Networks and addresses of the hosts.")
    tags: tuple[str, ...] = Field(default=(), description="Tags whose addresses they are.")
    scope: str | None = Field(default=None, description="Name space that the addresses must be in.")
    detectors: Parameters = Field(description="Parameters by kind, as under `detectors`.")
    reason: str = Field(default="", description="Why they are other ones.")

    @model_validator(mode="after")
    def _says_whose(self) -> Self:
        if not _given(self, ("networks", "tags", "scope")):
            raise ValueError("is for no host; give networks, tags or scope, or set the parameters under detectors")
        return self


Suppressions = tuple[SuppressionSettings, ...]
Overrides = tuple[OverrideSettings, ...]
Modes = Mapping[Kind, Mode]
Tags = Mapping[str, tuple[Addresses, ...]]


def require_tags(tags: Tags, suppressions: Suppressions, overrides: Overrides) -> None:
    """Require that every tag that is used is declared, and every name of a suppression is used once.

    Raises
    ------
    ValueError
        When one is not.
    """
    used: list[tuple[str, Any]] = [
        *((f"suppressions.{place}", each) for place, each in enumerate(suppressions)),
        *((f"overrides.{place}", each) for place, each in enumerate(overrides)),
    ]
    for where, each in used:
        for tag in each.tags:
            if tag not in tags:
                raise ValueError(f"{where}: no tag is called {tag!r}{did_you_mean(tag, tags) if tags else ''}")
    names = [each.name for each in suppressions]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two suppressions are called {twice[0]!r}")
