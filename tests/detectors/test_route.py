from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.route import SHARDS, route, rows_by_partition
from detectors.table import Table
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, attempt

_ENDS = ("source_key", "destination_key")
PARTITIONS = st.sampled_from([1, 2, 3, 7, 100, 255, SHARDS])


def homes(row: dict[str, Any], partitions: int) -> set[int]:
    """The partitions of a row's hosts, by the highest byte of their keys."""
    found = {(row[end] >> 56) * partitions // 256 if row[end] is not None else 0 for end in _ENDS}
    forwarder = row.get("forwarder_key")
    return found if forwarder is None else found | {(forwarder >> 56) * partitions // 256}


def forwarded(table: Table, keys: list[int | None]) -> Table:
    """Let gateways forward some of the records."""
    return Table(table.frame.with_columns(pl.Series("forwarder_key", keys[: len(table)], dtype=pl.UInt64)))


KEYS = st.lists(st.none() | st.integers(0, 2**64 - 1), min_size=30, max_size=30)


def test_a_row_goes_to_both_its_hosts_shards() -> None:
    table = records([attempt(OUTSIDE, INSIDE, 22)])
    source, destination = (table.frame[end][0] >> 56 for end in _ENDS)
    assert source != destination
    assert set(route(table)) == {source, destination}


def test_a_row_whose_hosts_share_a_shard_goes_there_once() -> None:
    routed = route(records([attempt(INSIDE, INSIDE, 22)]))
    assert [len(part) for part in routed.values()] == [1]


def test_a_row_goes_to_the_shard_of_the_gateway_that_forwards_it_too() -> None:
    table = forwarded(records([attempt(OUTSIDE, INSIDE, 22)] * 3), [0xAA << 56, None, 0xAB << 56])
    source, destination = (table.frame[end][0] >> 56 for end in _ENDS)
    rows = {part: len(rows) for part, rows in route(table).items()}
    assert rows == {source: 3, destination: 3, 0xAA: 1, 0xAB: 1}


@pytest.mark.parametrize("partitions", [1, 5])
def test_where_nobody_forwards_a_row_goes_nowhere_else(partitions: int) -> None:
    plain = records([attempt(OUTSIDE, INSIDE, 22)] * 3)
    parts = [rows.tolist() for rows in rows_by_partition(forwarded(plain, [None] * 3), partitions)]
    assert parts == [rows.tolist() for rows in rows_by_partition(plain, partitions)]


@pytest.mark.parametrize("partitions", [1, 5, SHARDS])
def test_rows_about_coverage_go_to_the_first_partition(partitions: int) -> None:
    table = records([{"source": None, "destination": None, "log_status": "SKIPDATA"}])
    assert {part: len(rows) for part, rows in route(table, partitions).items()} == {0: 1}


@pytest.mark.parametrize("partitions", [1, 5])
def test_nothing_goes_nowhere(partitions: int) -> None:
    assert route(Table.empty(), partitions) == {}


@strategies.quick
@given(strategies.rows(), st.none() | KEYS, PARTITIONS)
def test_each_partition_gets_the_rows_of_its_hosts_in_their_order(
    rows: list[dict[str, Any]], forwarders: list[int | None] | None, partitions: int
) -> None:
    table = records(rows) if forwarders is None else forwarded(records(rows), forwarders)
    routed = route(table, partitions)
    expected: dict[int, list[dict[str, Any]]] = {}
    for row in table.frame.to_dicts():
        for part in homes(row, partitions):
            expected.setdefault(part, []).append(row)
    assert {part: rows.frame.to_dicts() for part, rows in routed.items()} == expected
    numbers = rows_by_partition(table, partitions)
    assert (len(numbers), {each.dtype for each in numbers}) == (partitions, {np.dtype(np.int64)})
    assert all((np.diff(each) > 0).all() for each in numbers)
    assert {part: table.frame[each].to_dicts() for part, each in enumerate(numbers) if len(each)} == expected


@strategies.quick
@given(strategies.rows(), PARTITIONS)
def test_no_row_is_lost_and_none_is_more_than_twice_there(rows: list[dict[str, Any]], partitions: int) -> None:
    table = records([{**row, "account_id": str(number)} for number, row in enumerate(rows)])
    routed = Table.concatenated(list(route(table, partitions).values()))
    assert routed.frame.unique().sort(pl.all()).equals(table.frame.sort(pl.all()))
    assert set(Counter(routed.frame["account_id"]).values()) <= {1, 2}


@strategies.quick
@given(strategies.rows(), PARTITIONS)
def test_a_partition_is_made_of_whole_shards(rows: list[dict[str, Any]], partitions: int) -> None:
    table = records(rows).flows
    keys = set(table["source_key"]) | set(table["destination_key"])
    shards = {key >> 56 for key in keys}
    assert {shard * partitions // SHARDS for shard in shards} == set(route(Table(table), partitions))
