"""Findings held against attacks, with made-up ones."""

import pytest

from evaluation.matching import Told, finds, score, standing, tells_of
from tests.evaluation.made import OTHER, SCANNER, SERVER, attack, finding


@pytest.mark.parametrize(
    ("found", "there", "same"),
    [
        ((SCANNER, SERVER), (SCANNER, SERVER), True),
        ((SCANNER, OTHER), (SCANNER, SERVER), False),
        (("203.0.113.1", SERVER), (SCANNER, SERVER), False),
        ((SCANNER, None), (SCANNER, SERVER), True),
        ((SCANNER, SERVER), (SCANNER, None), True),
        ((None, SERVER), (SCANNER, SERVER), True),
        ((SCANNER, SERVER), (None, SERVER), True),
        ((SCANNER, OTHER), (None, SERVER), False),
        ((SCANNER, None), (None, SERVER), False),
        ((None, SERVER), (None, None), True),
    ],
)
def test_ends_agree_where_both_name_one_and_share_at_least_one(
    found: tuple[str | None, str | None], there: tuple[str | None, str | None], same: bool
) -> None:
    assert tells_of(finding("vertical_scan", *found), attack("vertical_scan", *there)) is same


@pytest.mark.parametrize(
    ("first", "last", "same"), [(1_300, 1_400, True), (1_360, 1_400, True), (1_361, 1_400, False), (0, 939, False)]
)
def test_times_overlap_but_for_the_slack(first: int, last: int, same: bool) -> None:
    assert tells_of(finding(first_seen=first, last_seen=last), attack()) is same


def test_scans_are_one_family_and_others_are_not() -> None:
    assert finds(finding("horizontal_scan", target=None), attack("slow_scan"))
    assert not finds(finding("rejected_spike"), attack("vertical_scan"))
    assert tells_of(finding("rejected_spike"), attack("vertical_scan"))


def test_only_the_last_confirmed_state_that_was_not_withdrawn_stands() -> None:
    told = [
        Told(1, finding(id="a", status="open", value=1.0)),
        Told(2, finding(id="a", value=2.0)),
        Told(3, finding(id="b", provisional=True, status="open")),
        Told(4, finding(id="c", status="superseded")),
        Told(5, finding(id="d", status="retracted")),
    ]
    assert [(each.id, each.value) for each in standing(told)] == [("a", 2.0)]


def test_findings_are_true_or_beside_the_point_or_false() -> None:
    true, side, false = (
        finding(id="true"),
        finding("rejected_spike", None, SERVER, id="side"),
        finding("brute_force", OTHER, None, id="false"),
    )
    lookalike = attack("brute_force", OTHER, SERVER, expect=False, label="CiOverSsh")
    got = score([Told(9, each) for each in (true, side, false)], [attack(), lookalike], host_days=2.0)
    assert ([each.id for each in got.true], [each.id for each in got.side]) == (["true"], ["side"])
    assert ([each.id for each in got.false], got.mistaken) == (["false"], ["CiOverSsh"])
    assert [verdict.found for verdict in got.verdicts] == [True]


def test_a_false_finding_of_ordinary_traffic_is_mistaken_for_nothing() -> None:
    got = score([Told(9, finding("brute_force", OTHER, None))], [attack()], host_days=2.0)
    assert (got.mistaken, got.verdicts[0].found) == ([None], False)


def test_delays_count_from_enough_evidence_to_the_first_word_and_the_first_confirmed_one() -> None:
    told = [
        Told(1_130, finding(id="a", provisional=True, status="open")),
        Told(1_200, finding(id="a", provisional=True, status="open")),
        Told(2_600, finding(id="a", status="open")),
        Told(4_000, finding(id="a")),
    ]
    (verdict,) = score(told, [attack()], 1.0).verdicts
    assert (verdict.early_delay, verdict.confirmed_delay, len(verdict.findings)) == (30, 1_500, 1)


def test_a_confirmed_finding_is_the_first_word_where_nobody_spoke_early() -> None:
    (verdict,) = score([Told(2_600, finding())], [attack()], 1.0).verdicts
    assert (verdict.early_delay, verdict.confirmed_delay) == (1_500, 1_500)


def test_what_was_retracted_finds_nothing_and_is_counted() -> None:
    told = [
        Told(1_130, finding(provisional=True, status="open")),
        Told(2_600, finding(provisional=True, status="retracted")),
    ]
    got = score(told, [attack()], 1.0)
    assert (got.verdicts[0].found, got.verdicts[0].early_delay, got.withdrawn) == (False, None, 1)


def test_an_attack_that_nobody_looks_for_is_missed() -> None:
    (verdict,) = score([], [attack("kind_without_detector")], 1.0).verdicts
    assert (verdict.found, verdict.early_delay, verdict.confirmed_delay) == (False, None, None)
