from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.route import SHARDS, route
from detectors.table import Table
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, attempt

_ENDS = ("source_key", "destination_key")
PARTITIONS = st.sampled_from([1, 2, 3, 7, 100, 255, SHARDS])


def homes(row: dict[str, Any], partitions: int) -> set[int]:
    """The partitions of a row's hosts, by the highest byte of their keys."""
    return {(row[end] >> 56) * partitions // 256 if row[end] is not None else 0 for end in _ENDS}


def test_a_row_goes_to_both_its_hosts_shards() -> None:
    table = records([attempt(OUTSIDE, INSIDE, 22)])
    source, destination = (table.frame[end][0] >> 56 for end in _ENDS)
    assert source != destination
    assert set(route(table)) == {source, destination}


def test_a_row_whose_hosts_share_a_shard_goes_there_once() -> None:
    routed = route(records([attempt(INSIDE, INSIDE, 22)]))
    assert [len(part) for part in routed.values()] == [1]


@pytest.mark.parametrize("partitions", [1, 5, SHARDS])
def test_rows_about_coverage_go_to_the_first_partition(partitions: int) -> None:
    table = records([{"source": None, "destination": None, "log_status": "SKIPDATA"}])
    assert {part: len(rows) for part, rows in route(table, partitions).items()} == {0: 1}


@pytest.mark.parametrize("partitions", [1, 5])
def test_nothing_goes_nowhere(partitions: int) -> None:
    assert route(Table.empty(), partitions) == {}


@strategies.quick
@given(strategies.rows(), PARTITIONS)
def test_each_partition_gets_the_rows_of_its_hosts_in_their_order(rows: list[dict[str, Any]], partitions: int) -> None:
    table = records(rows)
    routed = route(table, partitions)
    expected: dict[int, list[dict[str, Any]]] = {}
    for row in table.frame.to_dicts():
        for part in homes(row, partitions):
            expected.setdefault(part, []).append(row)
    assert {part: rows.frame.to_dicts() for part, rows in routed.items()} == expected


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
