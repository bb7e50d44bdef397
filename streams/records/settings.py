"""Settings of the records: how they are written, and which networks are one's own."""

from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from detectors.addresses import PRIVATE_NETWORKS

AWS_DEFAULT_FORMAT: Final = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)


def _network(text: str) -> str:
    ip_network(text)
    return text


Network = Annotated[str, AfterValidator(_network)]


class Scope(BaseModel):
    """A name space of private addresses: everything given must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name of the scope, shown in findings.")
    cidr: Network | None = Field(default=None, description="Network the address lies in.")
    vpc_id: str | None = Field(default=None, description="VPC of the interface that reported it.")
    account_id: str | None = Field(default=None, description="Account of the interface that reported it.")


class RecordSettings(BaseModel):
    """How flow records are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(
        default=AWS_DEFAULT_FORMAT,
        description="Fields of AWS text records that come without a header line, in order.",
    )
    formats: tuple[str, ...] = Field(
        default=(),
        description="Further formats of lines without a header line, recognised by field count, then by content.",
    )
    decompressed_limit_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="How large a compressed Kafka message may become; a larger one is refused whole.",
    )
    tolerate_extra_fields: bool = Field(
        default=False, description="Whether a line with more fields than the format is accepted."
    )
    future_tolerance_seconds: int = Field(
        default=600, ge=0, description="How far a record may end after its Kafka message was written."
    )


class NetworkSettings(BaseModel):
    """Which addresses are one's own, and how repeated private addresses are told apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    internal: tuple[Network, ...] = Field(
        default=PRIVATE_NETWORKS, description="Networks whose hosts are one's own, in CIDR notation."
    )
    scopes: tuple[Scope, ...] = Field(
        default=(),
        description="Name spaces of private addresses, first match wins; else the VPC, else the account.",
    )
