from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.statistics.contacts import CONTACTS, KEYS, contact_keys, fold, merged, undecided
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, at, attempt, exchange
from tests.detectors.statistics import oracle

SENDER, RECEIVER = "sender", "receiver"


def opened_by(source_port: int, destination_port: int, flags: int | None) -> str:
    """Who opened a conversation of which one record is known."""
    row = {
        "source": OUTSIDE,
        "destination": INSIDE,
        "source_port": source_port,
        "destination_port": destination_port,
        "tcp_flags": flags,
    }
    flows = records([row]).flows
    contact = fold(flows).row(0, named=True)
    opener = RECEIVER if contact["source_key"] == flows["destination_key"][0] else SENDER
    assert contact["port"] == (source_port if opener == RECEIVER else destination_port)
    return opener


@pytest.mark.parametrize("flags", [2, 3, 6, 7])
@pytest.mark.parametrize("ports", [(443, 40_000), (40_000, 443), (50_000, 50_001)])
def test_a_syn_without_ack_opens_a_conversation_whatever_the_ports(flags: int, ports: tuple[int, int]) -> None:
    assert opened_by(*ports, flags) == SENDER


@pytest.mark.parametrize("flags", [18, 19, 22, 23])
@pytest.mark.parametrize("ports", [(443, 40_000), (40_000, 443), (50_000, 50_001)])
def test_a_syn_with_ack_answers_whatever_the_ports(flags: int, ports: tuple[int, int]) -> None:
    assert opened_by(*ports, flags) == RECEIVER


@pytest.mark.parametrize("flags", [None, 0, 1, 4, 16, 20])
@pytest.mark.parametrize(
    ("source_port", "destination_port", "opener"),
    [
        (443, 40_000, RECEIVER),
        (40_000, 443, SENDER),
        (3_306, 20_000, RECEIVER),
        (20_000, 3_306, SENDER),
        (20_000, 40_000, RECEIVER),
        (40_000, 20_000, SENDER),
        (22, 8_080, SENDER),
        (8_080, 22, SENDER),
        (20_000, 10_000, SENDER),
        (50_000, 40_000, SENDER),
        (40_000, 50_000, SENDER),
        (0, 0, SENDER),
    ],
)
def test_without_syn_a_service_port_decides_and_then_the_ephemeral_range(
    flags: int | None, source_port: int, destination_port: int, opener: str
) -> None:
    assert opened_by(source_port, destination_port, flags) == opener


def test_both_directions_of_a_conversation_are_one_contact() -> None:
    (contact,) = fold(records(exchange(OUTSIDE, INSIDE)).flows).to_dicts()
    assert (contact["port"], contact["requests"], contact["answers"]) == (443, 1, 1)


def test_a_reset_is_no_answer() -> None:
    reset = {"source": INSIDE, "destination": OUTSIDE, "source_port": 22, "destination_port": 40_000}
    rows = [attempt(OUTSIDE, INSIDE, 22), {**reset, "tcp_flags": 20}]
    assert fold(records(rows).flows).select("requests", "answers").rows() == [(1, 0)]


def test_a_reset_between_two_high_ports_is_no_attempt_of_its_sender() -> None:
    reset = {"source": INSIDE, "destination": OUTSIDE, "source_port": 50_000, "destination_port": 40_000}
    rows = [{**reset, "tcp_flags": 4}, {**reset, "tcp_flags": 20, "action": "REJECT"}]
    assert fold(records(rows).flows).select("requests", "rejected").rows() == [(0, 0)]


def test_a_refused_answer_is_neither_an_answer_nor_a_refused_request() -> None:
    sprayed = {"source": OUTSIDE, "destination": INSIDE, "source_port": 80, "destination_port": 40_000}
    contacts = fold(records([{**sprayed, "tcp_flags": 18, "action": "REJECT"}]).flows)
    assert contacts.select("requests", "rejected", "answers").rows() == [(0, 0, 0)]


def test_a_sampled_record_counts_for_those_it_stands_for() -> None:
    contacts = fold(records([attempt(OUTSIDE, INSIDE, 22, weight=100, packets=200)]).flows)
    assert contacts.select("requests", "lasting").rows() == [(100, False)]


@pytest.mark.parametrize(
    ("said", "lasting"),
    [
        ({"packets": 3, "bytes": 180}, False),
        ({"packets": 7, "bytes": 560}, False),
        ({"packets": 3, "bytes": 180, "tcp_flags": 6}, False),
        ({"packets": 4, "bytes": 240, "tcp_flags": None}, False),
        ({"packets": 3, "bytes": 164}, True),
        ({"packets": 3, "bytes": 60}, True),
        ({"packets": 3, "bytes": 300}, True),
        ({"packets": 8, "bytes": 480}, True),
        ({"packets": 3, "bytes": 180, "tcp_flags": 3}, True),
        ({"packets": 3, "bytes": 180, "tcp_flags": 0}, True),
        ({"packets": 3, "bytes": 180, "protocol": 17}, True),
    ],
)
def test_a_syn_that_is_sent_again_is_the_same_attempt(said: dict[str, Any], lasting: bool) -> None:
    assert fold(records([attempt(OUTSIDE, INSIDE, 22, **said)]).flows)["lasting"].to_list() == [lasting]


def test_a_record_counts_in_the_pane_of_its_end() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, start=at(0), end=end) for end in (at(0, 59), at(1))]
    assert sorted(fold(records(rows).flows)["pane"]) == [at(0), at(1)]


@strategies.quick
@given(strategies.rows())
def test_contacts_are_those_of_a_record_by_record_count(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    contacts = fold(flows)
    assert contacts.schema == CONTACTS
    names = contact_keys(*(contacts[name].to_numpy() for name in KEYS))
    assert contacts["contact"].to_list() == names.tolist()
    rows_left = contacts.drop("contact").to_dicts()
    keyed = {tuple(row.pop(name) for name in ("pane", *KEYS)): row for row in rows_left}
    assert keyed == oracle.fold(flows.to_dicts())


@strategies.quick
@given(strategies.rows(), st.data())
def test_merging_does_not_mind_how_records_were_split_or_in_which_order(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = records(rows).flows
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(whole), max_size=len(whole)))
    first, second, third = (fold(whole.filter(pl.Series(parts, dtype=pl.Int64) == part)) for part in range(3))
    left = merged(pl.concat([merged(pl.concat([first, second]), by_pane=True), third]), by_pane=True)
    right = merged(pl.concat([merged(pl.concat([third, second]), by_pane=True), first]), by_pane=True)
    order = ["pane", *KEYS]
    assert left.sort(order).equals(fold(whole).sort(order))
    assert right.sort(order).equals(left.sort(order))


@strategies.quick
@given(strategies.rows())
def test_summing_panes_keeps_the_last_pane(rows: list[dict[str, Any]]) -> None:
    contacts = fold(records(rows).flows)
    summed = merged(contacts, by_pane=False)
    expected = contacts.group_by(KEYS).agg(pl.col("pane").max(), pl.col("requests").sum()).sort(KEYS)
    assert summed.select(*KEYS, "pane", "requests").sort(KEYS).equals(expected)


def test_a_contact_has_the_same_name_in_every_process() -> None:
    source, target, port, protocol = (np.array([number]) for number in (1, 2, 443, 6))
    named = contact_keys(
        source.astype(np.uint64), target.astype(np.uint64), port.astype(np.uint16), protocol.astype(np.uint8)
    )
    assert named.tolist() == [4_290_514_517_932_516_089]


@pytest.mark.parametrize("by_pane", [True, False])
def test_nothing_is_made_of_no_records(by_pane: bool) -> None:
    empty = fold(records([]).flows)
    assert (empty.schema, empty.height) == (CONTACTS, 0)
    assert merged(empty, by_pane=by_pane).equals(empty)


@strategies.quick
@given(strategies.rows())
def test_summed_contacts_come_in_the_order_of_their_names(rows: list[dict[str, Any]]) -> None:
    contacts = fold(records(rows).flows)
    names = merged(contacts, by_pane=False)["contact"]
    assert names.is_sorted()
    assert names.is_unique().all()
    for _, pane in contacts.group_by("pane"):
        assert merged(pane, by_pane=True)["contact"].is_sorted()


@pytest.mark.parametrize(
    ("source_port", "destination_port", "open_to_both"),
    [
        (50_000, 40_000, True),
        (20_000, 10_000, True),
        (22, 8_080, True),
        (443, 40_000, False),
        (40_000, 443, False),
        (20_000, 40_000, False),
        (0, 0, False),
    ],
)
def test_ports_of_the_same_kind_leave_open_who_opened_a_conversation(
    source_port: int, destination_port: int, open_to_both: bool
) -> None:
    ports = np.array([source_port], np.uint16), np.array([destination_port], np.uint16)
    assert undecided(*ports).tolist() == [open_to_both]
