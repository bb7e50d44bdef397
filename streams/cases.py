"""An operator's own cases: flows in, findings that are expected or forbidden."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from detectors.addresses import network_of
from detectors.finding import Direction, Finding, Severity, Status
from streams.detect import detect, last_states
from streams.errors import InputError, SettingsError, did_you_mean
from streams.generate import Traffic
from streams.generate.chosen import choose
from streams.settings import Settings, load, merged
from streams.sources.contract import Block, PlacelessSource, Position, Source
from streams.sources.files import FileSource
from streams.sources.generated import GeneratedSource
from streams.tuning_settings import Addresses, Kind, Port

_SHOWN: Final = 5
"""How many findings are named at most that were found instead."""

_PORTS: Final = 8
"""How many ports of one are named at most."""

_NAMES: Final = {
    "suppressed_by": "suppressed by",
    "vpc_id": "vpc",
    "account_id": "account",
    "interface_id": "interface",
}

SettingsHere = Path | Mapping[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expectation(_Section):
    """What a finding must be like, as far as that is given; empty, any finding is."""

    kind: Kind | None = Field(default=None, description="Its kind.")
    severity: Severity | None = Field(default=None, description="Its severity.")
    status: Status | None = Field(default=None, description="Its status in the end.")
    entity: Addresses | None = Field(default=None, description="Address or network of whom it is about.")
    source: Addresses | None = Field(default=None, description="Address or network of who acts; null for many.")
    target: Addresses | None = Field(default=None, description="Address or network of who is acted on; null for many.")
    ports: tuple[Port, ...] = Field(default=(), description="Ports that it lists, among others.")
    protocol: int | None = Field(default=None, description="IANA protocol number; null for several.")
    direction: Direction | None = Field(default=None, description="Its direction.")
    scope: str | None = Field(default=None, description="Name space of the entity's address.")
    account_id: str | None = Field(default=None, description="Account of the interface that reported it.")
    vpc_id: str | None = Field(default=None, description="VPC of the interface that reported it.")
    interface_id: str | None = Field(default=None, description="Interface that reported it.")
    suppressed_by: str | None = Field(
        default=None, description="The suppression that keeps it back; without, it must not be suppressed."
    )
    observed: bool = Field(default=False, description="Whether its detector only observes.")

    def fits(self, finding: Finding) -> bool:
        """Say whether a finding is like that."""
        told = (finding.suppressed_by, finding.observed) == (self.suppressed_by, self.observed)
        return told and all(_fits(getattr(self, name), getattr(finding, name)) for name in self.model_fields_set)

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        words = [str(given.pop("kind", None) or "a finding")]
        words += [f"{_NAMES.get(name, name)} {_written(value)}" for name, value in given.items()]
        return ", ".join(words)


class Generated(_Section):
    """Generated traffic: ordinary one, and in it the episodes that are named and no others."""

    attacks: tuple[str, ...] = Field(default=(), description="As `flowhawk generate --attack` takes them.")
    lookalikes: tuple[str, ...] = Field(default=(), description="As `flowhawk generate --lookalike` takes them.")
    seed: int = Field(default=1, ge=0, description="Other seeds give other traffic.")
    minutes: int = Field(default=60, ge=1, description="How long it goes on.")
    hosts: int = Field(default=200, ge=20, description="Hosts in the network.")
    rate: int = Field(default=8000, ge=1, description="Lines in a minute, about.")
    aggregation: Literal[60, 600] = Field(default=60, description="Seconds that a record lasts at most.")
    ipv6: float = Field(default=0, ge=0, le=1, description="Part of the ordinary conversations that go over IPv6.")

    def source(self) -> Source:
        """Invent it.

        Raises
        ------
        SettingsError
            When an episode is unknown, or a parameter of it makes no sense.
        """
        episodes = (*choose(self.attacks, expect=True), *choose(self.lookalikes, expect=False))
        return GeneratedSource(
            Traffic(
                seed=self.seed,
                minutes=self.minutes,
                hosts=self.hosts,
                records_per_minute=self.rate,
                aggregation=self.aggregation,
                ipv6=self.ipv6,
                episodes=episodes,
            )
        )


class Case(_Section):
    """One case: what comes in, and what must come out or must not."""

    name: str = Field(min_length=1, description="What it is about, in a line.")
    flows: str = Field(default="", description="Flow records, as lines.")
    files: tuple[Path, ...] = Field(
        default=(), description="Files of flow records; relative ones are beside this file."
    )
    generate: Generated | None = Field(default=None, description="Generated traffic.")
    settings: SettingsHere = Field(
        default={}, description="Settings, over those of all cases; or the path of a settings file, in their place."
    )
    expect: tuple[Expectation, ...] = Field(default=(), description="Findings of which each must be there.")
    forbid: tuple[Expectation, ...] = Field(default=(), description="Findings of which none may be there.")

    @model_validator(mode="after")
    def _is_a_case(self) -> Self:
        if not (self.flows.strip() or self.files or self.generate is not None):
            raise ValueError("nothing comes in; give flows, files or generate")
        if not (self.expect or self.forbid):
            raise ValueError("nothing is asked; give expect or forbid, which is [{}] where nothing may be found")
        return self


class Cases(_Section):
    """A file of cases."""

    settings: SettingsHere = Field(
        default={}, description="Settings of all cases, or the path of a settings file, relative to this one."
    )
    cases: tuple[Case, ...] = Field(description="The cases.")

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if not self.cases:
            raise ValueError("there is no case under cases")
        return self


class _Inline(PlacelessSource):
    """Lines that stand in the file of cases."""

    name = "inline"

    def __init__(self, text: str) -> None:
        self.acknowledged = 0
        self._text = text.strip("\n").encode()

    @property
    def size(self) -> int:
        return len(self._text)

    @property
    def consumed(self) -> int:
        return len(self._text)

    def blocks(self) -> Iterator[Block]:
        yield Block(self._text, {}, self._text.count(b"\n") + 1, "flows", len(self._text), 1)

    def resume(self, positions: Mapping[str, Position]) -> None:
        del positions

    def acknowledge(self, block: Block) -> None:
        self.acknowledged = block.position


def read(path: Path) -> Cases:
    """Read a file of cases.

    Raises
    ------
    SettingsError
        When it cannot be read, or holds what is no case; one line per mistake.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: holds no cases; they stand under 'cases:'")
    try:
        return Cases.model_validate(document)
    except ValidationError as error:
        raise SettingsError("\n".join(f"{path}: {_mistake(dict(each))}" for each in error.errors())) from error


def run(path: Path, cases: Cases) -> Iterator[tuple[Case, list[str]]]:
    """Run the cases of a file one after the other.

    Yields
    ------
    tuple
        A case, and what is wrong; nothing when it is as it should be.

    Raises
    ------
    SettingsError
        When a case names settings, files or episodes that make no sense.
    """
    for place, case in enumerate(cases.cases):
        try:
            settings = _settings(path.parent, cases.settings, case.settings)
            sources = _sources(path.parent, case)
        except (SettingsError, InputError) as error:
            lines = (f"{path}: cases.{place}: {line}" for line in str(error).splitlines())
            raise SettingsError("\n".join(lines)) from error
        yield case, list(_wrong(case, sources, settings))


def _settings(folder: Path, general: SettingsHere, own: SettingsHere) -> Settings:
    if isinstance(own, Path):
        return load(folder / own)
    if isinstance(general, Path):
        return load(folder / general, own)
    return load(overrides=merged(general, own))


def _sources(folder: Path, case: Case) -> list[Source]:
    sources: list[Source] = [_Inline(case.flows)] if case.flows.strip() else []
    sources += [FileSource(str(folder / each)) for each in case.files]
    return [*sources, case.generate.source()] if case.generate is not None else sources


def _wrong(case: Case, sources: Sequence[Source], settings: Settings) -> Iterator[str]:
    found, kept_back, refused = list[Finding](), list[Finding](), list[str]()
    try:
        for outcome, blocks in detect(sources, settings):
            found += outcome.findings
            kept_back += outcome.suppressed
            for message, line, reason, _ in outcome.refused.rows():
                refused.append(f"{blocks[message].origin}:{blocks[message].line + line - 1}: {reason}")
    except InputError as error:
        yield from str(error).splitlines()
    if refused:
        yield f"lines were refused ({len(refused)}), the first is {refused[0]}"
    standing = last_states([*kept_back, *found])
    for each in case.expect:
        if not any(each.fits(finding) for finding in standing):
            yield f"expected {each}; found {_instead(each, standing)}"
    for each in case.forbid:
        fitting = [finding for finding in standing if each.fits(finding)]
        if fitting:
            yield f"forbidden is {each}; found {_named(fitting)}"


def _instead(expected: Expectation, findings: Sequence[Finding]) -> str:
    """Name what was found, of the same kind before all else."""
    return _named(sorted(findings, key=lambda finding: finding.kind != expected.kind)) if findings else "nothing"


def _named(findings: Sequence[Finding]) -> str:
    more = len(findings) - _SHOWN
    return "; ".join([_said(each) for each in findings[:_SHOWN]] + [f"{more} more"] * (more > 0))


def _said(finding: Finding) -> str:
    words = [finding.kind, f"source {_written(finding.source)}", f"target {_written(finding.target)}"]
    more = " ..." * (len(finding.ports) > _PORTS)
    words += [f"ports {_written(finding.ports[:_PORTS])}{more}"] if finding.ports else []
    words += [finding.severity, finding.direction, finding.status]
    words += [f"suppressed by {finding.suppressed_by}"] if finding.suppressed_by else []
    return ", ".join([*words, *["observed"] * finding.observed])


def _written(value: Any) -> str:
    """Write a value for people.

    >>> _written(None), _written((22, 80)), _written(True), _written("192.0.2.1")
    ('many', '22 80', 'yes', '192.0.2.1')
    """
    words: Mapping[Any, Callable[[Any], str]] = {
        type(None): lambda _: "many",
        tuple: lambda several: " ".join(map(str, several)),
        bool: lambda holds: "yes" if holds else "no",
    }
    return words.get(type(value), str)(value)


def _fits(expected: Any, found: Any) -> bool:
    if isinstance(expected, tuple):
        return set(expected) <= set(found)
    if isinstance(expected, str) and isinstance(found, str) and expected != found:
        try:
            return ip_address(found) in network_of(expected)
        except ValueError:
            return False
    return bool(expected == found)


def _mistake(error: Mapping[str, Any]) -> str:
    """Say in a line what is wrong at which place of the document."""
    location = [str(part) for part in error["loc"]]
    key, message = ".".join(location), str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"{key} is no key of {_section(location)[0]}{did_you_mean(location[-1], _section(location)[1])}"
    message = f"{message[:1].lower()}{message[1:]}" if message[1:2].islower() else message
    return f"{key}: {message}" if key else message


def _section(location: Sequence[str]) -> tuple[str, list[str]]:
    """Name the section that a key stands in, and the keys that it may have."""
    if {"expect", "forbid"} & set(location):
        return "a finding", list(Expectation.model_fields)
    if "generate" in location:
        return "generate", list(Generated.model_fields)
    return ("a case", list(Case.model_fields)) if len(location) > 1 else ("the file", list(Cases.model_fields))
