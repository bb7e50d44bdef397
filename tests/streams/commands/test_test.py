from pathlib import Path

import pytest
import yaml

from tests.streams.flow_lines import scan
from tests.streams.programs import flowhawk


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    (tmp_path / "flows.log").write_text("\n".join(scan()))
    path = tmp_path / "cases.yaml"
    good = {"name": "a scan is found", "files": ["flows.log"], "expect": [{"kind": "vertical_scan"}]}
    bad = {"name": "a scan is not found", "files": ["flows.log"], "forbid": [{"kind": "vertical_scan"}]}
    path.write_text(yaml.safe_dump({"cases": [good, bad]}))
    return path


def test_each_case_is_a_line_and_what_is_wrong_goes_to_standard_error(cases: Path) -> None:
    done = flowhawk("test", cases)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"ok     {cases}: a scan is found", f"FAILED {cases}: a scan is not found"]
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"flowhawk: {cases}: a scan is not found: forbidden is vertical_scan; found vertical_scan, ")


def test_the_status_is_0_when_everything_is_as_it_should_be(cases: Path) -> None:
    document = yaml.safe_load(cases.read_text())
    cases.write_text(yaml.safe_dump({"cases": document["cases"][:1]}))
    done = flowhawk("test", cases, cases)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"ok     {cases}: a scan is found"] * 2


def test_the_status_is_2_before_anything_runs_when_a_file_holds_no_cases(cases: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("cases: []")
    done = flowhawk("test", cases, other)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"flowhawk: {other}: there is no case under cases\n"
