import json
from pathlib import Path

import pytest
import yaml

from detectors.catalogue import cards
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import flowhawk


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [line for ports in (20, 35) for line in scan(f"203.0.113.{ports}", ports=ports)]
    path = tmp_path / "flows.log"
    path.write_text("\n".join([*lines, flow(end=NINE + 48 * 3600)]))
    return path


def test_what_it_prints_are_settings_that_give_as_many_findings_as_are_wanted(tmp_path: Path, log: Path) -> None:
    done = flowhawk("tune", "--per-day", "0.6", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(yaml.safe_load(done.stdout)["detectors"]) == set(cards())
    tuned = tmp_path / "tuned.yaml"
    tuned.write_text(done.stdout)
    (finding,) = flowhawk("detect", "--config", tuned, log).stdout.splitlines()
    assert json.loads(finding)["source"] == "203.0.113.35"


def test_detectors_and_thresholds_may_be_chosen(log: Path) -> None:
    done = flowhawk("tune", "--detector", "vertical_scan", "--parameter", "ports", log)
    assert yaml.safe_load(done.stdout) == {"detectors": {"vertical_scan": {"ports": 15}}}
    done = flowhawk("tune", "--parameter", "ports", "--per-day", "0.6", log)
    assert yaml.safe_load(done.stdout) == {"detectors": {"vertical_scan": {"ports": 22}}}


def test_programs_get_json(log: Path) -> None:
    said = json.loads(flowhawk("tune", "--json", "--detector", "vertical_scan", log).stdout)
    assert [trial["findings"] for trial in said["detectors"]["vertical_scan"]["trials"]][2:5] == [2, 2, 1]


def test_less_than_a_day_and_refused_lines_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text(f"{flow()}\ngarbage")
    done = flowhawk("tune", "--detector", "vertical_scan", path)
    assert done.returncode == 0
    short, refused = done.stderr.splitlines()
    assert short.startswith("flowhawk: the input covers 0 h 1 min, less than a day: ")
    assert refused == "flowhawk: 1 lines were refused; flowhawk parse names them"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--detector", "vertical_scam"), "did you mean 'vertical_scan'?"),
        (("--parameter", "prots"), "did you mean 'ports'?"),
        (("--per-day", "-1"), "-1.0 is not in the range x>=0"),
    ],
)
def test_what_there_is_not_is_wrong_usage(log: Path, arguments: tuple[str, ...], message: str) -> None:
    done = flowhawk("tune", *arguments, log)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
