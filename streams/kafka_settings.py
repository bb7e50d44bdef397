"""Settings of the broker, the same for every client of it."""

import ssl
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from detectors.route import SHARDS
from streams.errors import SettingsError
from streams.oauth_settings import OauthSettings
from streams.secret import held
from streams.tokens import FileTokens, MskTokens, ProviderTokens, Tokens, for_loops, for_threads

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class KafkaSettings(BaseModel):
    """How to reach Kafka."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: tuple[str, ...] = Field(
        default=("localhost:9092",), min_length=1, description="Brokers to ask first, each host:port."
    )
    group_id: str = Field(default="flowhawk", min_length=1, description="Consumer group of the workers.")
    security_protocol: SecurityProtocol = Field(default="PLAINTEXT", description="How connections are protected.")
    ssl_ca_file: Path | None = Field(default=None, description="Certificates to trust; else the system's.")
    ssl_certificate_file: Path | None = Field(default=None, description="Own certificate, for mutual TLS.")
    ssl_key_file: Path | None = Field(default=None, description="Key of the own certificate.")
    sasl_mechanism: SaslMechanism | None = Field(
        default=None, description="How to log in, with a SASL security protocol."
    )
    sasl_username: str | None = Field(default=None, description="User to log in as.")
    sasl_password: SecretStr | None = Field(default=None, description="Password of the user.")
    sasl_password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    oauth: OauthSettings = Field(
        default=OauthSettings(), description="Where tokens come from, with the mechanism OAUTHBEARER."
    )
    msk_region: str | None = Field(
        default=None,
        description="Region of the cluster, with the mechanism AWS_MSK_IAM; else that of AWS's configuration.",
    )
    fetch_wait_ms: int = Field(
        default=50, ge=1, le=30_000, description="How long a broker may hold a fetch while it has nothing new."
    )
    session_timeout_seconds: float = Field(
        default=9.0, ge=6, description="Silence after which a worker's partitions go to others."
    )

    @model_validator(mode="after")
    def _login_is_complete(self) -> "KafkaSettings":
        if self.security_protocol.startswith("SASL") and (
            self.sasl_mechanism is None or (self.sasl_username is None and not self.has_tokens)
        ):
            raise ValueError(f"{self.security_protocol} needs sasl_mechanism and sasl_username")
        if self.sasl_mechanism == "OAUTHBEARER" and not self.oauth.says_where:
            raise ValueError("OAUTHBEARER needs oauth.token_file or oauth.token_url")
        if self.sasl_mechanism == "AWS_MSK_IAM" and self.security_protocol != "SASL_SSL":
            raise ValueError("AWS_MSK_IAM needs security_protocol SASL_SSL")
        if self.sasl_password is not None and self.sasl_password_file is not None:
            raise ValueError("give sasl_password or sasl_password_file, not both")
        return self

    @property
    def has_tokens(self) -> bool:
        """Whether it logs in with tokens instead of a password."""
        return self.sasl_mechanism in {"OAUTHBEARER", "AWS_MSK_IAM"}


class Topic(BaseModel):
    """Name and shape of a topic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$", description="Name of the topic.")
    partitions: int = Field(default=1, ge=1, description="Partitions when Flowhawk creates it.")
    replication: int = Field(default=1, ge=1, description="Copies when Flowhawk creates it.")
    min_in_sync: int | None = Field(
        default=None,
        ge=1,
        description="Copies that must be in sync to write, when Flowhawk creates it; null for the broker's own.",
    )
    retention_hours: int = Field(default=168, ge=1, description="How long records are kept, in hours.")
    compacted: bool = Field(default=False, description="Whether only the last record of each key is kept.")

    @model_validator(mode="after")
    def _copies_suffice(self) -> "Topic":
        if self.min_in_sync is not None and self.min_in_sync > self.replication:
            raise ValueError(f"min_in_sync is {self.min_in_sync}, above the {self.replication} of replication")
        return self

    @property
    def configuration(self) -> dict[str, str]:
        """Configuration of the topic as Kafka's admin interface takes it."""
        in_sync = {} if self.min_in_sync is None else {"min.insync.replicas": str(self.min_in_sync)}
        if not self.compacted:
            return in_sync | {"cleanup.policy": "delete", "retention.ms": str(self.retention_hours * 3_600_000)}
        # Whoever restores state reads all that is not compacted yet, so that must stay little.
        return in_sync | {
            "cleanup.policy": "compact",
            "segment.bytes": str(64 << 20),
            "min.cleanable.dirty.ratio": "0.1",
            "delete.retention.ms": "3600000",
        }


MOST_PARTS: Final = SHARDS
"""Partitions of hosts at most: a shard lies in one of them."""


class TopicSettings(BaseModel):
    """The topics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    create: bool = Field(default=True, description="Whether `run` creates the topics that are missing.")
    flows: Topic = Field(default=Topic(name="flows"), description="Flow records in.")
    flows_dead_letter: Topic = Field(
        default=Topic(name="flows-dead-letter"), description="Refused records, with the reason in their headers."
    )
    flows_late: Topic = Field(default=Topic(name="flows-late"), description="Records that came too late to count.")
    findings: Topic = Field(default=Topic(name="findings", compacted=True), description="Findings, keyed by id.")
    state: Topic = Field(
        default=Topic(name="flowhawk-state", compacted=True), description="Checkpoints of the workers' state."
    )
    flows_by_host: Topic = Field(
        default=Topic(name="flows-by-host", partitions=4, retention_hours=24),
        description="Blocks of records by host, with the topology by-host: how many workers may share the work.",
    )
    partials: Topic = Field(
        default=Topic(name="partials", retention_hours=24),
        description="What partitions of hosts say of panes that close, with the topology by-host; one partition.",
    )
    questions: Topic = Field(
        default=Topic(name="questions", retention_hours=1),
        description="What they are asked, with the topology by-host; one partition.",
    )
    positions: Topic = Field(
        default=Topic(name="flowhawk-positions", compacted=True),
        description="How far `ingest` has read each file, object or log group.",
    )

    @model_validator(mode="after")
    def _shapes_hold(self) -> "TopicSettings":
        for name in ("partials", "questions"):
            count = getattr(self, name).partitions
            if count != 1:
                raise ValueError(f"{name}.partitions is {count} and must be 1, as everybody hears everything")
        if self.flows_by_host.partitions > MOST_PARTS:
            raise ValueError(
                f"flows_by_host.partitions is {self.flows_by_host.partitions}, above the {MOST_PARTS} shards of hosts "
                "that can be shared out"
            )
        return self

    @property
    def all(self) -> tuple[Topic, ...]:
        """Every topic of the topology direct."""
        return (self.flows, self.flows_dead_letter, self.flows_late, self.findings, self.state, self.positions)

    @property
    def by_host(self) -> tuple[Topic, ...]:
        """The topics that the topology by-host has besides."""
        return (self.flows_by_host, self.partials, self.questions)

    def of(self, topology: str) -> tuple[Topic, ...]:
        """Every topic of a topology."""
        return (*self.all, *self.by_host) if topology == "by-host" else self.all


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Say to kafka-python how to reach the broker.

    Raises
    ------
    streams.errors.SettingsError
        When the password file cannot be read.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": settings.security_protocol,
    }
    files = {
        "ssl_cafile": settings.ssl_ca_file,
        "ssl_certfile": settings.ssl_certificate_file,
        "ssl_keyfile": settings.ssl_key_file,
    }
    arguments |= {name: str(path) for name, path in files.items() if path is not None}
    return arguments | _login(settings, for_threads)


def _login(settings: KafkaSettings, for_client: Callable[[Tokens], Any]) -> dict[str, Any]:
    """Say to a client how to log in."""
    if settings.sasl_mechanism is None:
        return {}
    if settings.has_tokens:
        # What MSK signs with goes over the wire as any token does.
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": for_client(tokens(settings))}
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password(settings),
    }


@cache
def tokens(settings: KafkaSettings) -> Tokens:
    """Return where tokens come from, the same for all clients, and see to it that there is one.

    Raises
    ------
    streams.errors.SettingsError
        When a setting is at fault.
    streams.errors.KafkaUnavailable
        When there is none to be had.
    """
    found: Tokens
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        found = MskTokens(settings.msk_region)
    elif settings.oauth.token_file is not None:
        found = FileTokens(settings.oauth.token_file)
    else:
        found = ProviderTokens(settings.oauth)
    found.token()
    return found


def password(settings: KafkaSettings) -> str:
    """Return the password, from the settings or from its file.

    Raises
    ------
    streams.errors.SettingsError
        When the file cannot be read.
    """
    if settings.sasl_password is not None:
        return settings.sasl_password.get_secret_value()
    if settings.sasl_password_file is None:
        return ""
    return held(settings.sasl_password_file, "kafka.sasl_password_file").rstrip("\n")


def asyncio_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Say to aiokafka how to reach the broker.

    Raises
    ------
    streams.errors.SettingsError
        When a file that the settings name cannot be read.
    """
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        arguments["ssl_context"] = tls(settings)
    return arguments | _login(settings, for_loops)


def tls(settings: KafkaSettings) -> ssl.SSLContext:
    """Make the context of protected connections.

    Raises
    ------
    streams.errors.SettingsError
        When a certificate or key cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_certificate_file is not None:
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file)
    except OSError as error:
        files = (settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file)
        named = ", ".join(str(file) for file in files if file is not None)
        raise SettingsError(f"kafka.ssl_*_file: {named} cannot be used: {error}") from error
    return context
