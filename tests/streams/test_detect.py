from pathlib import Path

import pytest

from detectors.finding import Finding
from streams.detect import detect, last_states
from streams.errors import InputError
from streams.pipeline import Outcome
from streams.settings import Settings
from streams.sources.files import FileSource
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.found import findings

HOUR = 3600


def stored(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def outcomes(*paths: Path, block_bytes: int = 200) -> list[Outcome]:
    sources = [FileSource(str(path), block_bytes=block_bytes) for path in paths]
    return [outcome for outcome, _ in detect(sources, Settings())]


def found(*paths: Path) -> list[Finding]:
    return last_states([finding for outcome in outcomes(*paths) for finding in outcome.findings])


def quiet(begin: int) -> list[str]:
    return [flow(end=end) for end in range(begin, begin + HOUR, 600)]


def test_the_end_of_the_file_closes_everything(tmp_path: Path) -> None:
    (finding,) = found(stored(tmp_path / "a.log", *scan()))
    assert (finding.kind, finding.status) == ("vertical_scan", "closed")


def test_files_that_follow_each_other_make_nothing_late_in_either_order(tmp_path: Path) -> None:
    first = stored(tmp_path / "first.log", *quiet(NINE), *scan(end=NINE + HOUR))
    second = stored(tmp_path / "second.log", *quiet(NINE + HOUR + 60), *scan("203.0.113.99", end=NINE + 2 * HOUR + 60))
    for paths in ([first, second], [second, first]):
        assert sum(len(outcome.late) for outcome in outcomes(*paths)) == 0
    assert found(first, second) == found(second, first)
    assert [finding.source for finding in found(first, second)] == ["203.0.113.9", "203.0.113.99"]


def test_an_attack_split_over_files_is_found_as_one(tmp_path: Path) -> None:
    lines = scan(ports=24)
    halves = [stored(tmp_path / f"{half}.log", *lines[half::2]) for half in (0, 1)]
    whole = found(stored(tmp_path / "whole.log", *lines))
    assert found(*halves) == whole
    assert whole[0].value == 24
    assert found(halves[0]) == []


def test_refused_lines_come_with_the_blocks_they_stand_in(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.log", *quiet(NINE), "garbage", *quiet(NINE + HOUR), "nonsense")
    named = [
        (blocks[message].origin, blocks[message].line + line - 1)
        for outcome, blocks in detect([FileSource(str(path), block_bytes=300)], Settings())
        for message, line, _, _ in outcome.refused.rows()
    ]
    assert named == [(str(path), 7), (str(path), 14)]


def test_a_file_that_breaks_off_does_not_keep_the_others_from_being_read(tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.log.gz", stored(tmp_path / "good.log", *scan())
    broken.write_bytes(b"\x1f\x8b\x08\x00 and no more of it")
    heard: list[Finding] = []

    def listen() -> None:
        for outcome, _ in detect([FileSource(str(broken)), FileSource(str(good))], Settings()):
            heard.extend(outcome.findings)

    with pytest.raises(InputError, match=r"broken\.log\.gz: stops being readable"):
        listen()
    assert [finding.status for finding in heard] == ["open", "closed"]


def test_nothing_comes_of_no_records(tmp_path: Path) -> None:
    assert found(stored(tmp_path / "empty.log")) == []
    assert outcomes() == []


def test_of_each_finding_the_last_state_counts_unless_it_was_taken_back() -> None:
    one, two, three = (finding for finding in findings(3) if finding.status == "open")
    states = [
        three.model_copy(update={"first_seen": NINE - 60}),
        one,
        two,
        one.model_copy(update={"updates": 1}),
        two.model_copy(update={"status": "retracted"}),
    ]
    assert last_states(states) == [states[0], states[3]]
    same_time = sorted([one, two, three], key=lambda finding: finding.id)
    assert last_states([one, two, three]) == same_time
