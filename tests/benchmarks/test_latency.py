import json
from pathlib import Path

import pytest

from benchmarks.latency import PORTS, Scans
from benchmarks.recovery import current_again
from benchmarks.steady import Probes, at, templates
from streams.detect import detect
from streams.settings import load
from streams.sources.files import FileSource


def finding(source: str | None) -> bytes:
    return json.dumps({"source": source}).encode()


def test_each_scan_is_timed_until_the_first_finding_of_its_source() -> None:
    scans = Scans(2)
    lines = [
        line for now in (1000.2, 1000.3, 1001.2, 1009.9) for value in scans.due(now) for line in value.split(b"\n")
    ]
    assert len(lines) == 2 * PORTS
    first, second = scans.sent
    scans.sent = {first: 1000.0, second: 1002.0}
    for value, now in (
        (finding(second), 1003.0),
        (finding("10.0.0.1"), 1003.5),
        (finding(None), 1003.6),
        (b"", 1003.7),
    ):
        scans.heard(value, now)
    assert list(scans.found) == [second]
    scans.heard(finding(second), 1050.0)
    scans.heard(finding(first), 1021.0)
    assert scans.complete
    assert sorted(scans.seconds()) == [1.0, 21.0]


def test_a_scan_is_one_that_flowhawk_finds(tmp_path: Path) -> None:
    path = tmp_path / "scan.log"
    (value,) = Scans(1).due(1_767_603_600.7)
    path.write_bytes(value)
    found = [each for outcome, _ in detect([FileSource(str(path))], load()) for each in outcome.findings]
    assert {(each.kind, each.source) for each in found} == {("vertical_scan", "10.200.0.1")}


def test_probes_that_are_seen_again_say_when_they_were_sent() -> None:
    probes = Probes(every_seconds=1)
    sent = [value for now in (10.0, 10.5, 11.25) for value in probes.due(now)]
    assert len(sent) == 2
    for value in (*sent, b"other garbage"):
        probes.heard(value, 12.0)
    assert probes.seen == [(10.0, 12.0), (11.25, 12.0)]


def test_the_load_bears_the_time_at_which_it_is_sent() -> None:
    messages = templates(2_000, hosts=50)
    assert len(messages) == 2
    lines = at(messages[0], 1_800_000_000.5).split(b"\n")
    assert len(lines) == 1_000
    assert {tuple(line.split()[10:12]) for line in lines} == {(b"1800000000", b"1800000000")}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], None),
        ([(9.0, 9.1)], None),
        ([(9.5, 10.2), (10.5, 30.0)], None),
        ([(9.5, 10.2), (10.5, 30.0), (29.5, 30.1), (30.0, 30.2)], 30.1),
    ],
)
def test_a_worker_has_caught_up_once_a_probe_of_after_the_kill_is_not_held_up(
    seen: list[tuple[float, float]], expected: float | None
) -> None:
    assert current_again(seen, killed=10.0) == expected
