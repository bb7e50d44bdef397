"""Settings of the sink that tells Alertmanagers."""

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from streams.secret import WithSecrets

IDENTITY: Final = ("alertname", "kind", "severity", "host", "scope", "account", "vpc", "direction")
"""Labels that every finding is given; empty ones are left out, as Alertmanager does."""

PLACEHOLDERS: Final = ("kind", "id", "host", "source", "target", "severity")
"""What a link may hold in braces."""

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _address(text: str) -> str:
    parts = urlsplit(text)
    if "@" in text:
        raise ValueError("an address is shown in logs and metrics: say who logs in with username and password")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no address such as http://alertmanager:9093")
    return text.rstrip("/")


def _link(text: str) -> str:
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"{text!r} has a brace that is not closed; write {{{{ for a brace") from error
    if unknown := sorted(set(fields) - set(PLACEHOLDERS)):
        raise ValueError(f"{{{unknown[0]}}} is unknown in a link; there are {', '.join(PLACEHOLDERS)}")
    return text


Address = Annotated[str, AfterValidator(_address)]
Link = Annotated[str, AfterValidator(_link)]


class AlertmanagerSettings(WithSecrets):
    """Alerts to Alertmanager, one for each attack that goes on."""

    urls: tuple[Address, ...] = Field(
        min_length=1,
        description="Alertmanagers; each is told everything.",
        examples=[["http://localhost:9093"]],
    )
    username: str | None = Field(default=None, description="User to log in as, with a password.")
    password: SecretStr | None = Field(default=None, description="Password of the user.")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")
    bearer_token: SecretStr | None = Field(default=None, description="Token to log in with.")
    bearer_token_file: Path | None = Field(default=None, description="File that holds the token instead.")
    headers: Mapping[str, SecretStr] | None = Field(default=None, description="Further HTTP headers, by name.")
    headers_file: Path | None = Field(
        default=None, description="File that holds the headers instead, as YAML: a name and a value in each line."
    )
    tls_ca_file: Path | None = Field(default=None, description="Certificates to trust; else the system's.")
    tls_certificate_file: Path | None = Field(default=None, description="Own certificate, for mutual TLS.")
    tls_key_file: Path | None = Field(default=None, description="Key of the own certificate.")
    timeout_seconds: float = Field(default=10.0, gt=0, description="How long an Alertmanager may take to answer.")
    interval_seconds: float = Field(default=1.0, gt=0, description="How often alerts that have changed are sent.")
    resend_seconds: float = Field(default=60.0, gt=0, description="How often an alert is sent again while it is open.")
    resolved_seconds: float = Field(
        default=900.0, ge=0, description="How long an alert is sent again after it was resolved."
    )
    send_provisional: bool = Field(
        default=True, description="Whether findings that are not certain yet are sent; else they are held back."
    )
    labels: Mapping[str, str] = Field(
        default={}, description="Further labels of every alert, for example the environment."
    )
    runbook_url: Link | None = Field(
        default=None, description="What to do about a finding; may hold `{kind}`, `{id}`, `{host}` and others."
    )
    dashboard_url: Link | None = Field(default=None, description="Where to see more of it; the same.")
    finding_url: Link | None = Field(default=None, description="Where the finding itself is shown; the same.")
    queue_capacity: int = Field(
        default=10_000, ge=256, description="Alerts that wait for an Alertmanager; of more, the oldest are dropped."
    )
    batch_size: int = Field(default=256, ge=2, description="Alerts in one request at most.")
    new_alerts_per_interval: int = Field(
        default=20, ge=1, description="New alerts in an interval at most, the most severe first; others wait."
    )
    open_alerts: int = Field(
        default=2_000,
        ge=1,
        description="Findings that are open as alerts at once at most; what is beyond is summed up in one alert.",
    )

    @model_validator(mode="after")
    def _login(self) -> Self:
        basic, bearer = self.has_secret("password"), self.has_secret("bearer_token")
        if (self.username is not None) != basic:
            raise ValueError("username and password are given together, or neither")
        if basic and bearer:
            raise ValueError("give a password or a bearer token, not both")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file are given together, or neither")
        return self

    @model_validator(mode="after")
    def _further_labels(self) -> Self:
        for name in self.labels:
            if name in IDENTITY:
                raise ValueError(f"labels: {name} is a label that alerts have already")
            if not _LABEL.fullmatch(name):
                raise ValueError(f"labels: {name!r} is no name of a label: letters, digits and underscores")
        return self
