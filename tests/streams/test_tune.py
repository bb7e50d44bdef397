from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from detectors.catalogue import cards
from detectors.contract import Parameter
from detectors.scaled import thresholds
from streams.detect import detect, last_states
from streams.errors import InputError
from streams.pipeline import Pipeline
from streams.settings import load
from streams.sources import source_at
from streams.tune import DAY, TIMES, Report, Trial, Tuning, tune
from tests.streams.flow_lines import NINE, flow, scan


def tried(path: Path, raised: dict[str, tuple[Parameter, ...]] | None = None, **sections: Any) -> Report:
    settings = load(None, sections)
    return tune([source_at(str(path))], settings, Pipeline(settings), raised)


def found(path: Path, **sections: Any) -> Counter[str]:
    states = [each for outcome, _ in detect([source_at(str(path))], load(None, sections)) for each in outcome.findings]
    return Counter(each.kind for each in last_states(states))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a busy 40 minutes: scans of many sizes, sweeps, uploads and refusals."""
    lines = [flow(end=NINE + 30 + 60 * minute) for minute in range(40)]
    for number, ports in enumerate((5, 9, 14, 20, 33, 70)):
        lines += scan(f"203.0.113.{number}", ports=ports, end=NINE + 30 + 300 * number)
    for number, targets in enumerate((8, 13, 30, 60)):
        lines += [
            flow(f"198.51.100.{number}", f"10.0.1.{each}", port=445, action="REJECT", end=NINE + 50 + 480 * number)
            for each in range(targets)
        ]
    for number, size in enumerate((6_000_000, 12_000_000, 30_000_000)):
        lines += [flow(f"10.0.2.{number}", size=1000, end=NINE + 40 + 60 * minute) for minute in range(40)]
        lines.append(flow(f"10.0.2.{number}", "192.0.2.9", size=size, end=NINE + 1220 + 300 * number))
    for number, records in enumerate((45, 70, 130), 1):
        lines += [
            flow(f"192.0.2.{each}", f"10.0.3.{number}", port=8443, action="REJECT", end=NINE + 20 + 600 * number)
            for each in range(records)
        ]
    path = tmp_path / "flows.log"
    path.write_text("\n".join(lines))
    return path


def test_each_setting_finds_what_detect_finds_with_it(log: Path) -> None:
    report = tried(log)
    differing = set()
    for tuning in report.tunings:
        for trial in (tuning.trials[TIMES.index(0.5)], tuning.trials[TIMES.index(2)]):
            expected = found(log, detectors={tuning.kind: dict(trial.values)})[tuning.kind]
            assert trial.findings == expected, (tuning.kind, trial)
            if expected != tuning.in_force.findings:
                differing.add(tuning.kind)
    assert differing >= {"vertical_scan", "horizontal_scan", "exfiltration_burst", "rejected_spike"}


def test_every_detector_is_tried_at_what_is_in_force_and_above_and_below(log: Path) -> None:
    report = tried(log, detectors={"vertical_scan": {"ports": 30}})
    assert [tuning.kind for tuning in report.tunings] == list(cards())
    for tuning in report.tunings:
        assert tuple(trial.times for trial in tuning.trials) == TIMES
        assert tuning.raised == thresholds(cards()[tuning.kind])
    (vertical,) = (each for each in report.tunings if each.kind == "vertical_scan")
    assert vertical.in_force.values == {"ports": 30, "distributed_ports": 60}
    assert vertical.in_force.findings == found(log, detectors={"vertical_scan": {"ports": 30}})["vertical_scan"]


def test_findings_a_day_and_hosts_are_counted(log: Path) -> None:
    report = tried(log)
    assert report.end - report.begin == 40 * 60
    (vertical,) = (each for each in report.tunings if each.kind == "vertical_scan")
    assert (vertical.in_force.findings, vertical.in_force.hosts) == (3, 3)
    assert vertical.in_force.a_day == pytest.approx(3 * 36)


def test_one_threshold_may_be_varied_alone(log: Path) -> None:
    ports = thresholds(cards()["vertical_scan"])[:1]
    (tuning,) = tried(log, {"vertical_scan": ports}).tunings
    assert {trial.values["ports"] for trial in tuning.trials} >= {4, 15, 240}
    assert {tuple(trial.values) for trial in tuning.trials} == {("ports",)}


def test_lines_that_are_refused_are_counted_and_without_records_there_is_nothing_to_try(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text(f"garbage\n{flow()}")
    assert tried(path).refused == 1
    path.write_text("garbage")
    with pytest.raises(InputError, match="no records, and 1 lines that were refused"):
        tried(path)


def tuning(*findings: int) -> Tuning:
    return Tuning(
        "vertical_scan",
        thresholds(cards()["vertical_scan"]),
        tuple(Trial(times, {}, number, 1, number) for times, number in zip(TIMES, findings, strict=False)),
    )


@pytest.mark.parametrize(
    ("findings", "per_day", "times"),
    [
        ((9, 7, 5, 3, 1, 0), 1, 1.5),
        ((9, 7, 5, 3, 1, 0), 6, 0.75),
        ((9, 7, 5, 3, 1, 0), 0, 2),
        # Where lower ones find nothing more, they are left alone.
        ((1, 1, 1, 1, 1, 0), 1, 1),
        ((0, 0, 0, 0, 0, 0), 1, 1),
        # What comes to more again further up is not calm.
        ((9, 0, 5, 3, 1, 0), 1, 1.5),
        ((9, 7, 5, 3, 2, 2), 1, None),
    ],
)
def test_the_sharpest_that_is_calm_enough_is_wanted(
    findings: tuple[int, ...], per_day: float, times: float | None
) -> None:
    wanted = tuning(*findings).wanted(per_day)
    assert (None if wanted is None else wanted.times) == times


def test_a_report_says_how_many_days_it_covers() -> None:
    assert Report(0, 2 * DAY, 0, ()).days == 2
