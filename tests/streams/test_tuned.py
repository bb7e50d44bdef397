import json
from pathlib import Path

import pytest
import yaml

from detectors.catalogue import cards
from detectors.scaled import thresholds
from streams.settings import load
from streams.tune import DAY, TIMES, Report, Trial, Tuning
from streams.tuned import document, length, settings_text


def report(*findings: int, kind: str = "exfiltration_burst") -> Report:
    raised = thresholds(cards()[kind])
    trials = tuple(
        Trial(times, {each.name: each.default * times for each in raised}, number, number, number / 2)
        for times, number in zip(TIMES, findings, strict=True)
    )
    return Report(0, 2 * DAY, 0, (Tuning(kind, raised, trials),))


FEWER = tuple(range(len(TIMES), 0, -1))


def test_settings_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text(settings_text(report(*FEWER), 2))
    assert load(path).detectors == {
        "exfiltration_burst": {
            "floor_bytes": 48_000_000,
            "floor_hour_bytes": 300_000_000,
            "floor_day_bytes": 600_000_000,
            "deviations": 24,
        }
    }


def test_what_was_tried_stands_above_as_comments() -> None:
    lines = [" ".join(line.split()) for line in settings_text(report(*FEWER), 2).splitlines()]
    assert lines[0] == "# Tried on 1970-01-01 00:00 to 1970-01-03 00:00 UTC (2 d 0 h 0 min)."
    assert "# x1 8,000,000 9 4.5 9" in lines
    assert [line for line in lines if line.startswith("# > x")] == ["# > x6 48,000,000 4 2.0 4"]


def test_where_nothing_is_calm_enough_what_is_in_force_stays() -> None:
    text = settings_text(report(*FEWER), 0)
    assert "Even x16 finds more" in text
    in_force = {each.name: each.default for each in thresholds(cards()["exfiltration_burst"])}
    assert yaml.safe_load(text) == {"detectors": {"exfiltration_burst": in_force}}


@pytest.mark.parametrize("kind", cards())
def test_lines_fit_a_narrow_terminal(kind: str) -> None:
    text = settings_text(report(*[each * 10_000 for each in FEWER], kind=kind), 2)
    assert max(map(len, text.splitlines())) <= 80


def test_programs_get_everything() -> None:
    said = json.loads(document(report(*FEWER), 2))
    assert (said["days"], said["per_day"]) == (2, 2)
    detector = said["detectors"]["exfiltration_burst"]
    assert [trial["times"] for trial in detector["trials"]] == list(TIMES)
    assert detector["wanted"]["values"]["floor_bytes"] == 48_000_000
    assert json.loads(document(report(*FEWER), 0))["detectors"]["exfiltration_burst"]["wanted"] is None


def test_length_is_said_in_days_hours_and_minutes() -> None:
    assert length(Report(0, DAY + 3720, 0, ())) == "1 d 1 h 2 min"
