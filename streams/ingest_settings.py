"""Settings of the long-running ingest."""

from pydantic import BaseModel, ConfigDict, Field

from streams.http_settings import HttpSettings


class IngestSettings(BaseModel):
    """How `ingest` publishes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default="ingest",
        min_length=1,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name of this ingest: its positions and its transactions bear it, and only one may run at a time.",
    )
    commit_ms: int = Field(
        default=200, ge=1, le=30_000, description="How long a transaction stays open while there is little to publish."
    )
    http: HttpSettings = Field(
        default=HttpSettings(port=9470), description="Metrics and health of `ingest` over HTTP, on a port of their own."
    )
    transaction_bytes: int = Field(
        default=8 << 20, ge=1 << 16, description="Bytes of lines after which a transaction is committed at once."
    )
