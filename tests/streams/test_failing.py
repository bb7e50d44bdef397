"""How the service says that it cannot go on."""

import subprocess
import sys

import pytest

from streams.errors import FAILED


@pytest.mark.parametrize(("error", "shows_where"), [("GapError", False), ("ServiceError", False), ("ValueError", True)])
def test_what_people_can_do_something_about_is_told_in_a_line(error: str, shows_where: bool) -> None:
    lines = [
        "from detectors.span import GapError",
        "from streams.errors import ServiceError",
        "from streams.service import fail",
        f"fail('the watch agent cannot go on', {error}('rows are missing'))",
    ]
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert ended.returncode == FAILED
    assert ended.stderr.startswith("flowhawk: the watch agent cannot go on")
    assert ("rows are missing" in ended.stderr.splitlines()[0]) is not shows_where
    assert (len(ended.stderr.splitlines()) > 1) is shows_where
