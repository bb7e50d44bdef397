from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import written
from detectors.examples import records
from detectors.statistics.directory import HOSTS, hosts, merged
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, at, attempt, exchange


def known(rows: list[Any]) -> dict[str, dict[str, Any]]:
    listed = merged(hosts(records(rows).flows).lazy(), by_pane=False)
    return {written(row["high"], row["low"]): row for row in listed.rows(named=True)}


def test_both_ends_of_a_record_are_hosts() -> None:
    found = known([attempt(OUTSIDE, INSIDE, 22)])
    assert set(found) == {OUTSIDE, INSIDE}
    assert (found[INSIDE]["internal"], found[INSIDE]["scope"]) == (True, "vpc-1")
    assert (found[OUTSIDE]["internal"], found[OUTSIDE]["scope"]) == (False, "")


def test_ingress_says_that_the_receiver_reported_and_egress_the_sender() -> None:
    ingress = attempt(OUTSIDE, INSIDE, 22, direction="ingress", interface_id="eni-a")
    egress = attempt("10.0.0.2", OUTSIDE, 22, direction="egress", interface_id="eni-b")
    found = known([ingress, egress])
    assert [found[each]["interface_id"] for each in (INSIDE, "10.0.0.2", OUTSIDE)] == ["eni-a", "eni-b", None]


def test_without_a_direction_no_interface_is_claimed() -> None:
    assert known([attempt(OUTSIDE, INSIDE, 22)])[INSIDE]["interface_id"] is None


def test_of_several_interfaces_the_smallest_name_stands() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, direction="ingress", interface_id=name) for name in ("eni-c", "eni-a", None)]
    assert known(rows)[INSIDE]["interface_id"] == "eni-a"


def test_panes_stay_apart_until_they_are_summed() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, end=at(pane)) for pane in (0, 2)]
    listed = hosts(records(rows).flows)
    assert listed.schema == HOSTS
    assert sorted(listed["pane"]) == [at(0), at(0), at(2), at(2)]
    assert set(merged(listed.lazy(), by_pane=False)["pane"]) == {at(2)}


def test_the_same_address_in_two_scopes_is_two_hosts() -> None:
    here, there = (hosts(records(exchange("10.0.0.1", "10.0.0.2"), scope=scope).flows) for scope in ("vpc-1", "vpc-2"))
    assert not set(here["key"]) & set(there["key"])


@strategies.quick
@given(strategies.rows(), st.data())
def test_merging_does_not_mind_how_records_were_split(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    flows = records(rows).flows
    parts = pl.Series(data.draw(st.lists(st.booleans(), min_size=len(flows), max_size=len(flows))), dtype=pl.Boolean)
    halves = [hosts(flows.filter(parts)), hosts(flows.filter(~parts))]
    together = merged(pl.concat(halves).lazy(), by_pane=True)
    assert together.sort("pane", "key").equals(hosts(flows).sort("pane", "key"))
