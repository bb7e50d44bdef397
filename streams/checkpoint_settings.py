"""Settings of the checkpoints."""

from pydantic import BaseModel, ConfigDict, Field


class CheckpointSettings(BaseModel):
    """How often state is made durable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval_seconds: float = Field(default=5.0, gt=0, description="Time between checkpoints at most, under load.")
    interval_bytes: int = Field(default=256 << 20, gt=0, description="Bytes of messages between checkpoints at most.")
