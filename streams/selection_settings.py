"""Settings of what is published at all: rules for what to drop, and sampling."""

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _network(text: str) -> str:
    ip_network(text)
    return text


Port = Annotated[int, Field(ge=0, le=65_535)]


class DropRule(BaseModel):
    """Records that are not published: everything given must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["ACCEPT", "REJECT"] | None = Field(default=None, description="What was done with the traffic.")
    log_status: Literal["OK", "NODATA", "SKIPDATA"] | None = Field(default=None, description="Status of the record.")
    ports: tuple[Port, ...] = Field(default=(), description="Ports, of which either end must have one.")
    cidr: Annotated[str, AfterValidator(_network)] | None = Field(
        default=None, description="Network that either address lies in."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self == type(self).model_construct():
            raise ValueError("a rule without conditions would drop everything; give action, log_status, ports or cidr")
        return self


class SelectionSettings(BaseModel):
    """What `publish` and `ingest` leave out. Only lines of text are looked into."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: tuple[DropRule, ...] = Field(default=(), description="Records that are not published: any rule is enough.")
    sample_one_in: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Of so many conversations one is published; statistics scale back up. 1 publishes all.",
    )
    records_per_second: int | None = Field(
        default=None, ge=1, description="How many records are published a second at most."
    )
