from detectors.episodes import QUIET_SECONDS, continues, grew, grown, key, opened
from tests.detectors.records import INSIDE, OUTSIDE, at, attempt, found

SCAN = [attempt(OUTSIDE, INSIDE, port, end=at(0)) for port in (1, 2, 3)]


def test_a_finding_begins_with_the_words_of_its_first_detection() -> None:
    (detection,) = found("vertical_scan", SCAN, ports=3)
    finding = opened(detection)
    assert (finding.status, finding.updates, finding.detected_at) == ("open", 0, detection.window_end)
    assert (finding.summary, finding.value) == (detection.summary, 3)


def test_the_same_ends_are_the_same_attack_and_the_kind_tells_attacks_apart() -> None:
    (first,) = found("vertical_scan", SCAN, ports=3)
    (second,) = found("vertical_scan", [*SCAN, attempt(OUTSIDE, INSIDE, 4, end=at(0))], ports=3)
    refused = [{**each, "action": "REJECT"} for each in SCAN]
    (other,) = found("rejected_spike", refused, floor_records=3, deviations=0, cold_factor=1)
    assert key(first) == key(second)
    assert key(first) != key(other)


def test_an_attack_goes_on_until_it_was_quiet_for_long_enough() -> None:
    (detection,) = found("vertical_scan", SCAN, ports=3)
    finding = opened(detection)
    assert continues(finding, finding.window_end + QUIET_SECONDS - 1)
    assert not continues(finding, finding.window_end + QUIET_SECONDS)


def test_a_finding_is_worth_publishing_again_when_it_has_doubled_or_is_more_severe() -> None:
    (detection,) = found("vertical_scan", SCAN, ports=3)
    finding = opened(detection)
    larger = grown(finding, detection.model_copy(update={"value": 6.0}))
    assert not grew(finding, finding, finding.value)
    assert not grew(finding, larger, 3.5)
    assert grew(finding, larger, 3.0)
    assert grew(finding, finding.model_copy(update={"severity": "critical"}), finding.value)
