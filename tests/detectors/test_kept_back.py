"""What people are told of findings that are suppressed or only observed, and of those beside them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.episodes import QUIET_SECONDS
from detectors.finding import Detection, Finding
from detectors.incidents import Incidents
from detectors.suppression import NOTHING_KEPT, Policy
from detectors.watch import END_OF_TIME
from tests.detectors.detections import detection
from tests.detectors.records import at
from tests.detectors.suppressions import SCANNER, policy, rule

FROM_SCANNER = policy(rule(sources=[SCANNER]))


class Told:
    """What people are told of detections under policies, one after the other."""

    def __init__(self, policy: Policy = NOTHING_KEPT) -> None:
        self.incidents = Incidents(policy)
        self.published: list[Finding] = []
        self.kept_back: list[Finding] = []

    def take(self, *detections: Detection) -> list[Finding]:
        return self._published(self.incidents.apply(detections))

    def follow(self, policy: Policy) -> list[Finding]:
        return self._published(self.incidents.follow(policy))

    def advance(self, closed_until: int = END_OF_TIME) -> list[Finding]:
        return self._published(self.incidents.advance(closed_until))

    def _published(self, findings: list[Finding]) -> list[Finding]:
        self.published += findings
        self.kept_back += self.incidents.kept_back()
        return findings


def states(findings: Iterable[Finding]) -> list[tuple[str, str | None, int]]:
    return [(finding.status, finding.suppressed_by, finding.updates) for finding in findings]


class TestSuppressed:
    def test_a_finding_is_not_told_from_its_begin_to_its_end(self) -> None:
        told = Told(FROM_SCANNER)
        told.take(detection(0), detection(1, value=500.0, severity="critical"))
        told.advance()
        assert told.published == []
        assert states(told.kept_back) == [("open", "ours", 0), ("closed", "ours", 1)]
        assert told.kept_back[-1].value == 500

    def test_is_not_counted_as_open(self) -> None:
        told = Told(FROM_SCANNER)
        told.take(detection(0), detection(0, source="192.0.2.1", entity="192.0.2.1"))
        assert told.incidents.open == 1

    def test_is_told_once_it_goes_beyond_the_suppression(self) -> None:
        told = Told(policy(rule(ports=frozenset({22, 80}))))
        assert told.take(detection(0)) == []
        assert told.take(detection(1)) == []
        (finding,) = told.take(detection(2, ports=(3389,)))
        assert (finding.status, finding.updates, finding.ports, finding.suppressed_by) == (
            "open",
            0,
            (22, 80, 3389),
            None,
        )
        assert finding.id == told.kept_back[0].id
        assert states(told.advance()) == [("closed", None, 1)]

    def test_is_told_once_a_part_of_it_has_no_port(self) -> None:
        told = Told(policy(rule(ports=frozenset({22, 80}))))
        assert told.take(detection(0)) == []
        (finding,) = told.take(detection(1, ports=(), protocol=1))
        assert told.take(detection(2)) == told.follow(policy(rule(ports=frozenset({22, 80, 443})))) == []
        after = Incidents()
        after.restore(told.incidents.changes())
        assert after.follow(policy(rule(ports=frozenset({22, 80})))) == []
        assert states(told.advance()) == [("closed", None, 1)]
        assert finding.ports == (22, 80)

    def test_is_told_once_the_suppression_is_over_in_the_time_of_the_records(self) -> None:
        told = Told(policy(rule(expires=at(2))))
        assert told.take(detection(0), detection(1)) == []
        assert states(told.take(detection(2))) == [("open", None, 0)]

    def test_what_the_suppression_does_not_match_is_told_as_ever(self) -> None:
        other = detection(0, source="192.0.2.1", entity="192.0.2.1")
        told = Told(FROM_SCANNER)
        assert told.take(detection(0), other) == Incidents().apply([other])

    def test_findings_that_are_told_do_not_name_those_that_are_not(self) -> None:
        told = Told(policy(rule(kinds=frozenset({"vertical_scan"}))))
        (finding,) = told.take(detection(0), detection(0, kind="brute_force"))
        assert finding.related == ()
        told.advance(at(1 + QUIET_SECONDS // 60))
        (later,) = told.take(detection(20, kind="exfiltration_burst"))
        assert later.related == (finding.id,)


SWEEP = {"kind": "horizontal_scan", "target": None}


class TestParts:
    """A bigger story that is kept back tells of its parts only as far as the suppression would."""

    def test_of_another_kind_are_kept_back_with_it(self) -> None:
        told = Told(policy(rule(kinds=frozenset({"horizontal_scan"}), sources=[SCANNER])))
        told.take(detection(0, **SWEEP), detection(0), detection(1))
        told.advance()
        assert told.published == []

    def test_that_were_told_before_are_superseded(self) -> None:
        told = Told(policy(rule(kinds=frozenset({"horizontal_scan"}), sources=[SCANNER])))
        (part,) = told.take(detection(0))
        assert [(each.id, each.status) for each in told.take(detection(1, **SWEEP))] == [(part.id, "superseded")]

    def test_beyond_the_suppression_are_told_on_their_own(self) -> None:
        told = Told(policy(rule(kinds=frozenset({"horizontal_scan"}), ports=frozenset({22, 80}))))
        wider = {"ports": (22, 80, 3389)}
        (part,) = told.take(detection(0, **SWEEP), detection(0, **wider))
        assert (part.kind, part.status) == ("vertical_scan", "open")
        told.take(detection(1, **SWEEP), detection(1, **wider))
        assert states(told.advance()) == [("closed", None, 1)]

    def test_that_are_kept_back_end_in_silence_when_the_bigger_story_is_told(self) -> None:
        told = Told(policy(rule(targets=["10.0.0.9"])))
        assert told.take(detection(0)) == []
        (bigger,) = told.take(detection(1, **SWEEP))
        assert bigger.kind == "horizontal_scan"
        assert [(each.status, each.superseded_by) for each in told.kept_back] == [
            ("open", None),
            ("superseded", bigger.id),
        ]

    def test_a_slow_scan_is_told_unless_the_suppression_of_the_fast_one_covers_it(self) -> None:
        slow = {"kind": "slow_scan", "window_start": at(-60)}
        for rules, kinds in (({"sources": [SCANNER]}, []), ({"ports": frozenset({22, 80})}, ["slow_scan"])):
            told = Told(policy(rule(kinds=frozenset({"vertical_scan"}), **rules)))
            told.take(detection(0))
            told.advance(at(1 + QUIET_SECONDS // 60))
            found = told.take(detection(30, **slow, ports=(22, 80, 443)))
            assert [finding.kind for finding in found] == kinds


class TestReload:
    """Another policy while findings are open."""

    def test_closes_what_it_suppresses_at_once(self) -> None:
        told = Told()
        (opened,) = told.take(detection(0))
        (closed,) = told.follow(FROM_SCANNER)
        assert (closed.id, closed.status, closed.suppressed_by, closed.updates) == (opened.id, "closed", "ours", 1)
        assert states(told.kept_back) == [("open", "ours", 1)]
        assert told.take(detection(1, value=900.0)) == told.advance() == []

    def test_tells_again_what_nothing_suppresses_any_more(self) -> None:
        told = Told()
        (opened,) = told.take(detection(0))
        told.follow(FROM_SCANNER)
        (again,) = told.follow(NOTHING_KEPT)
        assert (again.id, again.status, again.suppressed_by, again.updates) == (opened.id, "open", None, 2)
        assert states(told.advance()) == [("closed", None, 3)]

    def test_tells_what_was_suppressed_from_its_begin(self) -> None:
        told = Told(FROM_SCANNER)
        told.take(detection(0))
        assert states(told.follow(NOTHING_KEPT)) == [("open", None, 0)]

    def test_says_nothing_where_nothing_changes(self) -> None:
        told = Told(FROM_SCANNER)
        told.take(detection(0), detection(0, source="192.0.2.1", entity="192.0.2.1"))
        assert told.follow(policy(rule(sources=[SCANNER], expires=END_OF_TIME))) == []

    def test_closes_what_was_told_early(self) -> None:
        told = Told()
        (early,) = told.take(detection(0, provisional=True))
        (closed,) = told.follow(FROM_SCANNER)
        assert (closed.id, closed.status, closed.suppressed_by, closed.updates) == (early.id, "closed", "ours", 1)
        assert told.take(detection(0)) == told.advance() == []

    def test_closes_what_was_told_early_before_a_crash(self) -> None:
        told = Told()
        (early,) = told.take(detection(0, provisional=True))
        after = Told()
        after.incidents.adopt([early])
        assert states(after.follow(FROM_SCANNER)) == [("closed", "ours", 1)]
        assert after.advance() == []


class TestEarly:
    def test_what_is_suppressed_is_not_told_early(self) -> None:
        told = Told(FROM_SCANNER)
        assert told.take(detection(0, provisional=True)) == []
        assert told.take(detection(0)) == told.advance() == []

    def test_what_goes_beyond_the_suppression_is_told_early(self) -> None:
        told = Told(policy(rule(ports=frozenset({22, 80}))))
        told.take(detection(0))
        (early,) = told.take(detection(1, ports=(3389,), provisional=True))
        published = told.take(detection(1, ports=(3389,))) + told.advance(at(2))
        assert [(each.id == early.id, each.status) for each in published] == [(False, "open"), (True, "superseded")]

    def test_parts_of_what_is_suppressed_are_not_told_early(self) -> None:
        told = Told(policy(rule(kinds=frozenset({"horizontal_scan"}), sources=[SCANNER])))
        assert told.take(detection(0, **SWEEP, provisional=True), detection(0, provisional=True)) == []
        told.take(detection(0, **SWEEP))
        assert told.take(detection(1, provisional=True)) == []


OBSERVED = policy(observed=["vertical_scan"])


class TestObserved:
    def test_findings_are_told_with_a_mark(self) -> None:
        told = Told(OBSERVED)
        told.take(detection(0), detection(1, value=900.0))
        told.advance()
        assert [(each.status, each.observed) for each in told.published] == [
            ("open", True),
            ("open", True),
            ("closed", True),
        ]
        assert told.kept_back == []

    def test_findings_are_not_told_early(self) -> None:
        assert Told(OBSERVED).take(detection(0, provisional=True)) == []

    def test_a_bigger_story_that_is_only_observed_takes_nothing_from_people(self) -> None:
        told = Told(policy(observed=["horizontal_scan"]))
        found = told.take(detection(0, **SWEEP), detection(0))
        assert [(each.kind, each.observed, each.related) for each in found] == [
            ("horizontal_scan", True, ()),
            ("vertical_scan", False, ()),
        ]
        assert [(each.kind, each.status) for each in told.advance()] == [
            ("horizontal_scan", "closed"),
            ("vertical_scan", "closed"),
        ]

    def test_observing_from_now_on_closes_what_people_were_told(self) -> None:
        told = Told()
        told.take(detection(0))
        assert [(each.status, each.observed) for each in told.follow(OBSERVED)] == [("closed", False)]
        assert [(each.status, each.observed) for each in told.advance()] == [("closed", True)]

    def test_observing_no_longer_tells_people_what_goes_on(self) -> None:
        told = Told(OBSERVED)
        told.take(detection(0))
        (finding,) = told.follow(NOTHING_KEPT)
        assert (finding.status, finding.observed, finding.updates) == ("open", False, 1)

    def test_what_is_suppressed_is_not_told_with_a_mark_either(self) -> None:
        told = Told(policy(rule(sources=[SCANNER]), observed=["vertical_scan"]))
        assert told.take(detection(0)) == told.advance() == []


RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(["a", "b"]),
        kinds=st.sampled_from([frozenset(), frozenset({"horizontal_scan"}), frozenset({"vertical_scan"})]),
        sources=st.sampled_from([None, [SCANNER]]),
        targets=st.sampled_from([None, ["10.0.0.9"]]),
        ports=st.frozensets(st.integers(0, 3), max_size=3),
        expires=st.sampled_from([None, at(20), at(40)]),
    ),
    max_size=2,
    unique_by=lambda each: each.name,
)
POLICIES = st.builds(Policy, RULES.map(tuple), st.sampled_from([frozenset(), frozenset({"slow_scan"})]))
DETECTIONS = st.lists(
    st.builds(
        detection,
        st.integers(0, 60),
        kind=st.sampled_from(["vertical_scan", "horizontal_scan", "slow_scan"]),
        source=st.sampled_from([SCANNER, "192.0.2.1"]),
        target=st.sampled_from(["10.0.0.9", None]),
        ports=st.lists(st.integers(0, 3), max_size=3, unique=True).map(tuple),
        value=st.sampled_from([15.0, 31.0, 500.0]),
    ),
    max_size=10,
).map(lambda each: sorted(each, key=lambda detection: detection.pane))


def told_in_steps(
    detections: Sequence[Detection], policy: Policy, steps: Sequence[int], *, restarts: bool
) -> tuple[dict[str, list[Finding]], list[Finding]]:
    """Return every state of each finding that is told, and what is kept back, where time goes on in these steps."""
    incidents, kept_back = Incidents(policy), list[Finding]()
    states: dict[str, list[Finding]] = {}
    for before, watermark in pairwise([-END_OF_TIME, *steps, END_OF_TIME]):
        closing = [each for each in detections if before < each.pane + 60 <= watermark]
        for finding in incidents.apply(closing) + incidents.advance(watermark):
            states.setdefault(finding.id, []).append(finding)
        kept_back += incidents.kept_back()
        if restarts:
            fresh = Incidents()
            fresh.restore(incidents.changes())
            assert fresh.follow(policy) == []
            incidents = fresh
    return states, sorted(kept_back, key=lambda finding: (finding.id, finding.updates))


@settings(max_examples=300, deadline=None)
@given(DETECTIONS, POLICIES, st.lists(st.integers(0, 4000).map(lambda second: at(0) + second), max_size=8).map(sorted))
def test_what_is_told_does_not_depend_on_the_steps_of_time_nor_on_restarts(
    detections: list[Detection], policy: Policy, steps: list[int]
) -> None:
    minutes = [at(pane) for pane in range(80)]
    in_minutes = told_in_steps(detections, policy, minutes, restarts=False)
    assert told_in_steps(detections, policy, steps, restarts=True) == in_minutes
    told, kept_back = in_minutes
    assert not any(finding.suppressed_by for several in told.values() for finding in several)
    assert all(policy.suppressed_by(finding) == finding.suppressed_by is not None for finding in kept_back)


@settings(max_examples=200, deadline=None)
@given(DETECTIONS, POLICIES)
def test_people_are_told_of_all_that_no_suppression_covers(detections: list[Detection], policy: Policy) -> None:
    told, _ = told_in_steps(detections, policy, [at(pane) for pane in range(80)], restarts=False)
    findings = [finding for several in told.values() for finding in several if not finding.observed]
    for each in detections:
        if each.kind not in policy.observed and not any(one.covers(each) for one in policy.suppressions):
            assert any(
                finding.source == each.source
                and finding.window_start < each.window_end
                and finding.window_end > each.window_start
                for finding in findings
            )
