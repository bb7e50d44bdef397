from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from detectors.examples import records
from detectors.statistics import tables
from detectors.statistics.contacts import CONTACTS, KEYS, fold, merged
from detectors.statistics.tables import EXAMPLES, FEW_PORTS, HOST
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange
from tests.detectors.statistics import oracle
from tests.detectors.statistics.windows import by_key, table, window

PING: Row = {"protocol": 1, "source_port": 0, "destination_port": 0, "tcp_flags": None}


def failures(rows: list[Any]) -> list[bool]:
    """Whether each contact failed within five minutes, those of most requests first."""
    return table("contact", rows, 0, 5).sort("requests", descending=True)["failed"].to_list()


def test_a_lone_syn_failed() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22)]) == [True]


def test_an_answered_conversation_did_not_fail() -> None:
    assert failures(exchange(OUTSIDE, INSIDE, 22)) == [False]


def test_an_attempt_that_was_reset_failed() -> None:
    reset = {"source": INSIDE, "source_port": 22, "destination": OUTSIDE, "destination_port": 40_000, "tcp_flags": 20}
    assert failures([attempt(OUTSIDE, INSIDE, 22), reset]) == [True]


def test_an_attempt_that_the_scanners_side_let_pass_and_the_targets_refused_failed() -> None:
    rows = [attempt("10.0.0.6", INSIDE, 22), attempt("10.0.0.6", INSIDE, 22, action="REJECT")]
    assert failures(rows) == [True]


def test_a_long_one_sided_conversation_did_not_fail() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22, packets=3)]) == [False]
    assert failures([attempt(OUTSIDE, INSIDE, 22, tcp_flags=3)]) == [False]


def test_a_long_refused_conversation_failed() -> None:
    assert failures([attempt(OUTSIDE, INSIDE, 22, packets=30, action="REJECT")]) == [True]


def test_an_answer_in_another_pane_counts() -> None:
    request, (_, answer) = attempt(OUTSIDE, INSIDE, 22), exchange(OUTSIDE, INSIDE, 22)
    assert failures([request, {**answer, "end": at(3)}]) == [False]
    assert failures([request, {**answer, "end": at(5)}]) == [True]


def test_a_ping_that_came_back_did_not_fail() -> None:
    there = {"source": OUTSIDE, "destination": INSIDE, **PING}
    back = {"source": INSIDE, "destination": OUTSIDE, **PING}
    assert failures([there, back]) == [False, False]


def test_a_ping_that_nothing_came_back_from_failed() -> None:
    assert failures([{"source": OUTSIDE, "destination": INSIDE, **PING}]) == [True]


def test_a_ping_whose_way_back_was_refused_failed() -> None:
    there = {"source": OUTSIDE, "destination": INSIDE, **PING, "weight": 2}
    back = {"source": INSIDE, "destination": OUTSIDE, **PING, "action": "REJECT"}
    assert failures([there, back]) == [True, False]


def test_examples_are_the_smallest_and_few() -> None:
    rows = [attempt(OUTSIDE, INSIDE, port) for port in range(100, 60, -1)]
    assert table("pair", rows)["example_ports"].to_list() == [list(range(61, 61 + EXAMPLES))]


EMPTY = CONTACTS.to_frame()


@pytest.mark.parametrize(
    "make", [tables.contact, tables.pair, tables.service, tables.scanner, tables.scanned, tables.target]
)
def test_nothing_is_told_of_no_contacts(make: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    one = make(merged(fold(records([attempt(OUTSIDE, INSIDE, 22)]).flows), by_pane=False))
    assert (make(EMPTY).schema, make(EMPTY).height) == (one.schema, 0)


def test_no_panes_hold_no_hosts() -> None:
    assert (tables.host([]).schema, tables.host([]).height) == (HOST, 0)


@pytest.mark.parametrize("panes", [1, 2, 3])
def test_hosts_of_several_panes_are_added_up(panes: int) -> None:
    pane = pl.DataFrame([(7, True, 10, 1), (8, False, 0, 2)], schema=HOST, orient="row")
    summed = tables.host([pane] * panes)
    assert sorted(summed.rows()) == [(7, True, 10 * panes, panes), (8, False, 0, 2 * panes)]


SUMS = pl.Schema(
    {
        "source_key": pl.UInt64,
        "target_key": pl.UInt64,
        "outbound_bytes": pl.Int64,
        "inbound_bytes": pl.Int64,
        "first_seen": pl.Int64,
        "last_seen": pl.Int64,
    }
)


def egress(rows: list[Row], sums: tuple[int, int, int, int]) -> dict[str, Any]:
    """The row of an own host and its peer: bytes and times as they were summed, and what their contacts add."""
    contacts = merged(fold(records(rows).flows), by_pane=False)
    own, peer = (records([{"source": each}]).frame["source_key"][0] for each in (INSIDE, OUTSIDE))
    (row,) = tables.egress(pl.DataFrame([(own, peer, *sums)], schema=SUMS, orient="row"), contacts).to_dicts()
    return row


def test_the_contacts_of_a_pair_tell_its_ports_and_times_whoever_opened_them() -> None:
    opened = [attempt(INSIDE, OUTSIDE, port, start=at(0, 5), end=at(0, 9)) for port in (443, 22)]
    served = attempt(OUTSIDE, INSIDE, 8080, protocol=17, tcp_flags=None, start=at(0, 7), end=at(1, 3))
    row = egress([*opened, served], (70, 10, at(0), at(2)))
    assert (row["outbound_bytes"], row["inbound_bytes"]) == (70, 10)
    assert (row["example_ports"], row["protocols"]) == ([22, 443, 8080], [6, 17])
    assert (row["first_seen"], row["last_seen"]) == (at(0, 5), at(1, 3))


def test_a_pair_without_contacts_has_the_times_of_its_panes_and_no_ports() -> None:
    row = egress([attempt(INSIDE, "203.0.113.2", 22)], (70, 10, at(0), at(2)))
    assert (row["example_ports"], row["protocols"]) == ([], [])
    assert (row["first_seen"], row["last_seen"]) == (at(0), at(2))


def test_examples_of_egress_are_the_smallest_and_few() -> None:
    rows = [attempt(INSIDE, OUTSIDE, port) for port in range(100, 60, -1)]
    assert egress(rows, (1, 1, at(0), at(1)))["example_ports"] == list(range(61, 61 + EXAMPLES))


def contacts_of(rows: list[dict[str, Any]]) -> tuple[pl.DataFrame, dict[oracle.Key, oracle.Contact]]:
    flows = records(rows).flows
    return window(flows, 0, 3).contacts(), oracle.window(oracle.answered(flows.to_dicts()))


def with_ports(keys: set[tuple[int, ...]]) -> set[tuple[int, ...]]:
    return {key for key in keys if key[3] not in {1, 58}}


@strategies.quick
@given(strategies.rows())
def test_pairs_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = with_ports(oracle.failed(expected))
    pairs = tables.pair(contacts)
    assert {key[:2] for key in expected} == set(pairs.select("source_key", "target_key").rows())
    for pair in pairs.rows(named=True):
        mine = {key: each for key, each in expected.items() if key[:2] == (pair["source_key"], pair["target_key"])}
        failed = {key: each for key, each in mine.items() if key in vain}
        assert pair["failed_ports"] == len({key[2] for key in failed})
        assert pair["ports"] == len({key[2] for key in mine})
        assert pair["rejected"] == sum(each["rejected"] for each in mine.values())
        assert pair["example_ports"] == sorted({key[2] for key in failed})[:EXAMPLES]
        assert pair["protocols"] == sorted({key[3] for key in failed})
        assert pair["first_seen"] == min((each["first_seen"] for each in failed.values()), default=None)
        assert pair["last_seen"] == max((each["last_seen"] for each in failed.values()), default=None)


@strategies.quick
@given(strategies.rows())
def test_services_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = oracle.failed(expected)
    services = tables.service(contacts)
    assert {(key[0], *key[2:]) for key in expected} == set(services.select("source_key", "port", "protocol").rows())
    for service in services.rows(named=True):
        name = (service["source_key"], service["port"], service["protocol"])
        mine = {key for key in expected if (key[0], *key[2:]) == name}
        assert service["failed_targets"] == len({key[1] for key in mine & vain})
        assert service["targets"] == len({key[1] for key in mine})
        assert service["answered_targets"] == len({key[1] for key in mine if expected[key]["answers"]})
        assert service["own_misses"] in {0, service["failed_targets"]}
        assert service["example_targets"] == sorted({key[1] for key in mine & vain})[:EXAMPLES]


@strategies.quick
@given(strategies.rows())
def test_scanners_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = with_ports(oracle.failed(expected))
    scanners = tables.scanner(contacts)
    assert {key[0] for key in vain} == set(scanners["source_key"])
    for scanner in scanners.rows(named=True):
        mine = {key for key in vain if key[0] == scanner["source_key"]}
        assert scanner["failed_contacts"] == len(mine)
        assert scanner["failed_targets"] == len({key[1] for key in mine})
        assert scanner["failed_ports"] == len({key[2] for key in mine})
        assert scanner["attempts"] == sum(expected[key]["requests"] for key in mine)


@strategies.quick
@given(strategies.rows())
def test_scanned_hosts_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    vain = with_ports(oracle.failed(expected))
    found = tables.scanned(contacts)
    assert {key[1] for key in vain} == set(found["target_key"])
    for host in found.rows(named=True):
        mine = {key for key in vain if key[1] == host["target_key"]}
        assert host["failed_ports"] == len({key[2] for key in mine})
        assert host["sources"] == len({key[0] for key in mine})


def test_who_failed_on_many_ports_is_none_of_the_many_who_scan_a_host() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 1000 + port) for port in range(FEW_PORTS + 1)]
    rows += [attempt("198.51.100.8", INSIDE, 2000 + port) for port in range(FEW_PORTS)]
    (host,) = table("scanned", rows).rows(named=True)
    assert (host["failed_ports"], host["sources"], host["example_ports"][0]) == (FEW_PORTS, 1, 2000)


@pytest.mark.parametrize(("minutes", "densest"), [(range(10), 6), (range(0, 20, 2), 3), ([0, 0, 0, 4, 5, 9, 9], 5)])
def test_the_densest_five_minutes_are_found_wherever_they_lie(minutes: Sequence[int], densest: int) -> None:
    rows = [attempt(OUTSIDE, INSIDE, 1000 + n, end=at(minute)) for n, minute in enumerate(minutes)]
    rows += [attempt("198.51.100.8", INSIDE, 1000, end=at(minute)) for minute in minutes]
    flows = records(rows).flows
    pairs = window(flows, 0, 20).table("pair", "failed_ports", 2)
    assert pairs["densest"].to_list() == [densest]
    sweep = [attempt(OUTSIDE, f"10.0.1.{n}", 22, end=at(minute)) for n, minute in enumerate(minutes)]
    assert window(records(sweep).flows, 0, 20).table("service")["densest"].to_list() == [densest]


@strategies.quick
@given(strategies.rows())
def test_contacts_failed_as_in_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    found = tables.contact(contacts)
    assert set(found.filter("failed").select(KEYS).rows()) == oracle.failed(expected)
    assert set(found.select(KEYS).rows()) == set(expected)


@strategies.quick
@given(strategies.rows())
def test_targets_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    contacts, expected = contacts_of(rows)
    refused = {key: each for key, each in expected.items() if each["rejected"]}
    targets = by_key(tables.target(contacts), "target_key")
    assert targets.keys() == {key[1] for key in refused}
    for target, row in targets.items():
        mine = {key: each for key, each in refused.items() if key[1] == target}
        assert row["rejected"] == sum(each["rejected"] for each in mine.values())
        assert row["sources"] == len({key[0] for key in mine})
        assert row["example_sources"] == sorted({key[0] for key in mine})[:EXAMPLES]
        assert row["example_ports"] == sorted({key[2] for key in mine})[:EXAMPLES]
        assert row["protocols"] == sorted({key[3] for key in mine})
        assert row["first_seen"] == min(each["first_seen"] for each in mine.values())
        assert row["last_seen"] == max(each["last_seen"] for each in mine.values())
