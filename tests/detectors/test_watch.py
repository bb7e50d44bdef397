import pytest

from detectors.catalogue import catalogue
from detectors.examples import records, traffic
from detectors.finding import Detection
from detectors.span import GapError, Position, Span
from detectors.statistics.baselines import HISTORY_PANES
from detectors.table import Table
from detectors.watch import END_OF_TIME, Change, Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, watching

PARAMETERS = {"vertical_scan": {"ports": 3}}


def scan(pane: int, first: int = 0, *, ports: int = 3) -> list[Row]:
    return [attempt(OUTSIDE, INSIDE, first + port, end=at(pane, 10)) for port in range(ports)]


def span(begin: int, end: int | None = None, source: str = "flows/0") -> Span:
    return Span(source, Position(begin), Position(begin + 1 if end is None else end))


def ends(table: Table) -> list[int]:
    return table.frame["end"].to_list()


def panes(detections: list[Detection]) -> list[int]:
    return [(detection.pane - at(0)) // 60 for detection in detections]


def scans() -> Watch:
    return watching(PARAMETERS, ["vertical_scan"])


def restored(watch: Watch, changes: list[Change] | None = None) -> Watch:
    fresh = scans()
    fresh.restore(watch.changes() if changes is None else changes)
    return fresh


def test_a_pane_closes_when_the_watermark_has_come_to_its_end() -> None:
    watch = scans()
    watch.apply(records(scan(0)), span(0))
    assert watch.advance(at(1) - 1).detections == []
    assert panes(watch.advance(at(1)).detections) == [0]
    assert watch.advance(at(1)).detections == []


def test_panes_close_in_order_whatever_the_order_of_the_records() -> None:
    watch = scans()
    watch.apply(records([*scan(9), *scan(3), *scan(6)]), span(0))
    assert panes(watch.advance(END_OF_TIME).detections) == [3, 6, 9]


def test_a_detection_counts_what_the_window_holds_and_no_more() -> None:
    watch = scans()
    watch.apply(records([*scan(0, 0, ports=2), *scan(4, 10, ports=1), *scan(5, 20, ports=1)]), span(0))
    found = watch.advance(END_OF_TIME).detections
    assert [(detection.value, detection.window_start) for detection in found] == [(3, at(0))]


def test_records_of_a_closed_pane_are_late_and_returned_and_not_counted() -> None:
    watch = scans()
    watch.apply(records(scan(0, ports=2)), span(0))
    watch.advance(at(1))
    late = watch.apply(records([*scan(0, 100), *scan(1, 200, ports=1)]), span(1))
    assert ends(late) == [at(0, 10)] * 3
    assert panes(watch.advance(END_OF_TIME).detections) == [1]
    assert watch.hosts == 0


def test_a_record_is_late_by_its_end_alone() -> None:
    watch = scans()
    watch.advance(at(5))
    rows = [attempt(OUTSIDE, INSIDE, 22, start=at(0), end=end) for end in (at(5) - 1, at(5))]
    assert ends(watch.apply(records(rows), span(0))) == [at(5) - 1]


def test_records_of_an_open_pane_are_not_late_however_far_the_watermark_is_in_it() -> None:
    watch = scans()
    watch.advance(at(1) - 1)
    assert len(watch.apply(records(scan(0)), span(0))) == 0
    assert panes(watch.advance(at(1)).detections) == [0]


def test_the_watermark_does_not_reopen_a_pane() -> None:
    watch = scans()
    watch.advance(at(5))
    watch.advance(at(2))
    assert len(watch.apply(records(scan(3)), span(0))) == 3


def test_a_replayed_range_is_skipped() -> None:
    watch = watching({}, ["rejected_spike"])
    refused = [attempt(OUTSIDE, INSIDE, 8080, action="REJECT")] * 30
    watch.apply(records(refused), span(0))
    watch.apply(records(refused), span(0))
    assert watch.advance(END_OF_TIME).partials[0].value == 30


def test_a_replay_of_what_lies_far_back_moves_nothing_back() -> None:
    watch = scans()
    for number in range(3):
        watch.apply(records(scan(0, number * 10, ports=1)), span(number))
    watch.apply(records(scan(0, 100)), span(0))
    watch.apply(records(scan(0, 30, ports=1)), span(3))
    assert watch.advance(END_OF_TIME).detections[0].value == 4


def test_a_range_may_hold_nothing() -> None:
    watch = scans()
    watch.apply(Table.empty(), span(0))
    watch.apply(records(scan(0)), span(1))
    assert panes(watch.advance(END_OF_TIME).detections) == [0]


def test_sources_are_counted_apart() -> None:
    watch = scans()
    for number, source in enumerate(("flows/0", "flows/1", "flows/2")):
        watch.apply(records(scan(0, number * 10, ports=1)), span(0, source=source))
    assert watch.advance(END_OF_TIME).detections[0].value == 3


def test_a_gap_is_refused_and_nothing_of_it_counted() -> None:
    watch = scans()
    watch.apply(records(scan(0)), span(0))
    with pytest.raises(GapError, match=r"flows/0: rows from \(1, 0\) up to \(2, 0\) are missing"):
        watch.apply(records(scan(1)), span(2))
    assert panes(watch.advance(END_OF_TIME).detections) == [0]


def test_rows_about_coverage_are_neither_hosts_nor_contacts() -> None:
    watch = scans()
    watch.apply(records([{"source": None, "destination": None, "log_status": "NODATA"}]), span(0))
    assert (watch.hosts, watch.contacts.panes) == (0, [])


def test_hosts_are_those_of_the_panes_that_are_kept() -> None:
    watch = scans()
    watch.apply(records([*scan(0), *exchange("10.0.0.1", INSIDE, end=at(3))]), span(0))
    assert watch.hosts == 3
    watch.advance(at(6))
    assert watch.hosts == 2


def test_what_a_window_needs_is_kept_however_slowly_time_goes_on() -> None:
    watch = scans()
    found = []
    for pane in range(5):
        watch.apply(records(scan(pane, pane * 10, ports=1)), span(pane))
        found += watch.advance(at(pane + 1)).detections
    assert [detection.value for detection in found] == [3, 4, 5]


def test_state_is_dropped_after_its_window() -> None:
    watch = scans()
    watch.apply(records([row for pane in range(100) for row in scan(pane, ports=1)]), span(0))
    for pane in range(1, 101):
        watch.advance(at(pane))
        assert len(watch.contacts.panes) <= 100 - pane + 5
        assert len(watch.history) <= HISTORY_PANES
    watch.advance(at(105))
    assert (watch.contacts.panes, watch.directory.panes, watch.hosts) == ([], [], 0)
    watch.advance(at(100 + HISTORY_PANES))
    assert watch.history == {}


def test_partials_tell_of_each_shard_and_pane_what_was_refused() -> None:
    watch = scans()
    targets = [f"10.0.0.{number}" for number in range(1, 40)]
    rows = [attempt(OUTSIDE, each, 22, action="REJECT", end=at(pane)) for pane in (0, 1) for each in targets]
    watch.apply(records([*rows, *exchange("10.0.0.1", OUTSIDE)]), span(0))
    partials = watch.advance(END_OF_TIME).partials
    assert {partial.name for partial in partials} == {"rejected"}
    assert sum(partial.value for partial in partials if partial.pane == at(0)) == 39
    assert sum(partial.value for partial in partials) == 78
    keys = records(rows).frame["destination_key"]
    assert {partial.shard for partial in partials} == {key >> 56 for key in keys}
    assert [partial.pane for partial in partials] == sorted(partial.pane for partial in partials)


def test_stored_state_is_taken_up_again_in_the_middle_of_a_pane() -> None:
    watch = scans()
    watch.apply(records(scan(0, 0, ports=2)), span(0))
    again = restored(watch)
    again.apply(records(scan(0, 10, ports=1)), span(1))
    assert again.advance(END_OF_TIME).detections[0].value == 3


def test_stored_state_knows_what_was_applied_and_what_was_closed() -> None:
    watch = scans()
    watch.apply(records(scan(0)), span(0))
    watch.advance(at(3))
    again = restored(watch)
    again.apply(records(scan(4, ports=2)), span(0))
    assert again.contacts.panes == [at(0)]
    assert len(again.apply(records(scan(2)), span(1))) == 3
    with pytest.raises(GapError):
        again.apply(records(scan(4)), span(3))
    assert again.advance(END_OF_TIME).detections == []


def test_state_may_be_stored_before_anything_was_applied() -> None:
    again = restored(scans())
    again.apply(records(scan(0)), span(0))
    assert panes(again.advance(END_OF_TIME).detections) == [0]


def test_taking_state_up_again_leaves_what_is_stored_the_same() -> None:
    watch = scans()
    watch.apply(records([row for pane in range(8) for row in scan(pane)]), span(0))
    watch.advance(at(6))
    again = restored(watch)
    assert sorted(change.name for change in again.changes()) == sorted(change.name for change in watch.changes())
    assert again.advance(END_OF_TIME) == watch.advance(END_OF_TIME)


def test_a_watch_without_detectors_still_tells_partials() -> None:
    watch = Watch({}, {})
    watch.apply(records([attempt(OUTSIDE, INSIDE, 22, action="REJECT")]), span(0))
    found = watch.advance(END_OF_TIME)
    assert (found.detections, len(found.partials)) == ([], 1)


def test_every_detector_of_the_catalogue_is_asked() -> None:
    watch = watching({})
    watch.apply(traffic(), span(0))
    found = watch.advance(END_OF_TIME).detections
    assert {detection.kind for detection in found} == set(catalogue())
