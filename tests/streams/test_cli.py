import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli import command
from tests.streams.flow_lines import scan
from tests.streams.programs import FLOWHAWK, flowhawk

COMMANDS = sorted(
    path.stem.replace("_", "-") for path in (Path(__file__).parents[2] / "streams" / "commands").glob("[a-z]*.py")
)
HEAVY = ("aiokafka", "confluent_kafka", "faust", "kafka", "numpy", "polars", "pydantic", "rich")


def test_help_lists_every_command_with_what_it_does() -> None:
    done = flowhawk("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split() for line in done.stdout.split("Commands:\n")[1].splitlines()]
    assert [words[0] for words in listed] == COMMANDS
    assert all(len(words) > 1 for words in listed)


def test_help_needs_none_of_the_libraries_that_load_slowly() -> None:
    script = (
        "import sys; from streams.cli import command; command(['--help'], standalone_mode=False); "
        f"print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    result = CliRunner().invoke(command, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: command {name}")


@pytest.mark.parametrize("arguments", [["-h"], ["detectors", "-h"], ["topics", "create", "-h"]])
def test_help_may_be_asked_for_in_short(arguments: list[str]) -> None:
    done = flowhawk(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: flowhawk")


def test_the_version_is_that_of_the_package() -> None:
    assert flowhawk("--version").stdout == f"flowhawk, version {version('flowhawk')}\n"


@pytest.mark.parametrize("arguments", [["no-such-command"], ["up", "--no-such-option"], ["check_config"]])
def test_wrong_usage_is_exit_status_2_without_a_traceback(arguments: list[str]) -> None:
    done = flowhawk(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: flowhawk")
    assert "Error: No such" in done.stderr


def test_an_error_is_a_line_each_with_its_exit_status(tmp_path: Path) -> None:
    config = tmp_path / "flowhawk.yaml"
    config.write_text("http: {prot: 1}\nlog: {levl: info}")
    done = flowhawk("check-config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"flowhawk: {config}: http.prot is no setting; did you mean 'port'?",
        f"flowhawk: {config}: log.levl is no setting; did you mean 'level'?",
    ]


def test_a_reader_that_leaves_is_no_reason_for_a_traceback(tmp_path: Path) -> None:
    log = tmp_path / "flows.log"
    log.write_text("\n".join(line for host in range(20) for line in scan(f"203.0.113.{host}")))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [FLOWHAWK, "detect", str(log)], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")
