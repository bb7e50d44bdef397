from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.closed import Partial
from detectors.episodes import QUIET_SECONDS
from detectors.finding import Detection, Finding, finding_id
from detectors.incidents import Incidents
from detectors.watch import END_OF_TIME
from tests.detectors.detections import detection
from tests.detectors.records import at

QUIET_PANES = QUIET_SECONDS // 60


def test_the_first_detection_opens_a_finding() -> None:
    (finding,) = Incidents().apply([detection()])
    assert (finding.status, finding.updates, finding.detected_at) == ("open", 0, at(1))
    assert (finding.related, finding.superseded_by) == ((), None)


def test_a_finding_tells_what_the_detection_told() -> None:
    (finding,) = Incidents().apply([detection()])
    told = detection().model_dump(exclude={"pane", "shard", "counterpart_scope"})
    assert {name: value for name, value in finding.model_dump().items() if name in told} == told


def test_an_attack_that_goes_on_is_not_told_again() -> None:
    incidents = Incidents()
    assert len(incidents.apply([detection(0)])) == 1
    assert incidents.apply([detection(pane, value=39.9) for pane in range(1, 10)]) == []
    assert incidents.open == 1


def test_a_finding_is_published_again_whenever_its_value_has_doubled() -> None:
    incidents = Incidents()
    grown = incidents.apply([detection(pane, value=20.0 * (pane + 1)) for pane in range(8)])
    assert [(finding.value, finding.updates) for finding in grown] == [(20, 0), (40, 1), (80, 2), (160, 3)]


def test_a_finding_is_published_again_when_its_severity_rises() -> None:
    incidents = Incidents()
    incidents.apply([detection(0)])
    (risen,) = incidents.apply([detection(1, value=21.0, severity="critical")])
    assert (risen.severity, risen.updates) == ("critical", 1)
    assert incidents.apply([detection(2, severity="low")]) == []
    assert incidents.advance(END_OF_TIME)[0].severity == "critical"


def test_the_identifier_is_anchored_at_the_first_pane() -> None:
    incidents = Incidents()
    published = incidents.apply([detection(3), detection(4, value=100.0)]) + incidents.advance(END_OF_TIME)
    assert {finding.id for finding in published} == {finding_id("vertical_scan", "/198.51.100.7", "/10.0.0.9", at(3))}


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "horizontal_scan"},
        {"source": "198.51.100.8", "entity": "198.51.100.8"},
        {"target": "10.0.0.8"},
        {"target": None},
        {"scope": "vpc-2"},
    ],
)
def test_another_kind_or_other_ends_are_another_finding(other: dict[str, Any]) -> None:
    incidents = Incidents()
    assert len({finding.id for finding in incidents.apply([detection(), detection(**other)])}) == 2
    assert incidents.open == 2


def test_a_finding_spans_all_its_detections() -> None:
    incidents = Incidents()
    later = {"first_seen": at(0, 30), "last_seen": at(5, 1), "ports": (443, 22), "protocol": 17}
    incidents.apply([detection(1), detection(5, **later)])
    (finding,) = incidents.advance(END_OF_TIME)
    assert (finding.window_start, finding.window_end) == (at(-3), at(6))
    assert (finding.first_seen, finding.last_seen) == (at(0, 30), at(5, 1))
    assert (finding.ports, finding.protocol) == ((22, 80, 443), None)


def test_the_words_are_those_of_the_strongest_pane() -> None:
    incidents = Incidents()
    weak, strong = (
        {"value": 16.0, "summary": "weak", "score": 53.1},
        {"value": 30.0, "summary": "strong", "score": 75.0},
    )
    incidents.apply([detection(0, **weak), detection(1, **strong), detection(2, **weak)])
    (finding,) = incidents.advance(END_OF_TIME)
    assert (finding.summary, finding.value, finding.score) == ("strong", 30, 75)


def test_ports_are_the_lowest_ones_and_no_more_than_32() -> None:
    incidents = Incidents()
    incidents.apply([detection(pane, ports=tuple(range(90 - pane * 10, 100 - pane * 10))) for pane in range(9)])
    assert incidents.advance(END_OF_TIME)[0].ports == tuple(range(10, 42))


def test_a_finding_closes_when_it_was_quiet_for_long_enough() -> None:
    incidents = Incidents()
    incidents.apply([detection(0)])
    assert incidents.advance(at(1 + QUIET_PANES) - 1) == []
    (closed,) = incidents.advance(at(1 + QUIET_PANES))
    assert (closed.status, closed.updates, incidents.open) == ("closed", 1, 0)
    assert incidents.advance(END_OF_TIME) == []


def test_what_comes_after_the_quiet_is_another_finding_whenever_time_advanced() -> None:
    incidents = Incidents()
    first, closed, second = incidents.apply([detection(0), detection(1 + QUIET_PANES)])
    assert (first.id, first.status) == (closed.id, "open")
    assert (closed.status, closed.updates, closed.window_end) == ("closed", 1, at(1))
    assert (second.status, second.updates, second.window_start) == ("open", 0, at(QUIET_PANES - 3))
    assert second.id != first.id


def test_what_comes_before_the_quiet_is_over_belongs_to_the_finding() -> None:
    incidents = Incidents()
    assert len(incidents.apply([detection(0), detection(QUIET_PANES)])) == 1


def test_partials_are_summed_over_shards_and_the_last_one_of_a_shard_wins() -> None:
    incidents = Incidents()
    incidents.apply([], [Partial("rejected", 1, at(0), 5), Partial("rejected", 2, at(0), 10)])
    incidents.apply([], [Partial("rejected", 1, at(0), 7), Partial("rejected", 1, at(1), 100)])
    incidents.apply([], [Partial("accepted", 1, at(0), 1000)])
    assert incidents.total("rejected", at(0)) == 17
    assert incidents.total("rejected", at(2)) == 0


def test_partials_are_forgotten_in_the_end() -> None:
    incidents = Incidents()
    incidents.apply([], [Partial("rejected", 1, at(pane), 1) for pane in range(3)])
    incidents.advance(at(2) + QUIET_SECONDS)
    assert [incidents.total("rejected", at(pane)) for pane in range(3)] == [0, 0, 1]


def restored(incidents: Incidents) -> Incidents:
    fresh = Incidents()
    fresh.restore(incidents.changes())
    return fresh


def test_stored_state_is_taken_up_again() -> None:
    incidents = Incidents()
    incidents.apply([detection(0), detection(1, value=30.0)], [Partial("rejected", 1, at(0), 5)])
    again = restored(incidents)
    assert (again.open, again.total("rejected", at(0))) == (1, 5)
    assert again.changes() == incidents.changes()
    assert again.apply([detection(2, value=39.0)]) == incidents.apply([detection(2, value=39.0)]) == []
    assert again.apply([detection(3, value=40.0)]) == incidents.apply([detection(3, value=40.0)])
    assert again.advance(END_OF_TIME) == incidents.advance(END_OF_TIME)


DETECTIONS = st.lists(
    st.builds(
        detection,
        st.integers(0, 60),
        value=st.sampled_from([15.0, 20.0, 29.0, 31.0, 60.0, 500.0]),
        severity=st.sampled_from(["low", "medium", "high"]),
        target=st.sampled_from(["10.0.0.9", None]),
        ports=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    ),
    max_size=10,
).map(lambda each: sorted(each, key=lambda detection: detection.pane))


def published(detections: Sequence[Detection], steps: Sequence[int], *, restarts: bool) -> dict[str, list[Finding]]:
    """Every state of each finding, where time goes on in these steps."""
    incidents = Incidents()
    states: dict[str, list[Finding]] = {}
    for before, watermark in pairwise([-END_OF_TIME, *steps, END_OF_TIME]):
        closing = [each for each in detections if before < each.pane + 60 <= watermark]
        for finding in incidents.apply(closing) + incidents.advance(watermark):
            states.setdefault(finding.id, []).append(finding)
        if restarts:
            incidents = restored(incidents)
    return states


@settings(max_examples=200, deadline=None)
@given(DETECTIONS, st.lists(st.integers(0, 4000).map(lambda second: at(0) + second), max_size=8).map(sorted))
def test_findings_do_not_depend_on_the_steps_of_time_nor_on_restarts(
    detections: list[Detection], steps: list[int]
) -> None:
    minutes = [at(pane) for pane in range(80)]
    assert published(detections, steps, restarts=True) == published(detections, minutes, restarts=False)


def test_the_same_private_address_in_two_scopes_is_two_targets() -> None:
    incidents = Incidents()
    there = detection(scope="", counterpart_scope="vpc-1")
    elsewhere = detection(scope="", counterpart_scope="vpc-2")

    found = incidents.apply([there, elsewhere])

    assert len({finding.id for finding in found}) == 2
    restored = Incidents()
    restored.restore(incidents.changes())
    assert restored.advance(END_OF_TIME) == incidents.advance(END_OF_TIME)
