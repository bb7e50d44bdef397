"""Small evaluations of real detectors on real traffic."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluation import recorded
from evaluation.__main__ import VARIANTS, main, scored
from evaluation.attack import ENOUGH, attacks
from evaluation.cases import CASES, LONG_CASES, Case, attacked, attacked_for_a_day, ordinary
from evaluation.report import cases, recall
from streams.errors import InputError
from streams.generate import Traffic
from streams.generate.chosen import choose

FAST = [case for case in CASES if case.label in {"vertical_scan, fast, 240 ports in 3 min", "brute_force, fast, RDP"}]


@pytest.mark.parametrize("case", [*CASES, *LONG_CASES], ids=lambda case: case.label)
def test_every_case_is_an_attack_of_its_kind_and_speed(case: Case) -> None:
    episode = case.episode
    assert (episode.kind, episode.expect) == (case.kind, True)
    least, most = {"fast": (1, 900), "medium": (901, 3600), "slow": (3500, 90_000)}[case.speed]
    assert least <= episode.seconds <= most


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_case_is_in_the_traffic_once_with_time_to_be_confirmed(seed: int) -> None:
    traffic = attacked(seed)
    labels = [each.label for each in attacks(traffic)]
    assert set(labels) - {case.label for case in CASES} == {"horizontal_scan, fast, before guesses"}
    assert len(labels) == len(CASES) + 1
    assert all(traffic.start + 3600 <= each.start and each.end + 1800 <= traffic.end for each in attacks(traffic))


def test_no_two_attacks_of_a_time_share_a_source() -> None:
    there = sorted((each for each in attacks(attacked(2)) if each.sources), key=lambda each: each.start)
    together = [
        {one.label, other.label}
        for one, other in combinations(there, 2)
        if other.start < one.end and one.sources & other.sources
    ]
    assert together == []
    by_source = Counter(source for each in there for source in each.sources)
    assert by_source.most_common(1)[0][1] > 1


def test_the_attacks_of_a_day_fit_in_their_traffic() -> None:
    traffic = attacked_for_a_day(1)
    assert sorted(each.label for each in attacks(traffic)) == sorted(case.label for case in LONG_CASES)


def test_ordinary_traffic_makes_fifty_host_days_and_holds_no_attack() -> None:
    traffic = ordinary(1)
    assert traffic.hosts * traffic.minutes / 1440 >= 50
    assert not any(each.expect for each in attacks(traffic))
    assert len({each.label for each in attacks(traffic)}) >= 12


def test_there_is_enough_evidence_once_the_published_number_is_reached() -> None:
    episodes = choose(["vertical_scan:ports=100,seconds=1000", "vertical_scan:ports=10,seconds=1000"], expect=True)
    steady, small = attacks(Traffic(minutes=30, records_per_minute=300, episodes=episodes))
    per_port = 10
    assert steady.enough == pytest.approx(steady.start + per_port * (ENOUGH["vertical_scan"] - 1), abs=4)
    assert small.enough == small.end


def test_there_is_enough_of_an_exfiltration_once_so_many_bytes_are_out() -> None:
    (sent,) = attacks(
        Traffic(minutes=60, records_per_minute=300, episodes=choose(["exfiltration_burst:connections=8"], expect=True))
    )
    assert sent.enough is not None
    # 400 MB in 8 connections: the second one ends with 100 MB.
    assert (sent.enough - sent.start) / (sent.end - sent.start) == pytest.approx(0.25, abs=0.02)


def test_a_fast_scan_is_found_soon_and_what_nobody_looks_for_is_missed() -> None:
    traffic = Traffic(minutes=100, hosts=60, records_per_minute=400, episodes=tuple(case.episode for case in FAST[:1]))
    got = scored(traffic)
    (row,) = (each for each in cases([got]) if each["name"] == "240 ports in 3 min")
    assert (row["found"], row["as_its_kind"]) == (row["attacks"], row["attacks"])
    assert row["early_delay"][0] < 120 < row["confirmed_delay"][0] < 2_400
    assert got.false == []
    unlooked = scored(Traffic(minutes=40, hosts=60, records_per_minute=400, episodes=()))
    assert (unlooked.verdicts, unlooked.true, unlooked.false) == ([], [], [])
    assert recall(cases([got])) == 1.0


def directory_of(traffic: Traffic, folder: Path, kind: str = "vertical_scan") -> Path:
    (folder / "flows.log").write_bytes(b"".join(traffic.blocks()))
    labels = [
        label.document() | {"set": "mine", "variants": ["60"], "kind": kind}
        for label in traffic.truth()
        if label.expect
    ]
    (folder / "truth.jsonl").write_text("".join(f"{json.dumps(label)}\n" for label in labels))
    files = {"flows.log": {"set": "mine", "variant": "60", "internal": ["10.0.0.0/8"], "host_days": 0.5}}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return folder


SCANNED = Traffic(minutes=12, hosts=40, records_per_minute=300, episodes=choose(["vertical_scan"], expect=True))


def test_recorded_traffic_is_scored_by_its_labels(tmp_path: Path) -> None:
    ((name, got),) = recorded.scores(directory_of(SCANNED, tmp_path))
    assert (name, got.host_days, got.false) == ("flows.log", 0.5, [])
    assert [verdict.found for verdict in got.verdicts] == [True]


def test_a_label_of_another_kind_is_not_found_by_a_scan(tmp_path: Path) -> None:
    ((_, got),) = recorded.scores(directory_of(SCANNED, tmp_path, "exfiltration_burst"))
    assert [verdict.found for verdict in got.verdicts] == [False]
    assert len(got.side) == 1


def test_a_directory_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json and truth\.jsonl are needed"):
        list(recorded.scores(tmp_path))


def test_some_cases_are_run_alone_with_other_seeds_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def small(seed: int, cases: Sequence[Case], **_: int) -> Traffic:
        asked.append((seed, [case.name for case in cases]))
        episodes = tuple(case.episode for case in cases)
        return Traffic(seed=seed, minutes=12, hosts=40, records_per_minute=100, episodes=episodes)

    monkeypatch.setattr("evaluation.__main__.attacked", small)
    result = tmp_path / "result.json"
    asking = ["--seeds", "1", "--first-seed", "11", "--result", str(result), "--only"]
    done = CliRunner().invoke(main, [*asking, "240 ports in 3"])
    assert done.exit_code == 0, done.output
    assert (asked, result.exists()) == ([(11, ["240 ports in 3 min"])], False)
    assert "240 ports in 3 min" in done.stdout
    assert "no case matches" in CliRunner().invoke(main, [*asking, "teleportation"]).output


def test_a_whole_evaluation_writes_its_figures_and_leaves_absent_traffic_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(seed: int, **_: int) -> Traffic:
        return Traffic(
            seed=seed, minutes=30, hosts=40, records_per_minute=300, episodes=tuple(case.episode for case in FAST[:1])
        )

    for name in ("attacked", "attacked_for_a_day", "ordinary"):
        monkeypatch.setattr(f"evaluation.__main__.{name}", small)
    result, absent = tmp_path / "result.json", tmp_path / "absent"
    done = CliRunner().invoke(main, ["--seeds", "1", "--recorded", str(absent), "--result", str(result)])
    assert done.exit_code == 0, done.output
    assert [line for line in done.stderr.splitlines() if "absent" in line] == [
        f"no recorded traffic in {absent}: left out"
    ]
    document = json.loads(result.read_text())
    assert list(document["cases"]) == list(VARIANTS)
    assert "recorded" not in document
    assert document["cases"]["60 s"][0]["found"] == 2
    assert "vertical_scan" in done.stdout
