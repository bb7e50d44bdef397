from itertools import permutations
from typing import Any

import pytest

from detectors.finding import NETWORK, Detection, Finding
from detectors.incidents import Incidents
from detectors.stories import LINK_SECONDS, NEXT_SECONDS
from detectors.watch import END_OF_TIME
from tests.detectors.detections import detection
from tests.detectors.records import at

SOURCE, TARGET, OTHER = "198.51.100.7", "10.0.0.9", "10.0.0.8"
LINK_PANES = LINK_SECONDS // 60


def said(kind: str, pane: int = 0, **more: Any) -> Detection:
    """A detection of a kind, between the usual ends unless told otherwise."""
    ends = {"target": None} if kind == "horizontal_scan" else {}
    private = {"counterpart_scope": "vpc-1"} if {**ends, **more}.get("target", TARGET) else {}
    return detection(pane, kind=kind, **{**ends, **private, **more})


def guessing(pane: int = 0, source: str | None = SOURCE, target: str | None = TARGET, **more: Any) -> Detection:
    entity = source or target
    scope = "" if source else "vpc-1"
    other = "vpc-1" if source and target else ""
    ends = {"source": source, "target": target, "entity": entity, "scope": scope, "counterpart_scope": other}
    return detection(pane, kind="brute_force", **{"ports": (22,), **ends, **more})


def last(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def story(*detections: Detection) -> list[Finding]:
    """The last states of all findings, of detections that are applied in one go."""
    incidents = Incidents()
    return list(last(incidents.apply(detections) + incidents.advance(END_OF_TIME)).values())


def standing(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status != "superseded"]


def everywhere(pane: int, **more: Any) -> Detection:
    ends = {"source": None, "target": None, "entity": NETWORK, "scope": ""}
    return detection(pane, kind="rejected_spike", **{"ports": (8443,), **ends, **more})


def spike(**more: Any) -> Detection:
    ends = {"source": None, "entity": TARGET, "scope": "vpc-1"}
    return detection(kind="rejected_spike", **{"ports": (8443,), **ends, **more})


BIGGER = [
    (
        said("exfiltration_burst", 2, target=None, counterpart_scope=""),
        said("exfiltration_burst", target="203.0.113.9", counterpart_scope=""),
    ),
    (said("horizontal_scan", 2, ports=(22, 80, 443)), said("vertical_scan")),
    (guessing(2, target=None), guessing()),
    (guessing(2, source=None), guessing()),
    (said("vertical_scan", 2), said("slow_scan")),
    (said("horizontal_scan", 2), said("slow_scan", target=None)),
    (everywhere(2), spike()),
    (everywhere(2), spike(target=None, entity="eni-7")),
    (everywhere(2), spike(source=SOURCE, target=None, entity=SOURCE)),
    (spike(pane=2, target=None, entity="eni-7"), spike(interface_id="eni-7")),
    (said("horizontal_scan", 2, ports=(22, 80, 443)), said("slow_scan")),
    (said("slow_scan", 2, target=None, ports=(22, 80, 443)), said("slow_scan")),
]


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_a_bigger_story_supersedes_what_is_part_of_it(big: Detection, small: Detection) -> None:
    findings = story(small, big)
    (whole,) = standing(findings)
    (part,) = [finding for finding in findings if finding.status == "superseded"]
    assert (whole.kind, whole.status, part.superseded_by, part.related) == (big.kind, "closed", whole.id, ())


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_what_is_part_of_a_story_that_goes_on_is_not_told(big: Detection, small: Detection) -> None:
    later = small.model_copy(update={"pane": at(4), "window_end": at(5), "last_seen": at(4, 30)})
    (whole,) = story(big, later)
    assert (whole.kind, whole.last_seen, whole.window_end) == (big.kind, at(4, 30), at(5))


@pytest.mark.parametrize(("quiet", "apart"), [(5, 1), (6, 2)])
def test_a_scan_of_one_host_that_begins_well_after_that_of_many_is_the_next_step(quiet: int, apart: int) -> None:
    big = said("horizontal_scan", 2, ports=(22, 80, 443))
    begun = big.last_seen + (NEXT_SECONDS if apart == 1 else NEXT_SECONDS + 1)
    pane = 2 + quiet
    later = said("vertical_scan", pane, first_seen=begun, last_seen=begun + 30)
    findings = story(big, later)
    assert len(findings) == apart
    assert all(len(each.related) == apart - 1 for each in findings)


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_in_one_pane_the_bigger_story_comes_first_in_any_order(big: Detection, small: Detection) -> None:
    together = small.model_copy(update={"pane": big.pane})
    for order in permutations([big, together]):
        assert [finding.kind for finding in Incidents().apply(order)] == [big.kind]


@pytest.mark.parametrize(
    ("big", "small"),
    [
        (said("horizontal_scan", 2, ports=(445,)), said("vertical_scan", ports=(1, 2, 3))),
        (said("horizontal_scan", 2, source="198.51.100.9", entity="198.51.100.9"), said("vertical_scan")),
        (guessing(2, target=None, source="198.51.100.9"), guessing()),
        (guessing(2, source=None, target=OTHER), guessing()),
        (guessing(2, source=None, ports=(3389,)), guessing()),
        (said("vertical_scan", 2, target=OTHER), said("slow_scan")),
        (guessing(2, source=None, scope="vpc-2"), guessing()),
        (everywhere(2, ports=(22,)), spike()),
        (spike(pane=2, target=None, entity="eni-7"), spike()),
        (spike(pane=2, target=None, entity="eni-7"), spike(interface_id="eni-8")),
        (
            spike(pane=2, target=None, entity="eni-7", ports=(22,)),
            spike(interface_id="eni-7"),
        ),
    ],
)
def test_what_others_do_or_elsewhere_is_no_part(big: Detection, small: Detection) -> None:
    assert len(standing(story(small, big))) == 2


def test_what_is_no_host_is_told_apart_by_its_name() -> None:
    one, other = (spike(target=None, entity=name) for name in ("eni-7", "eni-8"))
    assert [finding.entity for finding in story(one, other, one)] == ["eni-7", "eni-8"]


def test_what_was_over_before_is_no_part_but_is_named() -> None:
    findings = story(said("vertical_scan"), said("horizontal_scan", 30))
    first, second = sorted(findings, key=lambda each: each.first_seen)
    assert (first.status, second.status) == ("closed", "closed")
    assert second.related == (first.id,)


def test_a_slow_scan_that_rests_on_a_fast_one_is_not_told_again_when_that_is_over() -> None:
    looks_back = {"window_start": at(0)}
    assert len(story(said("vertical_scan", 2), said("slow_scan", 300, **looks_back))) == 1
    assert len(story(said("vertical_scan", 2), said("slow_scan", 300))) == 2


def test_a_sweep_and_the_guesses_that_follow_name_each_other() -> None:
    sweep, guesses = story(said("horizontal_scan", ports=(22,)), guessing(10))
    assert (sweep.related, guesses.related) == ((guesses.id,), (sweep.id,))


@pytest.mark.parametrize(("pane", "linked"), [(LINK_PANES, True), (LINK_PANES + 1, False)])
def test_what_follows_within_an_hour_is_related_whenever_time_advanced(pane: int, linked: bool) -> None:
    sweep, later = said("horizontal_scan", ports=(445,)), guessing(pane)
    at_once = Incidents()
    everything = at_once.apply([sweep, later]) + at_once.advance(END_OF_TIME)
    step_by_step = Incidents()
    steps = step_by_step.apply([sweep])
    for minute in range(1, pane + 1):
        steps += step_by_step.advance(at(minute))
    steps += step_by_step.apply([later]) + step_by_step.advance(END_OF_TIME)
    assert last(everything) == last(steps)
    guesses = next(each for each in last(steps).values() if each.kind == "brute_force")
    assert bool(guesses.related) is linked


def test_what_many_do_to_one_host_is_related_by_the_host() -> None:
    many, spike = guessing(0, source=None), said("rejected_spike", 1, source=None, entity=TARGET, scope="vpc-1")
    one = said("vertical_scan", 2, ports=(1, 2))
    first, second, third = story(many, spike.model_copy(update={"counterpart_scope": ""}), one)
    assert first.id in second.related
    assert {first.id, second.id} == set(third.related)


def test_two_victims_of_one_attacker_are_two_findings_that_name_each_other() -> None:
    first, second = story(said("vertical_scan"), said("vertical_scan", 5, target=OTHER))
    assert (first.target, second.target) == (TARGET, OTHER)
    assert (first.related, second.related) == ((second.id,), (first.id,))


def test_others_are_not_related() -> None:
    first, second = story(said("vertical_scan"), said("vertical_scan", source="198.51.100.9", entity="198.51.100.9"))
    assert (first.related, second.related) == ((), ())


def test_relations_are_bounded() -> None:
    findings = story(*(said("vertical_scan", target=f"10.0.1.{number}") for number in range(60)))
    assert max(len(finding.related) for finding in findings) == 20


def test_guessing_that_pauses_for_less_than_an_hour_is_one_finding() -> None:
    assert len(story(guessing(0), guessing(50))) == 1
    assert len(story(guessing(0), guessing(70))) == 2


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_stories_survive_being_stored(big: Detection, small: Detection) -> None:
    steps = [small, said("exfiltration_burst", 1, target="203.0.113.9", counterpart_scope=""), big, guessing(50)]
    through, again = Incidents(), Incidents()
    expected, found = [], []
    for each in steps:
        expected += through.apply([each]) + through.advance(each.pane)
        found += again.apply([each]) + again.advance(each.pane)
        changes, again = again.changes(), Incidents()
        again.restore(changes)
    assert found + again.advance(END_OF_TIME) == expected + through.advance(END_OF_TIME)


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_early_words_follow_the_same_rules(big: Detection, small: Detection) -> None:
    early = [each.model_copy(update={"provisional": True}) for each in (small, big)]
    incidents = Incidents()
    (part,) = incidents.apply(early[:1])
    whole, ended = incidents.apply(early[1:])
    assert (ended.id, ended.status, ended.superseded_by) == (part.id, "superseded", whole.id)
    assert incidents.apply([early[0].model_copy(update={"pane": at(3)})]) == []


@pytest.mark.parametrize(("big", "small"), BIGGER)
def test_what_was_told_early_is_superseded_by_the_confirmed_story_it_is_part_of(
    big: Detection, small: Detection
) -> None:
    incidents = Incidents()
    (part,) = incidents.apply([small.model_copy(update={"provisional": True, "pane": at(3)})])
    (whole,) = incidents.apply([big])
    (settled,) = incidents.advance(at(4))
    assert (settled.id, settled.status, settled.superseded_by) == (part.id, "superseded", whole.id)
