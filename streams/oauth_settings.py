"""Settings of tokens to log in with, instead of a password."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class OauthSettings(BaseModel):
    """Where tokens come from, with the mechanism OAUTHBEARER: a file, or an identity provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: Path | None = Field(
        default=None, description="File with a token that somebody else renews; read for each connection."
    )
    token_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where the identity provider gives tokens for a client's credentials (RFC 6749, section 4.4).",
    )
    client_id: str | None = Field(default=None, description="Who asks the identity provider.")
    client_secret: SecretStr | None = Field(default=None, description="Secret of the client.")
    client_secret_file: Path | None = Field(default=None, description="File that holds the secret instead.")
    scope: str | None = Field(default=None, description="Scope to ask for, if the identity provider wants one.")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.token_file is not None and self.token_url is not None:
            raise ValueError("give token_file or token_url, not both")
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("give client_secret or client_secret_file, not both")
        if self.token_url is not None and (
            self.client_id is None or (self.client_secret is None and self.client_secret_file is None)
        ):
            raise ValueError("token_url needs client_id and client_secret or client_secret_file")
        return self

    @property
    def says_where(self) -> bool:
        """Whether there is somewhere to get a token from."""
        return self.token_file is not None or self.token_url is not None
