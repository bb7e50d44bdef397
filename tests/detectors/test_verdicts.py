from dataclasses import replace

import polars as pl
import pytest

from detectors.catalogue import FixedParameters
from detectors.contract import Parameters, View
from detectors.examples import records
from detectors.scans import VerticalScan
from detectors.span import Position, Span
from detectors.verdicts import direction, score, severity
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import INSIDE, OUTSIDE, at, attempt, found

CARD = replace(VerticalScan.card, severity="low", severity_inside="high")


def scan(ports: int) -> list[dict[str, object]]:
    return [dict(attempt(OUTSIDE, INSIDE, port, end=at(2, port % 60))) for port in range(1, ports + 1)]


def test_a_value_at_the_threshold_counts() -> None:
    assert len(found("vertical_scan", scan(15), ports=15)) == 1


def test_a_value_below_the_threshold_does_not_count() -> None:
    assert found("vertical_scan", scan(14), ports=15) == []


@pytest.mark.parametrize(
    ("value", "expected"), [(15, "low"), (149, "low"), (150, "medium"), (1499, "medium"), (1500, "high")]
)
def test_each_order_of_magnitude_raises_the_severity(value: int, expected: str) -> None:
    assert severity(CARD, value, 15, inside=False) == expected


@pytest.mark.parametrize(("value", "expected"), [(15, "high"), (150, "critical"), (15_000, "critical")])
def test_it_is_more_severe_from_inside_and_never_more_than_critical(value: int, expected: str) -> None:
    assert severity(CARD, value, 15, inside=True) == expected


@pytest.mark.parametrize(("value", "expected"), [(15, 50.0), (30, 75.0), (150, 95.0), (1e12, 100.0), (0, 0.0)])
def test_the_score_is_50_at_the_threshold_and_grows_towards_100(value: float, expected: float) -> None:
    assert score(value, 15) == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [(True, True, "internal"), (True, False, "outbound"), (False, True, "inbound"), (False, False, "inbound")],
)
def test_the_direction_is_seen_from_inside(source: bool, target: bool, expected: str) -> None:
    assert direction(source_internal=source, target_internal=target) == expected


def test_a_detection_says_who_when_and_how_much() -> None:
    (detection,) = found("vertical_scan", scan(20), ports=10)
    assert (detection.kind, detection.entity, detection.source, detection.target) == (
        "vertical_scan",
        OUTSIDE,
        OUTSIDE,
        INSIDE,
    )
    assert (detection.value, detection.threshold, detection.baseline, detection.score) == (20, 10, None, 75)
    assert (detection.window_start, detection.window_end, detection.pane) == (at(-3), at(3), at(2))
    assert (detection.first_seen, detection.last_seen) == (at(2, 1), at(2, 20))
    assert (detection.provisional, detection.mitre, detection.detector_version) == (False, VerticalScan.card.mitre, 4)


def test_the_interface_and_account_are_those_of_the_host_that_was_reported() -> None:
    rows = [{**row, "direction": "ingress", "interface_id": "eni-9", "vpc_id": "vpc-9"} for row in scan(20)]
    (detection,) = found("vertical_scan", rows)
    assert (detection.interface_id, detection.vpc_id, detection.account_id) == ("eni-9", "vpc-9", "123456789012")


def test_the_scope_is_that_of_the_entity() -> None:
    assert found("vertical_scan", scan(20))[0].scope == ""
    inside = [attempt("10.0.0.6", INSIDE, port) for port in range(20)]
    assert found("vertical_scan", inside)[0].scope == "vpc-1"


def test_detections_of_a_pane_are_ordered_by_their_ends() -> None:
    sources = ["203.0.113.9", "198.51.100.7", "203.0.113.10"]
    rows = [attempt(source, f"10.0.0.{host}", port) for source in sources for host in (3, 1) for port in range(15)]
    ends = [(detection.source, detection.target) for detection in found("vertical_scan", rows)]
    assert ends == sorted(ends)
    assert len(ends) == 6


def test_where_sources_are_many_the_finding_is_about_the_target() -> None:
    rows = [attempt(f"198.51.100.{n}", INSIDE, 1000 + 5 * n + port) for n in range(20) for port in range(5)]
    (detection,) = found("vertical_scan", rows)
    assert (detection.entity, detection.source, detection.target, detection.scope) == (INSIDE, None, INSIDE, "vpc-1")


def test_a_row_may_say_how_wide_its_window_is() -> None:
    class Wide(VerticalScan):
        def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
            return super().score(view, parameters).with_columns(window_panes=pl.lit(60, pl.Int64))

    watch = Watch({"vertical_scan": Wide()}, {"vertical_scan": FixedParameters.of(VerticalScan.card, {})})
    watch.apply(records(scan(20)), Span("test", Position(0), Position(1)))
    (detection,) = watch.advance(END_OF_TIME).detections
    assert (detection.window_start, detection.window_end) == (at(-57), at(3))
