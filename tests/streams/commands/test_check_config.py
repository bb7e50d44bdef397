import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from streams.commands.check_config import command
from streams.errors import SettingsError
from streams.settings import PREFIX

SECRET = "hush-hush-42"  # noqa: S105 - looked for in what must not show it


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


def check(path: Path | None = None, **environment: str) -> Result:
    return CliRunner().invoke(command, [str(path)] if path else [], env=environment)


def test_defaults_are_fine() -> None:
    result = check()
    assert (result.exit_code, result.output) == (0, "environment: fine, 0 settings differ from their defaults\n")


def test_what_differs_is_listed_wherever_it_was_set(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "http": {"port": 9469},
                "topics": {"flows": {"name": "vpc"}},
                "detectors": {"vertical_scan": {"ports": 20}},
                "networks": {"scopes": [{"name": "lab"}]},
            }
        )
    )
    result = check(path, FLOWHAWK__LOG__LEVEL="debug")
    first, *others = result.output.splitlines()
    assert result.exit_code == 0
    assert first == f"{path}: fine, 4 settings differ from their defaults"
    assert [line.split(": ")[0] for line in others] == [
        "  topics.flows.name",
        "  networks.scopes",
        "  detectors",
        "  log.level",
    ]
    assert "  topics.flows.name: vpc" in others


def test_suppressions_that_have_expired_are_named(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    rules = [
        {"name": name, "owner": "security team", "reason": "scans", "scope": "vpc-1", "expires": f"{year}-01-01T12:00"}
        for name, year in (("past", 2020), ("to come", 2999))
    ]
    path.write_text(yaml.safe_dump({"suppressions": rules}))
    result = check(path)
    assert result.exit_code == 0
    assert result.stderr == "flowhawk: suppression 'past' of security team expired at 2020-01-01T12:00Z; take it out\n"
    assert "{'name': 'to come', 'owner': 'security team', 'reason': 'scans'," in result.stdout


def test_secrets_are_not_shown() -> None:
    result = check(FLOWHAWK__KAFKA__SASL_PASSWORD=SECRET)
    assert result.exit_code == 0
    assert "kafka.sasl_password: **********" in result.output
    assert SECRET not in result.output


def test_a_mistake_is_an_error_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text("kafka: {sasl_pasword: hush-hush-42}")
    result = check(path)
    assert isinstance(result.exception, SettingsError)
    assert str(result.exception) == f"{path}: kafka.sasl_pasword is no setting; did you mean 'sasl_password'?"


def test_the_file_that_is_shipped_is_fine_and_says_nothing_but_defaults() -> None:
    shipped = Path(__file__).parents[3] / "config" / "flowhawk.yaml"
    result = check(shipped)
    assert result.output == f"{shipped}: fine, 0 settings differ from their defaults\n"
