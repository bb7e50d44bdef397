"""Settings of blocks: how many lines become one Kafka message."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

LINE_BYTES: Final = 1 << 20
"""Longer lines are none of a flow log; the longest real ones have a few hundred bytes."""

_ANY: Final = 1 << 62


class BlockSettings(BaseModel):
    """When a block is full; whichever comes first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: int = Field(default=1_000, ge=1, description="Lines in a message at most.")
    bytes: int = Field(
        default=256 << 10, ge=1, le=LINE_BYTES, description="Bytes in a message at most, unless a line is longer."
    )
    compression: Literal["lz4", "zstd"] = Field(
        default="lz4", description="Codec of messages: zstd takes half the space and twice the time."
    )
    ms: int = Field(
        default=200, ge=1, le=60_000, description="How long lines that came may wait for others, in milliseconds."
    )


def of_bytes(size: int) -> BlockSettings:
    """Make settings of blocks of any size, however many lines that is."""
    return BlockSettings.model_construct(records=_ANY, bytes=size, ms=BlockSettings().ms)
