"""Settings of the service's own log."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LogSettings(BaseModel):
    """The service's own log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level written.")
    format: Literal["console", "json"] = Field(default="console", description="How lines are written.")
    burst: int | None = Field(
        default=10,
        ge=1,
        description="Lines of one kind in a minute at most; how many more there were is said. Null for all.",
    )
