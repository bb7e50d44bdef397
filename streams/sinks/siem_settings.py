"""Settings of the sinks that tell other systems: webhooks, syslog, AWS Security Hub."""

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator
from yarl import URL

from detectors.finding import SEVERITIES, Finding, Severity
from streams.errors import SettingsError, did_you_mean
from streams.formats import formats
from streams.secret import WithSecrets


def _known(name: str) -> str:
    if name not in formats():
        raise ValueError(f"{name!r} is no format{did_you_mean(name, formats())}")
    return name


FormatName = Annotated[str, AfterValidator(_known)]


class _Told(BaseModel):
    """What every one of these sinks may be told, and be called."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_severity: Severity = Field(default="low", description="Findings of less severity are not sent.")
    provisional: bool = Field(default=True, description="Whether findings are sent that are not certain yet.")
    observed: bool = Field(default=False, description="Whether findings of detectors that only observe are sent.")

    def of(self, findings: Sequence[Finding]) -> list[Finding]:
        """Leave the findings that are to be sent."""
        least = SEVERITIES.index(self.least_severity)
        return [
            each
            for each in findings
            if SEVERITIES.index(each.severity) >= least
            and (self.provisional or not each.provisional)
            and (self.observed or not each.observed)
        ]


class _Protected(BaseModel):
    """Certificates of protected connections."""

    tls_ca_file: Path | None = Field(default=None, description="Certificates to trust; else the system's.")
    tls_certificate_file: Path | None = Field(default=None, description="Own certificate, for mutual TLS.")
    tls_key_file: Path | None = Field(default=None, description="Key of the own certificate.")

    def tls(self, setting: str) -> ssl.SSLContext:
        """Make the context of protected connections.

        Raises
        ------
        streams.errors.SettingsError
            When a certificate or key cannot be used; it names the setting.
        """
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file)
            if self.tls_certificate_file is not None:
                context.load_cert_chain(self.tls_certificate_file, self.tls_key_file)
        except OSError as error:
            files = (self.tls_ca_file, self.tls_certificate_file, self.tls_key_file)
            named = ", ".join(str(file) for file in files if file is not None)
            raise SettingsError(f"{setting}.tls_*_file: {named} cannot be used: {error}") from error
        return context


class WebhookSettings(WithSecrets, _Told, _Protected):
    """A web server that takes findings."""

    url: str = Field(
        description="Where findings are posted, over HTTP or HTTPS.", examples=["https://siem.example/findings"]
    )
    format: FormatName = Field(default="flowhawk", description="`flowhawk`, `ocsf`, `ecs` or `cef`.")
    signing_key: SecretStr | None = Field(default=None, description="Key that bodies are signed with; else none are.")
    signing_key_file: Path | None = Field(default=None, description="File that holds the key instead.")
    headers: dict[str, SecretStr] = Field(default={}, description="Further headers, such as Authorization.")
    headers_file: Path | None = Field(
        default=None, description="File that holds further headers instead, a line each: `Name: value`."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, description="How long an answer may take.")
    batch: int = Field(default=100, ge=1, description="Findings in one request at most.")

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        # It may hold a secret, so it is not quoted.
        try:
            known = URL(url).origin().scheme in {"http", "https"}
        except ValueError:
            known = False
        if not known:
            raise ValueError("is no address of a web server, such as https://siem.example/findings")
        return url

    @field_validator("headers")
    @classmethod
    def _one_line(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            _require_header(name, value.get_secret_value())
        return headers

    def key(self) -> bytes | None:
        """Return the key, from the settings or from its file; None where there is none.

        Raises
        ------
        streams.errors.SettingsError
            When the file cannot be read.
        """
        key = self.secret("signing_key")
        return None if key is None else key.encode()

    def all_headers(self) -> dict[str, str]:
        """Return the further headers, from the settings or from their file.

        Raises
        ------
        streams.errors.SettingsError
            When the file cannot be read, or holds something else.
        """
        if self.headers_file is None:
            return {name: value.get_secret_value() for name, value in self.headers.items()}
        try:
            lines = [line for line in self.headers_file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"sinks.webhook.headers_file: {self.headers_file} cannot be read: {error}") from error
        parted = [line.partition(":") for line in lines]
        headers = {name.strip(): value.strip() for name, _, value in parted}
        try:
            for name, value in headers.items():
                _require_header(name, value)
        except ValueError as error:
            raise SettingsError(f"sinks.webhook.headers_file: {self.headers_file}: {error}") from error
        return headers


def _require_header(name: str, value: str) -> None:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{name!r} is no name of a header")
    if not value.isprintable():
        raise ValueError(f"the value of {name} has characters that no header may have, such as the end of a line")


Facility = Literal[
    "user", "daemon", "auth", "authpriv", "audit",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip


class SyslogSettings(_Told, _Protected):
    """A collector of syslog messages."""

    host: str = Field(
        min_length=1, description="Host name or address of the collector.", examples=["collector.example"]
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Its port; else 514, or 6514 where `transport` is `tls`."
    )
    transport: Literal["udp", "tcp", "tls"] = Field(
        default="tls", description="How messages get there; over `udp` they get lost without anybody noticing."
    )
    format: FormatName = Field(default="cef", description="Text of the messages: `flowhawk`, `ocsf`, `ecs` or `cef`.")
    facility: Facility = Field(default="local0", description="Facility of the messages.")
    hostname: str | None = Field(default=None, description="Who the messages say sends them; else this host's name.")
    enterprise: int = Field(
        default=32_473, ge=1, description="Private enterprise number of the structured data; 32473 is for examples."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, description="How long connecting, or sending, may take.")

    @property
    def reached_at(self) -> int:
        """The port of the collector."""
        return self.port or (6514 if self.transport == "tls" else 514)


class SecurityHubSettings(_Told):
    """AWS Security Hub in one account and region."""

    account_id: str = Field(
        pattern=r"^\d{12}$",
        description="Account that imports the findings; the caller's own.",
        examples=["111122223333"],
    )
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d+$", description="Its region.", examples=["eu-central-1"])
    profile: str | None = Field(default=None, description="Profile of AWS's own settings; else its usual rules.")
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Endpoint to ask instead of the region's public one."
    )
    timeout_seconds: float = Field(default=10.0, gt=0, description="How long an answer may take.")
