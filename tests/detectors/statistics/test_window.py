from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.statistics.contacts import CONTACTS, KEYS
from detectors.statistics.grouping import Groups
from detectors.statistics.pane import Pane
from detectors.statistics.window import NARROWED, TABLES, Window
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange
from tests.detectors.statistics import oracle, windows
from tests.detectors.statistics.windows import by_key, window

KEYS_OF = {
    "contact": KEYS,
    "pair": ("source_key", "target_key"),
    "service": ("source_key", "port", "protocol"),
    "scanner": ("source_key",),
    "scanned": ("target_key",),
    "target": ("target_key",),
    "egress": ("source_key", "target_key"),
    "outflow": ("source_key", "target_key"),
    "host": ("key",),
    "traffic": ("key",),
}
NUMBERS = [
    *NARROWED,
    ("egress", "outbound_bytes"),
    ("egress", "inbound_bytes"),
    ("outflow", "outbound_bytes"),
    ("contact", "requests"),
    ("host", "outbound_bytes"),
    ("host", "rejected"),
    ("target", "sources"),
    ("traffic", "external_bytes_sent"),
]


def ordered(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.sort(KEYS_OF[name])


def pair(pane: Pane) -> Any:
    return pane.pair


def egress(rows: Sequence[Row], first: int = 0, end: int = 1, *, least: float = 0) -> list[dict[str, Any]]:
    return window(records(rows).flows, first, end).table("egress", "outbound_bytes", least).to_dicts()


def upload(start: int, end: int, **said: Any) -> Row:
    """Six hundred bytes to outside, sent between two moments counted in seconds from the first pane."""
    return attempt(INSIDE, OUTSIDE, 443, bytes=600, start=at(0, start), end=at(0, end), **said)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_window_has_every_table_with_the_columns_of_a_full_one(name: str) -> None:
    full = windows.table(name, [*exchange(INSIDE, OUTSIDE), attempt(OUTSIDE, INSIDE, 22, action="REJECT")])
    assert full.height > 0
    for panes in ([], [windows.pane(records([]).flows, at(0))]):
        empty = Window(panes, 5).table(name)
        assert (empty.schema, empty.height) == (full.schema, 0)


@pytest.mark.parametrize(("name", "column"), NUMBERS)
def test_rows_that_reach_no_number_are_none_with_all_columns(name: str, column: str) -> None:
    whole = window(records([*exchange(INSIDE, OUTSIDE), attempt(OUTSIDE, INSIDE, 22, action="REJECT")]).flows)
    none = whole.table(name, column, 1e30)
    assert (none.schema, none.height) == (whole.table(name).schema, 0)


def test_contacts_are_summed_over_the_panes_of_the_window_and_no_others() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, end=at(pane)) for pane in range(6)]
    assert window(records(rows).flows, 1, 4).contacts()["requests"].to_list() == [3]


def test_only_the_wanted_contacts_are_summed() -> None:
    rows = [attempt(OUTSIDE, f"10.0.0.{host}", 22, end=at(pane)) for host in (1, 2, 3) for pane in (0, 1)]
    whole = window(records(rows).flows, 0, 2)
    wanted = np.sort(whole.panes[0].pair[:2])
    kept = whole.contacts(pair, wanted)
    assert kept["requests"].to_list() == [2, 2]
    assert set(kept["contact"]) == set(whole.panes[0].contact[:2].tolist())
    assert (whole.contacts(pair, wanted[:0]).schema, whole.contacts(pair, wanted[:0]).height) == (CONTACTS, 0)


def test_a_number_that_is_reached_only_over_all_panes_is_not_missed() -> None:
    rows = [attempt(OUTSIDE, INSIDE, port, end=at(pane)) for pane, port in enumerate((22, 23, 24))]
    refused = [attempt(OUTSIDE, INSIDE, 25, end=at(pane), action="REJECT") for pane in range(5)]
    whole = window(records([*rows, *refused]).flows, 0, 5)
    assert whole.table("pair", "failed_ports", 4)["failed_ports"].to_list() == [4]
    assert whole.table("target", "rejected", 5)["rejected"].to_list() == [5]
    assert egress([upload(60 * pane, 60 * pane) for pane in range(5)], 0, 5, least=3000)[0]["outbound_bytes"] == 3000


def test_what_failed_in_one_pane_and_was_answered_in_another_did_not_fail() -> None:
    _, answer = exchange(OUTSIDE, INSIDE, 22)
    rows = [attempt(OUTSIDE, INSIDE, port) for port in (22, 23)]
    whole = window(records([*rows, {**answer, "end": at(1)}]).flows, 0, 2)
    assert whole.table("pair", "failed_ports", 2).is_empty()
    assert whole.table("pair", "failed_ports", 1)["failed_ports"].to_list() == [1]


def test_a_pair_that_only_received_is_told_of_unless_a_number_of_bytes_is_asked_for() -> None:
    (answer,) = [row for row in exchange(INSIDE, OUTSIDE, received=50) if row["destination"] == INSIDE]
    assert [(row["outbound_bytes"], row["inbound_bytes"]) for row in egress([answer])] == [(0, 50)]
    assert egress([answer], least=1) == []


def test_what_is_left_out_of_egress_in_some_panes_still_counts_in_full() -> None:
    rows = [upload(0, 0), *[upload(60 * pane, 60 * pane, weight=10) for pane in range(1, 5)]]
    (row,) = egress(rows, 0, 5, least=24_000)
    assert row["outbound_bytes"] == 24_600


def test_egress_takes_from_a_record_what_was_spread_into_the_window() -> None:
    rows = [upload(0, 600)]
    assert [row["outbound_bytes"] for row in egress(rows, 0, 5)] == [300]
    assert [row["outbound_bytes"] for row in egress(rows, 8, 13)] == [120]


def test_the_record_that_ends_behind_the_window_tells_the_ports_of_what_was_spread_into_it() -> None:
    (row,) = egress([upload(30, 590, tcp_flags=3)])
    assert (row["example_ports"], row["protocols"]) == ([443], [6])
    assert (row["first_seen"], row["last_seen"]) == (at(0, 30), at(9, 50))


def test_what_begins_behind_the_window_is_no_evidence_of_it() -> None:
    later = {**upload(200, 230), "destination_port": 8080}
    (row,) = egress([upload(10, 20), later])
    assert (row["example_ports"], row["first_seen"], row["last_seen"]) == ([443], at(0, 10), at(0, 20))


def test_where_nothing_follows_the_panes_tell_when_it_was() -> None:
    flows = records([upload(30, 90)]).flows
    (row,) = Window(windows.panes(flows, 0, 1), 1).table("egress").to_dicts()
    assert (row["example_ports"], row["first_seen"], row["last_seen"]) == ([], at(0), at(1))


def test_what_follows_is_looked_at_only_for_evidence_of_egress() -> None:
    flows = records([upload(30, 30), attempt(OUTSIDE, INSIDE, 22, action="REJECT")]).flows
    asked = []

    def following() -> list[Pane]:
        asked.append("once")
        return []

    whole = Window(windows.panes(flows, 0, 1), 1, following)
    for name in TABLES:
        whole.table(name)
    whole.table("egress", "outbound_bytes", 601)
    assert asked == ["once"]


@pytest.mark.parametrize(("name", "column"), NARROWED)
def test_only_what_may_reach_the_number_is_summed(name: str, column: str) -> None:
    usual = [attempt(OUTSIDE, f"10.0.0.{host}", 22, action="REJECT") for host in range(1, 101)]
    usual += [row for host in range(1, 101) for row in exchange(f"10.0.0.{host}", OUTSIDE)]
    scanner = "10.2.0.9" if column == "own_misses" else "203.0.113.9"
    scanners = [f"203.0.113.{port}" if name == "scanned" else scanner for port in range(30, 180)]
    ports = [attempt(each, INSIDE, 30 + number, action="REJECT") for number, each in enumerate(scanners)]
    targets = [attempt(scanner, f"10.1.0.{host}", 22, action="REJECT") for host in range(1, 151)]
    whole = window(records([*usual, *ports, *targets]).flows)
    assert whole.contacts().height == 500
    assert 0 < whole.narrowed(name, column, 110).height <= (300 if name == "scanner" else 151)
    assert whole.table(name, column, 110).height == 1


@pytest.mark.parametrize(("name", "column"), NUMBERS)
@strategies.quick
@given(
    strategies.rows(panes=6, most=40),
    st.tuples(st.integers(0, 5), st.integers(1, 6)),
    st.one_of(st.integers(-1, 12), st.integers(0, 12_000), st.floats(0, 12)),
)
def test_the_rows_that_reach_a_number_are_those_of_the_whole_table(
    name: str, column: str, rows: list[dict[str, Any]], panes: tuple[int, int], least: float
) -> None:
    flows = records(rows).flows
    first, width = panes
    narrowed, whole = (window(flows, first, first + width) for _ in range(2))
    expected = whole.table(name).filter(pl.col(column) >= least)
    assert ordered(narrowed.table(name, column, least), name).equals(ordered(expected, name))


@strategies.quick
@given(strategies.rows(panes=6, most=40), st.tuples(st.integers(0, 5), st.integers(1, 6)))
def test_what_may_reach_a_number_is_among_the_candidates(rows: list[dict[str, Any]], panes: tuple[int, int]) -> None:
    whole = window(records(rows).flows, panes[0], sum(panes))
    for (name, column), narrow in NARROWED.items():
        for number in {*whole.table(name)[column]} - {0}:
            keys, wanted = narrow(whole, number)
            kept = whole.contacts(keys, wanted)
            assert Groups(wanted).keys.tolist() == wanted.tolist()
            reached = whole.table(name).filter(pl.col(column) >= number).select(KEYS_OF[name])
            assert reached.join(kept, on=KEYS_OF[name], how="anti").is_empty()


@strategies.quick
@given(strategies.rows(panes=6, most=40), st.tuples(st.integers(0, 5), st.integers(1, 6)))
def test_windows_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]], panes: tuple[int, int]) -> None:
    flows = records(rows).flows
    first, end = panes[0], sum(panes)
    begins = range(at(first), at(end), 60)
    whole = window(flows, first, end)
    contacts = oracle.window(oracle.answered(flows.to_dicts()), begins)
    found = by_key(whole.table("contact"), *KEYS)
    assert found.keys() == contacts.keys()
    for key, contact in contacts.items():
        assert {name: found[key][name] for name in contact} == contact
        assert found[key]["failed"] == (key in oracle.failed(contacts))
    sums = oracle.egress(flows.to_dicts(), begins)
    assert {
        key: (row["outbound_bytes"], row["inbound_bytes"])
        for key, row in by_key(whole.table("egress"), *KEYS_OF["egress"]).items()
    } == sums
    rejected: dict[int, int] = {}
    for (_, target, _, _), contact in contacts.items():
        rejected[target] = rejected.get(target, 0) + contact["rejected"]
    sent: dict[int, int] = {}
    for (host, _), (out, _) in sums.items():
        sent[host] = sent.get(host, 0) + out
    hosts = by_key(whole.table("host"), "key")
    assert hosts.keys() == {*sent, *(key for key, count in rejected.items() if count)}
    for key, row in hosts.items():
        assert (row["outbound_bytes"], row["rejected"]) == (sent.get(key, 0), rejected.get(key, 0))
