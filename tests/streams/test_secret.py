from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from streams.errors import SettingsError
from streams.secret import WithSecrets

WORD = "correct horse"


class Login(WithSecrets):
    """A login."""

    password: SecretStr | None = Field(default=None, description="Password.")
    password_file: Path | None = Field(default=None, description="File that holds the password instead.")


def test_a_secret_is_never_shown() -> None:
    login = Login(password=SecretStr(WORD))
    assert WORD not in f"{login!r} {login} {login.model_dump()} {login.model_dump_json()}"
    assert login.secret("password") == WORD


def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "password"
    login = Login(password_file=path)
    for word in (WORD, "battery staple"):
        path.write_text(f"{word}\n")
        assert login.secret("password") == word


def test_without_either_there_is_none() -> None:
    assert Login().secret("password") is None
    assert not Login().has_secret("password")
    assert Login(password=SecretStr("")).has_secret("password")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"password_file: .*/none cannot be read: No such file"):
        Login(password_file=tmp_path / "none").secret("password")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    with pytest.raises(SettingsError, match=r"binary cannot be read: it is not text in UTF-8"):
        Login(password_file=tmp_path / "binary").secret("password")


def test_both_are_one_too_many() -> None:
    with pytest.raises(ValidationError, match="give password or password_file, not both"):
        Login(password=SecretStr(WORD), password_file=Path("password"))
