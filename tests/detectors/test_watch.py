from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.catalogue import catalogue
from detectors.examples import records, traffic
from detectors.finding import Detection
from detectors.span import GapError, Position, Span
from detectors.state import Change, merged
from detectors.statistics.rollup import TIERS
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.table import Table
from detectors.watch import END_OF_TIME, Watch
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, watching

PARAMETERS: dict[str, dict[str, float]] = {
    "vertical_scan": {"ports": 3},
    "exfiltration_burst": {"floor_bytes": 50_000_000, "cold_bytes": 1, "deviations": 0},
}

OPEN_PANES = SPREAD_SECONDS // 60
"""How many panes behind the watermark are open."""


def scan(pane: int, first: int = 0, *, ports: int = 3) -> list[Row]:
    return [attempt(OUTSIDE, INSIDE, first + port, end=at(pane, 10)) for port in range(ports)]


def exchange_of(pane: int) -> list[Row]:
    """A conversation that passed, in one pane, of which ports do not tell who opened it."""
    return exchange("10.0.0.1", OUTSIDE, 50_000, end=at(pane), tcp_flags=16)


def span(begin: int, end: int | None = None, source: str = "flows/0") -> Span:
    return Span(source, Position(begin), Position(begin + 1 if end is None else end))


def ends(table: Table) -> list[int]:
    return table.frame["end"].to_list()


def panes(detections: list[Detection]) -> list[int]:
    return [(detection.pane - at(0)) // 60 for detection in detections]


def scans() -> Watch:
    return watching(PARAMETERS, ["vertical_scan"])


def uploads() -> Watch:
    return watching(PARAMETERS, ["exfiltration_burst"])


def sent_by_pane(watch: Watch) -> dict[int, int]:
    return {pane: int(watch.volumes.summed(pane)["bytes"].sum()) for pane in watch.volumes.panes}


def upload(first: int, last: int) -> Row:
    """Twenty megabytes a minute, told in one record that begins and ends with a pane."""
    return attempt(
        INSIDE, OUTSIDE, 443, tcp_flags=3, start=at(first), end=at(last), bytes=20_000_000 * (last - first), packets=9
    )


def restored(watch: Watch, changes: list[Change] | None = None) -> Watch:
    fresh = scans()
    fresh.restore(watch.changes(whole=True) if changes is None else changes)
    return fresh


def test_a_pane_closes_when_the_watermark_has_come_ten_minutes_behind_its_end() -> None:
    watch = scans()
    watch.apply(records(scan(0)), span(0))
    assert watch.advance(at(1 + OPEN_PANES) - 1).detections == []
    assert panes(watch.advance(at(1 + OPEN_PANES)).detections) == [0]
    assert watch.advance(at(1 + OPEN_PANES)).detections == []


def test_panes_are_closed_as_far_as_the_watermark_says() -> None:
    watch = scans()
    assert watch.closed_until < at(0)
    for watermark in (at(20), at(20, 59), at(3)):
        watch.advance(watermark)
        assert watch.closed_until == at(20 - OPEN_PANES)


def test_panes_close_in_order_whatever_the_order_of_the_records() -> None:
    watch = scans()
    watch.apply(records([*scan(9), *scan(3), *scan(6)]), span(0))
    assert panes(watch.advance(END_OF_TIME).detections) == [3, 6, 9]


def test_a_detection_counts_what_the_window_holds_and_no_more() -> None:
    watch = scans()
    watch.apply(records([*scan(0, 0, ports=2), *scan(5, 10, ports=1), *scan(6, 20, ports=1)]), span(0))
    found = watch.advance(END_OF_TIME).detections
    assert [(detection.value, detection.window_start) for detection in found] == [(3, at(0))]


def test_late_records_are_returned_and_not_counted_though_their_pane_is_open() -> None:
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
    assert panes(watch.advance(at(1 + OPEN_PANES)).detections) == [0]


def test_a_record_is_late_by_what_came_before_it_in_the_same_table() -> None:
    watch = scans()
    rows = [attempt(OUTSIDE, INSIDE, port, end=end) for port, end in enumerate((at(0), at(5), at(0, 59), at(1)))]
    reached = np.array([0, at(0), at(1, 59), at(1, 59)])
    assert ends(watch.apply(records(rows), span(0), reached)) == [at(0, 59)]
    again = [attempt(OUTSIDE, INSIDE, 90 + port, end=end) for port, end in enumerate((at(1), at(2), at(3)))]
    assert ends(watch.apply(records(again), span(1), np.array([at(1), at(2), at(4, 30)]))) == [at(3)]
    assert watch.contacts.between(at(0), at(9))["port"].sort().to_list() == [0, 1, 3, 90, 91]


def test_what_was_applied_before_leaves_the_lateness_of_the_rest_alone() -> None:
    watch = scans()
    rows = [attempt(OUTSIDE, INSIDE, 22, end=at(5)), attempt(OUTSIDE, INSIDE, 23, end=at(0))]
    first, second = records(rows[:1]), records(rows)
    assert len(watch.apply(first, Span("test", Position(0), Position(1)), np.array([0]))) == 0
    both = Span("test", Position(0), Position(2), np.arange(2), np.arange(2))
    assert ends(watch.apply(second, both, np.array([at(4), at(4)]))) == [at(0)]
    assert watch.contacts.panes == [at(5)]


@strategies.quick
@given(strategies.rows(panes=30), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_a_record_counts_whole_or_not_at_all_and_nothing_is_added_to_a_closed_pane(
    rows: list[dict[str, Any]], minutes: list[int]
) -> None:
    watch, reached = watching({}), at(0)
    table = records(rows)
    for number, minute in enumerate(minutes):
        before = sent_by_pane(watch)
        late = watch.apply(table, span(number))
        assert ends(late) == [end for end in ends(table) if end < reached]
        crossing = pl.col("source_internal") != pl.col("destination_internal")
        counted = table.flows.filter((pl.col("end") >= reached) & (pl.col("action") == "ACCEPT") & crossing)
        after = sent_by_pane(watch)
        assert sum(after.values()) - sum(before.values()) == (counted["bytes"] * counted["weight"]).sum()
        assert all(pane >= watch.closed_until for pane in after if after[pane] != before.get(pane))
        watch.advance(at(minute))
        reached = max(reached, at(minute))


def test_bytes_are_spread_back_into_panes_that_are_still_open() -> None:
    watch = uploads()
    watch.advance(at(OPEN_PANES))
    assert len(watch.apply(records([upload(-5, OPEN_PANES)]), span(0))) == 0
    assert watch.volumes.panes[0] == watch.closed_until == at(0)
    assert watch.contacts.panes == watch.directory.panes == [at(OPEN_PANES)]


def test_who_is_named_only_by_a_record_behind_the_window_is_named() -> None:
    watch = uploads()
    watch.apply(records([upload(0, 9)]), span(0))
    bursts = watch.advance(END_OF_TIME).detections
    assert panes(bursts) == list(range(2, 10))
    assert {(burst.source, burst.target, burst.ports) for burst in bursts} == {(INSIDE, OUTSIDE, (443,))}
    assert {burst.first_seen for burst in bursts} == {at(0)}
    assert max(burst.last_seen for burst in bursts) == at(9)
    assert [burst.value for burst in bursts[:3]] == [60_000_000, 80_000_000, 100_000_000]


def test_how_far_time_leaps_does_not_matter_to_what_is_spread_back() -> None:
    at_once, slowly = uploads(), uploads()
    for watch in (at_once, slowly):
        watch.apply(records([upload(0, 9), upload(3, 12), upload(12, 12)]), span(0))
    found: list[Detection] = []
    for minute in range(40):
        found += slowly.advance(at(minute)).detections
    assert found == at_once.advance(END_OF_TIME).detections
    assert panes(found)[0] == 2


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
    watch.advance(at(1) + SPREAD_SECONDS + watch.kept_seconds - 1)
    assert watch.hosts == 3
    watch.advance(at(1) + SPREAD_SECONDS + watch.kept_seconds)
    assert watch.hosts == 2


def test_what_a_window_needs_is_kept_however_slowly_time_goes_on() -> None:
    watch = scans()
    found = []
    for pane in range(5 + OPEN_PANES):
        watch.apply(records(scan(pane, pane * 10, ports=int(pane < 5))), span(pane))
        found += watch.advance(at(pane + 1)).detections
    assert [detection.value for detection in found] == [3, 4, 5]


def test_state_is_dropped_after_its_window() -> None:
    watch = scans()
    watch.apply(records([row for pane in range(100) for row in [*scan(pane, ports=1), *exchange_of(pane)]]), span(0))
    kept = OPEN_PANES + watch.kept_seconds // 60
    for pane in range(1, 101):
        watch.advance(at(pane))
        expected = [at(each) for each in range(max(pane - kept, 0), 100)]
        assert watch.contacts.panes == watch.volumes.panes == watch.directory.panes == expected
    watch.advance(at(100 + kept))
    assert (watch.contacts.panes, watch.volumes.panes, watch.directory.panes, watch.hosts) == ([], [], [], 0)
    watch.advance(at(100 + OPEN_PANES + TIERS[-1].kept_panes) + 2 * TIERS[-1].seconds)
    assert {change.name.split("/")[0] for change in watch.changes(whole=True)} == {"position", "baselines"}


@pytest.mark.parametrize("leap", [1, 100])
@pytest.mark.parametrize(("behind", "scanned"), [(5, False), (6, True)])
def test_what_was_asked_is_remembered_for_five_minutes_however_time_goes_on(
    leap: int, behind: int, scanned: bool
) -> None:
    watch = scans()
    datagram: Row = {"protocol": 17, "tcp_flags": None, "packets": 1}
    own = {"source": INSIDE, "destination": OUTSIDE, "destination_port": 40_000, "end": at(0), **datagram}
    back = {"source": OUTSIDE, "source_port": 40_000, "destination": INSIDE, "end": at(behind), **datagram}
    asked = [{**own, "source_port": port} for port in range(50_000, 50_005)]
    watch.apply(records([*asked, *[{**back, "destination_port": row["source_port"]} for row in asked]]), span(0))
    found = [detection for minute in range(0, 101, leap) for detection in watch.advance(at(minute)).detections]
    assert {detection.source for detection in found} == ({OUTSIDE} if scanned else set())


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
    assert panes(watch.advance(at(3 + OPEN_PANES)).detections) == [0]
    again = restored(watch)
    again.apply(records(scan(4, ports=2)), span(0))
    assert again.contacts.panes == [at(0)]
    assert len(again.apply(records(scan(2 + OPEN_PANES)), span(1))) == 3
    with pytest.raises(GapError):
        again.apply(records(scan(4)), span(3))
    assert again.advance(END_OF_TIME).detections == []


def test_state_may_be_stored_before_anything_was_applied() -> None:
    again = restored(scans())
    again.apply(records(scan(0)), span(0))
    assert panes(again.advance(END_OF_TIME).detections) == [0]


def test_taking_state_up_again_leaves_what_is_stored_the_same() -> None:
    watch = scans()
    watch.apply(records([row for pane in range(18) for row in scan(pane)]), span(0))
    watch.advance(at(16))
    again = restored(watch)
    before, after = ({change.name: change for change in each.changes(whole=True)} for each in (watch, again))
    assert before.keys() == after.keys()
    assert before["position"] == after["position"]
    assert again.advance(END_OF_TIME) == watch.advance(END_OF_TIME)


def test_what_changed_since_is_enough_to_keep_what_is_stored_up_to_date() -> None:
    watch = watching(PARAMETERS)
    stored: dict[str, Change] = {}
    batches = [[*scan(pane, pane), upload(pane - 5, pane), *exchange_of(pane)] for pane in range(25)]
    for number, rows in enumerate(batches):
        watch.apply(records(rows), span(number))
        watch.advance(at(number - 3))
        stored = merged(stored, watch.changes(whole=number == 0))
        again = watching(PARAMETERS)
        again.restore([Change(name, change.encoded()) for name, change in stored.items()])
        assert told(again) == told(watch)
    assert again.advance(END_OF_TIME) == watch.advance(END_OF_TIME)


def told(watch: Watch) -> list[Any]:
    """What a watch holds, whatever pieces it is stored in."""
    kept = (watch.contacts, watch.volumes, watch.conversations, watch.directory)
    frames = [each.summed(pane) for each in kept for pane in each.panes]
    frames += [watch.window(pane, width).table("pair") for pane in watch.contacts.panes for width in (60, 1440)]
    frames.append(watch.baselines.exported())
    rows = [sorted(frame.drop(*_LISTS, strict=False).rows(), key=str) for frame in frames]
    return [watch.closed_until, watch.applied("flows/0"), watch.hosts, rows]


_LISTS = ("example_ports", "protocols")


def test_where_nothing_changed_only_the_position_is_stored_anew() -> None:
    watch = scans()
    watch.apply(records([row for pane in range(8) for row in scan(pane)]), span(0))
    watch.changes(whole=True)
    assert [change.name for change in watch.changes()] == ["position"]
    watch.apply(records(scan(3)), span(1))
    stored = {change.name.split("/")[0] for change in watch.changes()}
    assert stored == {"position", "contacts", "volumes", "directory", "logins"}


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
