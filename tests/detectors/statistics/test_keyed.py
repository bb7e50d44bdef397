from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from detectors.addresses import UInt64Array
from detectors.statistics.keyed import KeyedTable
from tests.detectors import strategies

COLUMNS = {"bytes": np.dtype(np.int64), "by_pane": np.dtype((np.int32, (3,)))}

keys_of_few_shards = st.builds(lambda shard, low: shard << 56 | low, st.integers(0, 2), st.integers(0, 9))
sightings = st.lists(st.tuples(keys_of_few_shards, st.booleans(), st.integers(0, 4)), max_size=12)

Seen = list[tuple[int, bool, int]]


def table(cap: int = 1000, outside_cap: int = 1000) -> KeyedTable:
    return KeyedTable(COLUMNS, inside_cap=cap, outside_cap=outside_cap)


def keys_of(numbers: list[int]) -> UInt64Array:
    return np.array(numbers, np.uint64)


def see(hosts: KeyedTable, seen: Seen) -> None:
    keys = keys_of([key for key, _, _ in seen])
    inside = np.array([inside for _, inside, _ in seen], np.bool_)
    panes = np.array([pane for _, _, pane in seen], np.int64)
    rows = hosts.rows(keys, inside=inside, pane=panes)
    np.add.at(hosts["bytes"], rows, panes + 1)
    np.add.at(hosts["by_pane"], (rows, panes % 3), 1)


class Oracle:
    """Rows as a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}

    def see(self, seen: Seen) -> None:
        for key, inside, pane in seen:
            row = self.rows.setdefault(key, {"inside": False, "last_seen": 0, "bytes": 0, "by_pane": [0, 0, 0]})
            row["inside"] |= inside
            row["last_seen"] = max(row["last_seen"], pane)
            row["bytes"] += pane + 1
            row["by_pane"][pane % 3] += 1

    def evict(self, before: int, caps: dict[bool, int]) -> set[int]:
        gone = {key for key, row in self.rows.items() if row["last_seen"] < before}
        for shard in range(256):
            for inside, cap in caps.items():
                group = [
                    (row["last_seen"], key)
                    for key, row in self.rows.items()
                    if key not in gone and key >> 56 == shard and row["inside"] == inside
                ]
                gone |= {key for _, key in sorted(group)[: max(len(group) - cap, 0)]}
        for key in gone:
            del self.rows[key]
        return gone

    @property
    def frame(self) -> pl.DataFrame:
        schema = {
            "key": pl.UInt64(),
            "inside": pl.Boolean(),
            "last_seen": pl.Int64(),
            "bytes": pl.Int64(),
            "by_pane": pl.Array(pl.Int32(), 3),
        }
        return pl.DataFrame([{"key": key, **row} for key, row in sorted(self.rows.items())], schema=schema)


@strategies.quick
@given(st.lists(st.tuples(sightings, st.integers(0, 4), st.booleans())), st.integers(1, 3), st.integers(1, 3))
def test_rows_and_evictions_are_those_of_a_dictionary(
    steps: list[tuple[Seen, int, bool]], inside_cap: int, outside_cap: int
) -> None:
    hosts, oracle = table(inside_cap, outside_cap), Oracle()
    for seen, before, closing in steps:
        see(hosts, seen)
        oracle.see(seen)
        if closing:
            known = {key: hosts.find(keys_of([key]))[0] for key in oracle.rows}
            old = sum(row["last_seen"] < before for row in oracle.rows.values())
            evicted = hosts.evict(before)
            gone = oracle.evict(before, {True: inside_cap, False: outside_cap})
            assert sorted(evicted.rows.tolist()) == sorted(known[key] for key in gone)
            assert (evicted.expired, evicted.inside + evicted.outside) == (old, len(gone) - old)
        assert_frame_equal(hosts.frame(hosts.live), oracle.frame)
        assert len(hosts) == len(oracle.rows)


def test_outside_keys_never_push_out_inside_ones() -> None:
    hosts = table(cap=3, outside_cap=2)
    hosts.rows(keys_of([1, 2, 3]), inside=True, pane=0)
    hosts.rows(np.arange(100, 200, dtype=np.uint64), inside=False, pane=60)
    evicted = hosts.evict(0)
    assert (evicted.expired, evicted.inside, evicted.outside) == (0, 0, 98)
    assert hosts.keys(hosts.live).tolist() == [1, 2, 3, 198, 199]


def test_those_go_first_that_were_seen_least_recently_then_the_smallest_keys() -> None:
    hosts = table(cap=2)
    hosts.rows(keys_of([5, 6, 7, 8, 9]), inside=True, pane=np.array([60, 120, 120, 0, 120]))
    hosts.evict(0)
    assert hosts.keys(hosts.live).tolist() == [7, 9]


def test_a_shard_that_is_full_takes_nothing_from_another() -> None:
    hosts = table(cap=2)
    hosts.rows(keys_of([1, 2, 3, 4, 1 << 56, 255 << 56]), inside=True, pane=0)
    assert hosts.evict(0).inside == 2
    assert hosts.keys(hosts.live).tolist() == [3, 4, 1 << 56, 255 << 56]


def test_a_row_that_is_used_again_is_empty() -> None:
    hosts = table(cap=1)
    see(hosts, [(1, True, 2), (2, True, 3)])
    (row,) = hosts.evict(0).rows
    assert hosts.rows(keys_of([9]), inside=False, pane=1)[0] == row
    assert hosts.frame(np.array([row])).rows() == [(9, False, 1, 0, [0, 0, 0])]


@strategies.quick
@given(st.lists(st.tuples(sightings, st.integers(0, 3), st.booleans())))
def test_changes_in_their_order_restore_the_table(steps: list[tuple[Seen, int, bool]]) -> None:
    hosts, restored = table(cap=2, outside_cap=2), table(cap=2, outside_cap=2)
    for seen, before, closing in steps:
        see(hosts, seen)
        if closing:
            hosts.evict(before)
        removed, touched = hosts.changes()
        rows = restored.restore(removed, hosts.frame(touched))
        assert restored.keys(rows).tolist() == hosts.keys(touched).tolist()
        assert_frame_equal(restored.frame(restored.live), hosts.frame(hosts.live))
    assert [len(each) for each in restored.changes()] == [0, 0]


def test_changes_name_only_what_changed() -> None:
    hosts = table(cap=2)
    hosts.rows(keys_of([1, 2, 3]), inside=True, pane=0)
    hosts.changes()
    assert [len(each) for each in hosts.changes()] == [0, 0]
    rows = hosts.rows(keys_of([3]), inside=True, pane=60)
    hosts.touch(hosts.find(keys_of([2])))
    hosts.evict(0)
    removed, touched = hosts.changes()
    assert (removed.tolist(), hosts.keys(touched).tolist()) == ([1], [2, 3])
    assert touched[1] == rows[0]


def test_churn_takes_no_memory_once_its_changes_were_asked_for() -> None:
    hosts, random = table(cap=2), np.random.default_rng(1)
    sizes = []
    for pane in range(50):
        hosts.rows(random.integers(0, 2**64, 2_000, np.uint64), inside=True, pane=pane)
        hosts.evict(pane)
        hosts.changes()
        sizes.append(hosts.nbytes)
    assert max(sizes[25:]) <= max(sizes[:25])


def test_a_key_that_went_and_came_back_is_both_removed_and_touched() -> None:
    hosts = table()
    hosts.rows(keys_of([1]), inside=True, pane=60)
    hosts.drop(hosts.find(keys_of([1])))
    hosts.rows(keys_of([1]), inside=False, pane=0)
    removed, touched = hosts.changes()
    restored = table()
    restored.rows(keys_of([1]), inside=True, pane=60)
    restored.restore(removed, hosts.frame(touched))
    assert restored.frame(restored.live).select("inside", "last_seen").rows() == [(False, 0)]


def test_what_is_to_be_stored_does_not_change_with_the_table() -> None:
    hosts = table()
    rows = hosts.rows(keys_of([1]), inside=True, pane=60)
    stored = hosts.frame(rows)
    hosts["bytes"][rows] = 7
    hosts["by_pane"][rows] = 7
    assert stored.select("bytes", "by_pane").rows() == [(0, [0, 0, 0])]


@pytest.mark.parametrize("name", ["key", "inside", "last_seen"])
def test_a_column_may_not_have_a_name_that_every_table_uses(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        KeyedTable({name: np.int64}, inside_cap=1, outside_cap=1)


@pytest.mark.parametrize("caps", [(0, 1), (1, 0)])
def test_caps_are_positive(caps: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="caps"):
        table(*caps)
