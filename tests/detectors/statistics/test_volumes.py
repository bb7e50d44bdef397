from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import written
from detectors.examples import records
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import (
    MOST,
    RECEIVER,
    SENDER,
    SPREAD_SECONDS,
    UNKNOWN,
    VOLUMES,
    fold,
    merged,
    owners,
    reporters,
)
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt
from tests.detectors.statistics import oracle

KEY = ["pane", "volume"]
UPLOAD: Row = {"source": INSIDE, "destination": OUTSIDE, "bytes": 600, "packets": 60}


def spread(start: int, end: int, **said: Any) -> dict[int, int]:
    """Bytes by pane of one record, both counted in seconds from the first pane."""
    row = {**UPLOAD, "start": at(0, start), "end": at(0, end), **said}
    volumes = fold(records([row]).flows)
    return {(pane - at(0)) // PANE_SECONDS: sent for pane, sent in volumes.select("pane", "bytes").sort("pane").rows()}


def reporting(source: str, destination: str, direction: str | None) -> int:
    flows = records([{"source": source, "destination": destination, "direction": direction}]).flows
    return int(reporters(flows)[0])


def test_a_record_without_duration_counts_in_the_pane_of_its_end() -> None:
    assert spread(30, 30) == {0: 600}
    assert spread(60, 60) == {1: 600}


def test_a_record_within_a_pane_counts_there() -> None:
    assert spread(0, 59) == {0: 600}


def test_bytes_are_spread_evenly_over_the_time_of_a_record() -> None:
    assert spread(30, 90) == {0: 300, 1: 300}
    assert spread(45, 165) == {0: 75, 1: 300, 2: 225}


def test_what_ends_with_a_pane_leaves_nothing_to_the_next() -> None:
    assert spread(0, 60) == {0: 600, 1: 0}
    assert spread(30, 120) == {0: 200, 1: 400, 2: 0}


def test_bytes_are_spread_back_over_ten_minutes_at_most() -> None:
    assert spread(0, 600) == dict.fromkeys(range(10), 60) | {10: 0}
    assert spread(-10_000, 600) == spread(0, 600)
    assert min(spread(-10_000, 659)) == 0


def test_what_cannot_be_divided_is_not_lost() -> None:
    assert spread(30, 150, bytes=1) == {0: 0, 1: 0, 2: 1}
    assert spread(59, 121, bytes=10) == {0: 0, 1: 9, 2: 1}


def test_packets_are_spread_as_bytes_are() -> None:
    volumes = fold(records([{**UPLOAD, "start": at(0, 30), "end": at(1, 30), "packets": 61}]).flows).sort("pane")
    assert volumes["packets"].to_list() == [30, 31]


def test_a_sampled_record_counts_for_those_it_stands_for_before_it_is_divided() -> None:
    assert spread(30, 90, bytes=1, weight=7) == {0: 3, 1: 4}


@pytest.mark.parametrize("sent", [MOST, 2**63 - 1])
@pytest.mark.parametrize("weight", [1, 1024])
def test_more_bytes_than_any_interface_carries_count_as_the_most_it_may(sent: int, weight: int) -> None:
    parts = spread(0, 599, bytes=sent, weight=weight)
    assert sum(parts.values()) == MOST
    assert min(parts.values()) > MOST // 11


def test_impossible_records_do_not_make_sums_negative() -> None:
    rows = [{**UPLOAD, "bytes": 2**63 - 1, "packets": 2**63 - 1}] * 9
    volumes = merged(fold(records(rows).flows))
    assert volumes.select("bytes", "packets").row(0) == (9 * MOST, 9 * MOST)


def test_what_was_refused_was_not_sent() -> None:
    assert fold(records([{**UPLOAD, "action": "REJECT"}]).flows).is_empty()


@pytest.mark.parametrize("rows", [[], [{"source": None, "destination": None, "log_status": "NODATA"}]])
def test_nothing_is_made_of_no_records(rows: list[Row]) -> None:
    empty = fold(records(rows).flows)
    assert (empty.schema, empty.height) == (VOLUMES, 0)
    assert merged(empty).equals(empty)


@pytest.mark.parametrize(("source", "destination"), [(INSIDE, OUTSIDE), (OUTSIDE, INSIDE), (INSIDE, "10.0.0.2")])
def test_the_direction_says_who_reported_whatever_the_networks(source: str, destination: str) -> None:
    assert reporting(source, destination, "egress") == SENDER
    assert reporting(source, destination, "ingress") == RECEIVER


def test_without_a_direction_the_end_that_is_internal_reported() -> None:
    assert reporting(INSIDE, OUTSIDE, None) == SENDER
    assert reporting(OUTSIDE, INSIDE, None) == RECEIVER


def test_without_a_direction_nothing_says_which_of_two_internal_or_outside_ends_reported() -> None:
    assert reporting(INSIDE, "10.0.0.2", None) == UNKNOWN
    assert reporting(OUTSIDE, "203.0.113.2", None) == UNKNOWN


def test_records_with_and_without_a_direction_do_not_sway_each_other() -> None:
    rows: list[Row] = [
        {"source": OUTSIDE, "destination": INSIDE, "direction": "egress"},
        {"source": OUTSIDE, "destination": INSIDE},
        {"source": INSIDE, "destination": "10.0.0.2"},
    ]
    assert reporters(records(rows).flows).tolist() == [SENDER, RECEIVER, UNKNOWN]


def test_interfaces_are_kept_only_where_nothing_else_says_who_reported() -> None:
    inner: Row = {"source": INSIDE, "destination": "10.0.0.2"}
    rows = [{**inner, "interface_id": name} for name in ("eni-1", "eni-2", None)]
    told = [{**UPLOAD, "interface_id": "eni-3"}, {**inner, "interface_id": "eni-4", "direction": "ingress"}]
    volumes = fold(records([*rows, *told]).flows)
    kept = Counter(volumes.select("reporter", "interface").rows())
    unknown = {(UNKNOWN, oracle.hashed(name)): 1 for name in ("eni-1", "eni-2", None)}
    assert kept == unknown | {(SENDER, 0): 1, (RECEIVER, 0): 1}


def test_both_reports_of_a_transfer_between_own_hosts_stay_apart() -> None:
    copy: Row = {"source": INSIDE, "destination": "10.0.0.2", "bytes": 500}
    volumes = fold(records([{**copy, "direction": "egress"}, {**copy, "direction": "ingress"}]).flows)
    assert sorted(volumes.select("reporter", "bytes").rows()) == [(SENDER, 500), (RECEIVER, 500)]


def test_one_row_holds_what_one_end_reports_of_a_pair_whatever_the_ports() -> None:
    rows = [attempt(INSIDE, OUTSIDE, port, bytes=100) for port in (22, 443)]
    assert fold(records(rows).flows).select("bytes", "packets").rows() == [(200, 2)]


def owned(*pairs: tuple[str, str, str]) -> dict[str, str]:
    """Whose each interface is, learned from records between own hosts that one interface each reported."""
    rows = [{"source": source, "destination": destination, "interface_id": name} for source, destination, name in pairs]
    flows = records(rows).flows
    addresses = {key: written(0, low) for key, low in flows.select("source_key", "source_low").rows()}
    addresses |= {key: written(0, low) for key, low in flows.select("destination_key", "destination_low").rows()}
    interfaces, keys = owners(fold(flows))
    names = {oracle.hashed(name): name for *_, name in pairs}
    assert interfaces.tolist() == sorted(set(interfaces.tolist()))
    return {names[each]: addresses[key] for each, key in zip(interfaces.tolist(), keys.tolist(), strict=True)}


def test_an_interface_belongs_to_the_host_that_all_it_reports_has_at_one_end() -> None:
    mine = [(INSIDE, "10.0.0.2", "eni-a"), ("10.0.0.3", INSIDE, "eni-a"), (INSIDE, "10.0.0.4", "eni-a")]
    others = [("10.0.0.2", INSIDE, "eni-b"), ("10.0.0.2", "10.0.0.3", "eni-b")]
    assert owned(*mine, *others) == {"eni-a": INSIDE, "eni-b": "10.0.0.2"}
    assert owned(*others[::-1], *mine[::-1]) == owned(*mine, *others)


def test_an_interface_that_saw_one_peer_only_is_given_to_the_same_end_whoever_sent() -> None:
    assert owned((INSIDE, "10.0.0.2", "eni-a")) == owned(("10.0.0.2", INSIDE, "eni-a"))


def test_nothing_is_learned_where_something_else_says_who_reported() -> None:
    interfaces, keys = owners(fold(records([UPLOAD, {**UPLOAD, "direction": "ingress"}]).flows))
    assert (interfaces.tolist(), keys.tolist()) == ([], [])


@strategies.quick
@given(
    st.integers(at(0), at(3)),
    st.integers(0, 2 * SPREAD_SECONDS),
    st.integers(0, 10**13),
    st.integers(0, 10**6),
    st.integers(1, 2**20),
)
def test_every_byte_and_packet_arrives_once(end: int, span: int, sent: int, packets: int, weight: int) -> None:
    sent //= weight
    row = {**UPLOAD, "start": end - span, "end": end, "bytes": sent, "packets": packets, "weight": weight}
    volumes = fold(records([row]).flows)
    assert (volumes["bytes"].sum(), volumes["packets"].sum()) == (sent * weight, packets * weight)
    assert volumes["bytes"].min() >= 0  # type: ignore[operator]  # never null
    begin = max(end - span, end - SPREAD_SECONDS)
    touched = range(begin // PANE_SECONDS * PANE_SECONDS, end + 1, PANE_SECONDS)
    assert sorted(volumes["pane"]) == list(touched)


@strategies.quick
@given(strategies.rows())
def test_volumes_are_those_of_a_count_second_by_second(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    volumes = fold(flows)
    assert volumes.schema == VOLUMES
    names = ("pane", "sender_key", "receiver_key", "reporter", "interface")
    found = {row[:5]: row[5:] for row in volumes.select(*names, "bytes", "packets").rows()}
    assert found == oracle.volumes(flows.to_dicts())
    assert len(found) == len(volumes)


@strategies.quick
@given(strategies.rows())
def test_volumes_tell_which_ends_are_internal(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    inside = dict(flows.select("source_key", "source_internal").rows())
    inside |= dict(flows.select("destination_key", "destination_internal").rows())
    for row in fold(flows).rows(named=True):
        ends = row["sender_key"], row["receiver_key"]
        assert (row["sender_internal"], row["receiver_internal"]) == (inside[ends[0]], inside[ends[1]])


@strategies.quick
@given(strategies.rows(), st.data())
def test_merging_does_not_mind_how_records_were_split_or_in_which_order(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = records(rows).flows
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(whole), max_size=len(whole)))
    first, second, third = (fold(whole.filter(pl.Series(parts, dtype=pl.Int64) == part)) for part in range(3))
    left = merged(pl.concat([merged(pl.concat([first, second])), third]))
    right = merged(pl.concat([merged(pl.concat([third, second])), first]))
    assert left.sort(KEY).equals(fold(whole).sort(KEY))
    assert right.sort(KEY).equals(left.sort(KEY))


@strategies.quick
@given(strategies.rows(), st.data())
def test_the_order_of_records_does_not_matter(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert fold(records(shuffled).flows).sort(KEY).equals(fold(records(rows).flows).sort(KEY))


@strategies.quick
@given(strategies.rows())
def test_volumes_of_one_pane_come_in_the_order_of_their_names(rows: list[dict[str, Any]]) -> None:
    for _, pane in fold(records(rows).flows).group_by("pane"):
        names = merged(pane)["volume"]
        assert names.is_sorted()
        assert names.is_unique().all()
