"""Secrets in settings: given as they are, or by the file that holds them, and never shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from streams.errors import SettingsError


class WithSecrets(BaseModel):
    """A section some of whose fields are secrets.

    Each field of `SecretStr` has a twin of `Path` that is called like it with `_file` behind. One of both may be given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        for name in type(self).model_fields:
            plain = name.removesuffix("_file")
            if plain != name and getattr(self, name) and getattr(self, plain, None):
                raise ValueError(f"give {plain} or {name}, not both")
        return self

    def has_secret(self, name: str) -> bool:
        """Say whether a secret was given, in either way."""
        return getattr(self, name) is not None or getattr(self, f"{name}_file") is not None

    def secret(self, name: str) -> str | None:
        """Return a secret, from the settings or from its file as it is now; None where neither is given.

        Raises
        ------
        streams.errors.SettingsError
            When the file cannot be read.
        """
        given: SecretStr | None = getattr(self, name)
        if given is not None:
            return given.get_secret_value()
        path: Path | None = getattr(self, f"{name}_file")
        if path is None:
            return None
        return held(path, f"{name}_file").rstrip("\r\n")


def held(path: Path, setting: str) -> str:
    """Return the text in a file that a setting names.

    Raises
    ------
    streams.errors.SettingsError
        When it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise SettingsError(f"{setting}: {path} cannot be read: {reason}") from error


def secret_fields(section: type[BaseModel]) -> Mapping[str, Any]:
    """Return the fields of a section that hold secrets.

    >>> class Login(WithSecrets):
    ...     user: str
    ...     password: SecretStr | None = None
    ...     password_file: Path | None = None
    >>> list(secret_fields(Login))
    ['password']
    """
    return {name: field for name, field in section.model_fields.items() if "SecretStr" in str(field.annotation)}
