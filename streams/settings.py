"""Every setting there is, read from defaults, a YAML file, the environment and the command line.

Each of these is stronger than the one before.

Each section is declared beside the code that uses it; this module puts them together and says what is wrong.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from detectors.statistics.connections import LOGIN_PORTS
from streams.block_settings import BlockSettings
from streams.checkpoint_settings import CheckpointSettings
from streams.errors import SettingsError, did_you_mean
from streams.http_settings import HttpSettings
from streams.ingest_settings import IngestSettings
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.log_settings import LogSettings
from streams.records.settings import NetworkSettings, RecordSettings
from streams.selection_settings import SelectionSettings
from streams.sink_settings import SinkSettings, is_switchable
from streams.tuning_settings import Modes, Overrides, Parameters, Suppressions, Tags, require_tags
from streams.watchdog import WatchdogSettings

PREFIX: Final = "FLOWHAWK__"
DELIMITER: Final = "__"


class TimeSettings(BaseModel):
    """Event time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_lateness_seconds: int = Field(
        default=900,
        ge=0,
        description="How far behind the newest record of its partition a record may end and still count.",
    )
    early_seconds: float = Field(
        default=0.5, gt=0, description="How often `run` looks at open panes, to tell findings before they are certain."
    )
    idle_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Silence after which nobody waits for a partition of flows any more, with the topology by-host.",
    )


Port = Annotated[int, Field(ge=0, le=65535)]


class ServiceSettings(BaseModel):
    """What servers listen for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login_ports: tuple[Port, ...] = Field(
        default=LOGIN_PORTS,
        description="Ports at which people log in: fewer attempts there are guessing than elsewhere.",
    )


class Settings(BaseSettings):
    """All settings. Build it with `load`, which turns what is wrong into one line."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    topology: Literal["direct", "by-host"] = Field(
        default="direct",
        description="How the stages are laid out: direct runs all in one process, by-host shares them among workers.",
    )
    kafka: KafkaSettings = Field(default=KafkaSettings(), description="The broker.")
    topics: TopicSettings = Field(default=TopicSettings(), description="The topics.")
    sources: tuple[str, ...] = Field(
        default=(), description="Places that `ingest` reads, all at once; the reference of sources lists their kinds."
    )
    blocks: BlockSettings = Field(
        default=BlockSettings(), description="How many lines `publish` and `ingest` put into a message."
    )
    ingest: IngestSettings = Field(default=IngestSettings(), description="How `ingest` publishes.")
    selection: SelectionSettings = Field(
        default=SelectionSettings(),
        description="What `publish` and `ingest` leave out. Only lines of text are looked into.",
    )
    records: RecordSettings = Field(default=RecordSettings(), description="How flow records are written.")
    networks: NetworkSettings = Field(default=NetworkSettings(), description="Which addresses are one's own.")
    services: ServiceSettings = Field(default=ServiceSettings(), description="What servers listen for.")
    time: TimeSettings = Field(default=TimeSettings(), description="Event time.")
    detectors: Parameters = Field(
        default={}, description="Parameters of detectors, by kind; `flowhawk detectors` lists them."
    )
    tags: Tags = Field(
        default={}, description="Names for groups of networks and addresses, that suppressions and overrides use."
    )
    overrides: Overrides = Field(
        default=(), description="Other parameters for some hosts; the longest prefix wins, of equal ones the last."
    )
    modes: Modes = Field(
        default={},
        description="Detectors that are not `active`, by kind: `observe` is on record and alerts nobody, `off` is off.",
    )
    suppressions: Suppressions = Field(
        default=(), description="Findings that are expected, and so not told; everything given must match."
    )
    checkpoints: CheckpointSettings = Field(
        default=CheckpointSettings(), description="How often state is made durable."
    )
    watchdog: WatchdogSettings = Field(
        default=WatchdogSettings(), description="When a worker that stands still gives up."
    )
    sinks: SinkSettings = Field(default=SinkSettings(), description="Where findings go besides the topic.")
    http: HttpSettings = Field(default=HttpSettings(), description="Metrics and health over HTTP.")
    log: LogSettings = Field(default=LogSettings(), description="The service's own log.")

    @model_validator(mode="after")
    def _known_tags(self) -> Self:
        require_tags(self.tags, self.suppressions, self.overrides)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` read from everywhere."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class _Environment(EnvSettingsSource):
    """Reads lists in the environment as JSON, or as items between commas."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:
        if not value.lstrip().startswith(("[", "{")):
            if is_switchable(field.annotation):
                return value
            return [item.strip() for item in value.split(",")]
        try:
            return json.loads(value)
        except ValueError as error:
            raise SettingsError(
                f"environment: the value of {field_name} begins like JSON and is none: {error}; "
                "a list may also be written as items between commas"
            ) from error


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    path
        A YAML file; None for none.
    overrides
        Sections from the command line, merged over the file and the environment.

    Raises
    ------
    SettingsError
        When the file cannot be read, a key is unknown or a value makes no sense; one line per mistake.
    """
    _refuse_unknown_environment(os.environ)
    document = merged(_read(path) if path is not None else {}, _Environment(Settings)())
    try:
        return Settings(**merged(document, overrides or {}))
    except ValidationError as error:
        raise SettingsError("\n".join(_line(dict(each), path) for each in error.errors())) from error


def keys(
    model: type[BaseModel] = Settings, prefix: str = "", defaults: BaseModel | None = None
) -> Iterator[tuple[str, Any, str]]:
    """List every setting: its dotted key, its default and its description.

    A section that may be null is one setting: null, true where it is there with its defaults, or what it holds.
    """
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        if is_switchable(field.annotation):
            yield f"{prefix}{name}", _switch(default), field.description or ""
        elif isinstance(default, BaseModel):
            yield from keys(type(default), f"{prefix}{name}.", default)
        else:
            yield f"{prefix}{name}", default, field.description or ""


def _switch(section: BaseModel | None) -> Any:
    return None if section is None else section.model_dump(exclude_defaults=True) or True


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not text in UTF-8") from error
    except yaml.YAMLError as error:
        # Its own text quotes the line, in which there may be a password.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        raise SettingsError(f"{line}: is not YAML: {problem or type(error).__name__}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: holds {type(document).__name__} where sections are expected, such as 'kafka:'")
    # A section all of whose keys are commented out is empty.
    return {str(key): value for key, value in document.items() if value is not None}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay sections over others, key by key.

    >>> merged({"http": {"port": 1, "host": "192.0.2.1"}}, {"http": {"port": 2}})
    {'http': {'port': 2, 'host': '192.0.2.1'}}
    """
    together = dict(below)
    for key, value in above.items():
        under = together.get(key)
        together[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return together


def _refuse_unknown_environment(environment: Mapping[str, str]) -> None:
    known = {PREFIX + key.upper().replace(".", DELIMITER) for key, _, _ in keys()}
    for name in sorted(environment):
        upper = name.upper()
        deeper = any(upper.startswith(each + DELIMITER) for each in known)
        whole = any(each.startswith(upper + DELIMITER) for each in known)
        if upper.startswith(PREFIX) and not (upper in known or deeper or whole):
            raise SettingsError(f"environment variable {name} is no setting{did_you_mean(upper, known)}")


def _line(error: Mapping[str, Any], path: Path | None) -> str:
    location = tuple(str(part) for part in error["loc"])
    key = ".".join(location)
    variable = PREFIX + key.upper().replace(".", DELIMITER)
    from_environment = variable in {name.upper() for name in os.environ}
    where = f"environment variable {variable}" if from_environment else str(path or "settings")
    if error["type"] == "extra_forbidden":
        return f"{where}: {key} is no setting{did_you_mean(location[-1], _siblings(location[:-1]))}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    return f"{where}: {key}: {message}" if key else f"{where}: {message}"


def _siblings(section: tuple[str, ...]) -> list[str]:
    """Name the keys that a section may have; a number is the place of a section in a list."""
    model: Any = Settings
    for part in section:
        if part.isdecimal():
            continue
        annotation = model.model_fields[part].annotation
        inside = [each for each in (annotation, *get_args(annotation)) if hasattr(each, "model_fields")]
        model = inside[0]
    return sorted(model.model_fields)
