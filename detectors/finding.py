"""What a detector says of one pane, and what people see of an attack."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION: Final = 1

Severity = Literal["low", "medium", "high", "critical"]
Status = Literal["open", "closed", "retracted", "superseded"]
Direction = Literal["inbound", "outbound", "internal"]

SEVERITIES: Final[Sequence[Severity]] = ("low", "medium", "high", "critical")
"""From the least to the most severe."""


NETWORK: Final = "network"
"""The entity of what concerns the whole network."""


class _Story(BaseModel):
    """What a detection and a finding both tell."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    kind: str = Field(description="What was found, for example vertical_scan.")
    severity: Severity = Field(description="How much it matters, the same scale for every kind.")
    provisional: bool = Field(description="True while the panes it rests on are still open.")
    entity: str = Field(description="Whom it is about: an address, an interface or the network.")
    source: str | None = Field(description="The acting address; null when there are many.")
    target: str | None = Field(description="The address acted on; null when there are many.")
    ports: tuple[int, ...] = Field(description="Ports of the target that were involved, the lowest ones.")
    protocol: int | None = Field(description="IANA protocol number; null when there are several.")
    direction: Direction = Field(description="Seen from the internal networks.")
    scope: str = Field(description="Name space of the entity's address; empty for public addresses.")
    account_id: str | None = Field(description="Account of the interface that reported it.")
    vpc_id: str | None = Field(description="VPC of the interface that reported it.")
    interface_id: str | None = Field(description="Interface that reported it; null when there are many.")
    window_start: int = Field(description="Begin of the window it rests on, epoch seconds.")
    window_end: int = Field(description="End of the window it rests on, epoch seconds.")
    first_seen: int = Field(description="First record that belongs to it, epoch seconds.")
    last_seen: int = Field(description="Last record that belongs to it, epoch seconds.")
    value: float = Field(description="The statistic that crossed the threshold, at its highest.")
    threshold: float = Field(description="The threshold it was held against.")
    baseline: float | None = Field(description="What is usual for the entity; null where nothing is learned.")
    score: float = Field(ge=0, le=100, description="50 at the threshold, towards 100 far above it.")
    summary: str = Field(description="One sentence a person understands.")
    evidence: Mapping[str, JsonValue] = Field(description="Examples and counts, bounded in size.")
    mitre: tuple[str, ...] = Field(description="MITRE ATT&CK technique identifiers.")
    detector_version: int = Field(description="Version of the detector that said so.")


class Detection(_Story):
    """What a detector says of one entity and one pane.

    `Incidents` turns detections into findings; they travel on the topic `detections`.
    """

    pane: int = Field(description="Begin of the pane whose close raised it, epoch seconds.")
    shard: int = Field(description="Shard of the entity.")
    counterpart_scope: str = Field(
        default="", description="Name space of the other end's address, where there is exactly one."
    )


class Finding(_Story):
    """One attack as people see it: detections merged over time."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    id: str = Field(description="The same for the same attack, in every run.")
    status: Status = Field(description="Whether it goes on, has ended, or turned out to be something else.")
    detected_at: int = Field(description="Event time at which it was raised, epoch seconds.")
    related: tuple[str, ...] = Field(default=(), description="Findings that belong to the same story.")
    superseded_by: str | None = Field(default=None, description="The finding that tells the bigger story.")
    updates: int = Field(default=0, description="How often it was published again after it was raised.")
    suppressed_by: str | None = Field(
        default=None, description="The suppression in the settings that keeps it back; null where none does."
    )
    observed: bool = Field(
        default=False, description="True where its detector only observes: it is on record, and nobody is alerted."
    )


def finding_id(kind: str, entity: str, counterpart: str | None, anchor: int) -> str:
    """Name an attack by what it is, whom it concerns and when it began.

    Parameters
    ----------
    kind
        Kind of the finding.
    entity, counterpart
        Whom it is about, with its scope, and the other end where there is exactly one.
    anchor
        The earliest pane in event time where the condition holds, epoch seconds.

    Examples
    --------
    >>> finding_id("vertical_scan", "/192.0.2.1", "vpc-1/10.0.0.9", 1700000040)
    'da691f068cd3dd2c88c9d41e'
    """
    text = "\x1f".join((kind, entity, counterpart or "", str(anchor)))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a finding, draft 2020-12."""
    schema = Finding.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:flowhawk:finding:{SCHEMA_VERSION}",
        **schema,
    }
