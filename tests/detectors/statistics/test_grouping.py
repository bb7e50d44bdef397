from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.grouping import Groups, combined, rows_of
from tests.detectors.strategies import quick

HIGHEST = 2**64 - 1
KEYS = st.one_of(st.integers(0, 5), st.sampled_from([2**63 - 1, 2**63, HIGHEST]))
ROWS = st.lists(st.tuples(KEYS, st.integers(-(2**40), 2**40)), max_size=40)


def unsigned(numbers: list[int]) -> npt.NDArray[np.uint64]:
    return np.array(numbers, np.uint64)


def test_a_key_has_the_same_hash_in_every_process() -> None:
    assert combined(np.array([1]), np.array([2], np.uint8)).tolist() == [15_623_980_357_764_583_529]
    assert combined(np.array([-60])).tolist() == [3_136_704_946_393_783_942]


def test_the_hash_of_a_key_does_not_depend_on_the_types_of_its_columns() -> None:
    small = combined(np.array([7], np.uint8), np.array([True]), np.array([9], np.uint16))
    assert small.tolist() == combined(np.array([7]), np.array([1]), np.array([9], np.uint64)).tolist()


def test_hashing_leaves_the_columns_as_they_are() -> None:
    columns = [np.arange(4, dtype=np.uint64), np.arange(4, dtype=np.uint64)]
    combined(*columns)
    assert [column.tolist() for column in columns] == [[0, 1, 2, 3]] * 2


@quick
@given(st.sets(st.tuples(KEYS, KEYS, KEYS), max_size=40))
def test_different_keys_have_different_hashes(keys: set[tuple[int, int, int]]) -> None:
    columns = unsigned([part for key in keys for part in key]).reshape(-1, 3).T
    assert len(set(combined(*columns).tolist())) == len(keys)


def test_nothing_falls_into_no_groups() -> None:
    groups = Groups(unsigned([]))
    assert (len(groups), groups.keys.tolist(), groups.some.tolist(), groups.sizes.tolist()) == (0, [], [], [])
    assert [str(each.dtype) for each in (groups.keys, groups.sizes)] == ["uint64", "int64"]
    for reduce in (groups.sum, groups.min, groups.max):
        assert reduce(np.zeros(0, np.int64)).dtype == np.int64
        assert reduce(np.zeros(0, np.bool_)).tolist() == []


def test_of_truths_the_largest_is_whether_any_holds() -> None:
    groups = Groups(unsigned([1, 2, 1, 2]))
    assert groups.max(np.array([False, False, True, False])).tolist() == [True, False]


def test_sums_of_large_numbers_are_exact() -> None:
    groups = Groups(unsigned([4, 4]))
    assert groups.sum(np.array([2**60, 1])).tolist() == [2**60 + 1]


@quick
@given(ROWS)
def test_groups_are_those_of_a_dictionary(rows: list[tuple[int, int]]) -> None:
    expected: dict[int, list[int]] = {}
    for key, value in rows:
        expected.setdefault(key, []).append(value)
    groups, values = Groups(unsigned([key for key, _ in rows])), np.array([value for _, value in rows], np.int64)
    assert groups.keys.tolist() == sorted(expected)
    assert len(groups) == len(expected)
    reduced: dict[Callable[[list[int]], Any], npt.NDArray[Any]] = {
        len: groups.sizes,
        sum: groups.sum(values),
        min: groups.min(values),
        max: groups.max(values),
    }
    for of, found in reduced.items():
        assert found.tolist() == [of(expected[key]) for key in sorted(expected)]


@quick
@given(ROWS)
def test_one_row_of_each_group_stands_for_it(rows: list[tuple[int, int]]) -> None:
    keys = unsigned([key for key, _ in rows])
    groups = Groups(keys)
    assert keys[groups.some].tolist() == groups.keys.tolist()


@quick
@given(st.sets(KEYS, max_size=10), st.lists(KEYS, max_size=20))
def test_rows_are_found_as_in_a_dictionary(known: set[int], wanted: list[int]) -> None:
    numbered = {key: row for row, key in enumerate(sorted(known))}
    rows, found = rows_of(unsigned(sorted(known)), unsigned(wanted))
    assert len(rows) == len(wanted)
    assert [row if there else None for row, there in zip(rows.tolist(), found.tolist(), strict=True)] == [
        numbered.get(key) for key in wanted
    ]


@pytest.mark.parametrize("known", [[], [3]])
def test_what_is_not_there_is_at_a_row_that_may_be_read_where_there_are_rows(known: list[int]) -> None:
    rows, found = rows_of(unsigned(known), unsigned([0, HIGHEST]))
    assert not found.any()
    assert rows.tolist() == [0, 0]


@pytest.mark.parametrize(
    "spread",
    [
        pytest.param(lambda keys: keys, id="hashes"),
        pytest.param(lambda keys: keys >> np.uint64(40), id="small numbers"),
        pytest.param(lambda keys: keys | np.uint64(0xFFFF << 48), id="alike at first"),
        pytest.param(lambda keys: keys & np.uint64(3), id="few"),
    ],
)
@pytest.mark.parametrize(("known", "wanted"), [(1, 5000), (700, 1000), (20_000, 3000), (5000, 40_000)])
def test_many_rows_are_found_as_few_are(spread: Callable[[Any], Any], known: int, wanted: int) -> None:
    random = np.random.default_rng(7)
    keys = np.unique(spread(random.integers(0, HIGHEST, known, np.uint64, endpoint=True)))
    asked = spread(random.integers(0, HIGHEST, wanted, np.uint64, endpoint=True))
    asked[::2] = random.choice(keys, len(asked[::2]))
    asked[:2] = 0, HIGHEST
    rows, found = rows_of(keys, asked)
    assert found.tolist() == np.isin(asked, keys).tolist()
    assert (keys[rows[found]] == asked[found]).all()
    assert rows.tolist() == np.minimum(np.searchsorted(keys, asked), len(keys) - 1).tolist()
