"""A section of the settings for each sink there is: `sinks.NAME`, which is off where it is null or absent."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

import streams.sinks
from detectors.discovery import implementations
from streams.sinks import Sink, Surroundings

_SWITCHES: Final[Mapping[Any, Any]] = {True: {}, False: None, "true": {}, "false": None, "null": None}


@cache
def sinks() -> Mapping[str, type[Sink]]:
    """Return every sink there is, by name, in the order of their names."""
    found = implementations(streams.sinks, Sink)  # type: ignore[type-abstract]  # mypy issue 4717
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def is_switchable(annotation: Any) -> bool:
    """Say whether a setting is a section that may be null.

    >>> is_switchable(Path | None), is_switchable(BaseModel | None), is_switchable(BaseModel)
    (False, True, False)
    """
    several = get_args(annotation)
    return type(None) in several and any(isinstance(each, type) and issubclass(each, BaseModel) for each in several)


def _switched(value: Any) -> Any:
    """Take `true` for a section with its defaults, and `false` for none."""
    return _SWITCHES.get(value, value) if isinstance(value, bool | str) else value


class SinkSections(BaseModel):
    """Where findings go besides the topic; a section that is null is off, `true` stands for one with its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    json_lines_path: Path | None = Field(
        default=None, description="File that every state of a finding is added to: short for `json_lines.path`."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_for_a_section(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("json_lines_path") is None:
            return data
        if data.get("json_lines"):
            raise ValueError("give json_lines.path or json_lines_path, not both")
        return {**data, "json_lines": {"path": data["json_lines_path"]}}


if TYPE_CHECKING:
    SinkSettings = SinkSections
else:
    SinkSettings = create_model(
        "SinkSettings",
        __base__=SinkSections,
        __doc__=SinkSections.__doc__,
        **{
            name: (
                Annotated[sink.settings | None, BeforeValidator(_switched)],
                Field(default=sink.default, description=sink.settings.__doc__),
            )
            for name, sink in sinks().items()
        },
    )


def configured_sinks(settings: SinkSections, surroundings: Surroundings) -> list[Sink]:
    """Make the sinks that the settings ask for.

    Raises
    ------
    streams.errors.FlowhawkError
        When what the settings name cannot be used.
    """
    return [make_sink(name, section, surroundings) for name, section in sections(settings).items()]


def sections(settings: SinkSections) -> Mapping[str, BaseModel]:
    """Return the sections of the sinks that are on, by name."""
    asked = {name: getattr(settings, name) for name in sinks()}
    return {name: section for name, section in asked.items() if section is not None}


def make_sink(name: str, section: BaseModel, surroundings: Surroundings) -> Sink:
    """Make a sink of its section.

    Raises
    ------
    streams.errors.FlowhawkError
        When what the section names cannot be used.
    """
    return sinks()[name].make(section, surroundings)
