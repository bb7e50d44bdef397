"""The arithmetic of the figures, with made-up findings."""

import pytest

from evaluation.matching import Score, Told, score
from evaluation.report import cases, kinds, ordinary, recall, speeds
from evaluation.tables import cases_table, kinds_table, ordinary_table, recorded_table
from tests.evaluation.made import OTHER, SERVER, attack, finding


def found_after(seconds: int, **facts: str) -> Score:
    early = finding(provisional=True, status="open", id="x")
    return score([Told(1_100 + seconds, early), Told(2_500, finding(id="x", **facts))], [attack()], 1.0)


def missed() -> Score:
    return score([], [attack()], 1.0)


def test_a_case_is_summed_over_all_traffic() -> None:
    twice = score([Told(1_150, finding(id="x")), Told(1_160, finding("horizontal_scan", id="y"))], [attack()], 1.0)
    (row,) = cases([found_after(10), found_after(30), twice, missed()])
    assert (row["kind"], row["speed"], row["name"]) == ("vertical_scan", "fast", "made up")
    assert (row["attacks"], row["found"], row["as_its_kind"], row["findings"]) == (4, 3, 3, 4)
    assert row["early_delay"] == [30, 50]
    assert row["confirmed_delay"] == [1_400, 1_400]


def test_a_finding_of_another_kind_of_the_family_counts_as_found_and_not_as_its_kind() -> None:
    (row,) = cases([score([Told(2_500, finding("slow_scan"))], [attack()], 1.0)])
    assert (row["found"], row["as_its_kind"]) == (1, 0)


def test_a_kind_without_a_detector_has_a_recall_of_0() -> None:
    rows = speeds([score([], [attack("brute_force"), attack()], 1.0), found_after(10)])
    assert recall(rows, "brute_force") == 0.0
    assert recall(rows, "vertical_scan") == 0.5
    assert recall(rows) == pytest.approx(1 / 3)
    (row,) = (each for each in rows if each["kind"] == "brute_force")
    assert (row["attacks"], row["early_delay"]) == (1, None)


def test_precision_is_true_among_true_and_false_and_leaves_out_what_is_beside_the_point() -> None:
    told = [
        Told(9, finding(id="true")),
        Told(9, finding(id="false", source=OTHER, target=None)),
        Told(9, finding("rejected_spike", None, SERVER, id="side")),
    ]
    rows = {row["kind"]: row for row in kinds([score(told, [attack()], 1.0)])}
    assert rows["vertical_scan"] == {"kind": "vertical_scan", "true": 1, "side": 0, "false": 1, "precision": 0.5}
    assert rows["rejected_spike"]["side"] == 1
    assert rows["rejected_spike"]["precision"] is None


def test_false_findings_are_counted_for_fifty_host_days() -> None:
    alike = attack("brute_force", OTHER, None, expect=False, label="Crawler")
    told = [Told(9, finding("brute_force", OTHER, None, id="a")), Told(9, finding(id="b"))]
    row = ordinary([score(told, [alike], 100.0), score([], [], 300.0)])
    assert (row["host_days"], row["false"]) == (400.0, 2)
    assert row["false_per_50_host_days"] == 0.25
    assert row["false_without_lookalikes_per_50_host_days"] == 0.125
    assert {(each["kind"], each["for"], each["findings"]) for each in row["mistaken"]} == {
        ("brute_force", "Crawler", 1),
        ("vertical_scan", None, 1),
    }


def test_tables_say_what_the_figures_say() -> None:
    scores = [found_after(10), missed()]
    document = {
        "cases": {"60 s": cases(scores), "600 s": cases([missed()])},
        "kinds": kinds(scores),
        "ordinary": ordinary([score([], [], 50.0)]),
    }
    head, (row,) = cases_table(document)
    assert head[-1] == "600 s"
    assert row == ["vertical_scan", "fast", "made up", "1/2", "10 s (10 s)", "23 min (23 min)", "1.0", "0/1"]
    assert kinds_table(document)[1] == [["vertical_scan", "1", "0", "0", "100 %"]]
    file = {
        "file": "a.log",
        "found": {"vertical_scan": [1, 2]},
        "findings": 3,
        "side": 0,
        "false": {"brute_force": 1},
        "host_days": 0.5,
    }
    assert recorded_table([file])[1] == [["a.log", "vertical_scan 1/2", "3", "0", "brute_force 1", "0.5"]]
    assert ordinary_table(document)[1] == [["all", "50 host-days", "0 in 50 host-days"]]
