from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import written
from detectors.examples import records
from detectors.statistics.directory import HOSTS, hosts, merged, summed
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange
from tests.detectors.statistics import oracle

INNER = "10.0.0.2"
ORDER = ["pane", "key", "account_id", "vpc_id", "interface_id"]


def known(rows: list[Any]) -> dict[str, dict[str, Any]]:
    listed = summed(merged(hosts(records(rows).flows)))
    return {written(row["high"], row["low"]): row for row in listed.rows(named=True)}


def interfaces(*rows: Row) -> dict[str, str | None]:
    return {address: host["interface_id"] for address, host in known(list(rows)).items()}


def test_both_ends_of_a_record_are_hosts() -> None:
    found = known([attempt(OUTSIDE, INSIDE, 22)])
    assert set(found) == {OUTSIDE, INSIDE}
    assert (found[INSIDE]["internal"], found[INSIDE]["scope"]) == (True, "vpc-1")
    assert (found[OUTSIDE]["internal"], found[OUTSIDE]["scope"]) == (False, "")


def test_ingress_says_that_the_receiver_reported_and_egress_the_sender() -> None:
    ingress = attempt(OUTSIDE, INSIDE, 22, direction="ingress", interface_id="eni-a")
    egress = attempt(INNER, OUTSIDE, 22, direction="egress", interface_id="eni-b")
    assert interfaces(ingress, egress) == {INSIDE: "eni-a", INNER: "eni-b", OUTSIDE: None}


def test_without_a_direction_the_interface_is_that_of_the_only_internal_end() -> None:
    inbound, outbound = attempt(OUTSIDE, INSIDE, 22, interface_id="eni-a"), attempt(INNER, OUTSIDE, 22)
    assert interfaces(inbound, outbound) == {INSIDE: "eni-a", INNER: "eni-1", OUTSIDE: None}


@pytest.mark.parametrize("ends", [(INSIDE, INNER), (OUTSIDE, "203.0.113.2")])
def test_without_a_direction_no_interface_is_claimed_between_alike_ends(ends: tuple[str, str]) -> None:
    assert interfaces(attempt(*ends, 22)) == dict.fromkeys(ends)


def test_a_direction_outweighs_the_internal_networks() -> None:
    assert interfaces(attempt(OUTSIDE, INSIDE, 22, direction="egress")) == {OUTSIDE: "eni-1", INSIDE: None}


def test_of_several_interfaces_the_smallest_name_stands() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, direction="ingress", interface_id=name) for name in ("eni-c", "eni-a", None)]
    assert interfaces(*rows)[INSIDE] == "eni-a"


def test_an_interface_is_not_forgotten_because_others_reported_the_host_too() -> None:
    own = attempt(INNER, INSIDE, 22, direction="ingress", interface_id="eni-z")
    others = attempt(INNER, INSIDE, 22, direction="egress", interface_id="eni-a")
    assert interfaces(own, others) == {INNER: "eni-a", INSIDE: "eni-z"}


def test_account_and_vpc_are_those_of_whoever_reported() -> None:
    found = known([attempt(OUTSIDE, INSIDE, 22, account_id="210987654321", vpc_id="vpc-9")])
    assert {(host["account_id"], host["vpc_id"]) for host in found.values()} == {("210987654321", "vpc-9")}


def test_panes_stay_apart_until_they_are_summed() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, end=at(pane)) for pane in (0, 2)]
    listed = hosts(records(rows).flows)
    assert listed.schema == HOSTS
    assert sorted(listed["pane"]) == [at(0), at(0), at(2), at(2)]
    assert sorted(merged(listed)["pane"]) == [at(0), at(0), at(2), at(2)]
    assert summed(listed)["pane"].to_list() == [at(2), at(2)]


def test_a_host_is_listed_where_records_end_however_long_they_took() -> None:
    listed = hosts(records([attempt(OUTSIDE, INSIDE, 22, start=at(0), end=at(9))]).flows)
    assert listed["pane"].to_list() == [at(9)] * 2


def test_many_records_of_one_conversation_list_its_ends_once() -> None:
    assert len(hosts(records(exchange(OUTSIDE, INSIDE) * 50).flows)) == 2


def test_who_talks_to_itself_is_listed_once_with_its_interface() -> None:
    listed = merged(hosts(records([attempt(INSIDE, INSIDE, 22, direction="egress")]).flows))
    assert summed(listed).select("interface_id").rows() == [("eni-1",)]


def test_nothing_is_listed_of_no_records() -> None:
    empty = hosts(records([]).flows)
    assert (empty.schema, empty.height) == (HOSTS, 0)
    assert merged(empty).equals(empty)
    assert summed(empty).equals(empty)


def test_the_same_address_in_two_scopes_is_two_hosts() -> None:
    here, there = (hosts(records(exchange("10.0.0.1", INNER), scope=scope).flows) for scope in ("vpc-1", "vpc-2"))
    assert not set(here["key"]) & set(there["key"])


@strategies.quick
@given(strategies.rows())
def test_hosts_are_those_of_a_count_with_sets(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    listed = merged(hosts(flows))
    expected = oracle.hosts(flows.to_dicts())
    assert len(listed) == len(expected)
    assert set(listed.rows()) == expected


@strategies.quick
@given(strategies.rows(), st.data())
def test_merging_does_not_mind_how_records_were_split_or_in_which_order(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    flows = records(rows).flows
    parts = pl.Series(data.draw(st.lists(st.booleans(), min_size=len(flows), max_size=len(flows))), dtype=pl.Boolean)
    halves = [hosts(flows.filter(parts)), hosts(flows.filter(~parts))]
    together, backwards = merged(pl.concat(halves)), merged(pl.concat(halves[::-1]))
    assert together.sort(ORDER).equals(merged(hosts(flows)).sort(ORDER))
    assert backwards.sort(ORDER).equals(together.sort(ORDER))
    assert summed(together).sort("key").equals(summed(backwards).sort("key"))
