"""Settings of the HTTP endpoints."""

from pydantic import BaseModel, ConfigDict, Field


class HttpSettings(BaseModel):
    """Metrics and health over HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; loopback unless you choose otherwise.")
    port: int = Field(default=9469, ge=0, le=65_535, description="Port to listen on; 0 takes any free one.")
