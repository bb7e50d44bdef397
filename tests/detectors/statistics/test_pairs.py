import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.pairs import runs, unique_pairs
from tests.detectors import strategies

ROWS = st.sampled_from([0, 1, 2, 2**24 - 1])
VALUES = st.sampled_from([0, 1, 2, 3, 2**24, 2**24 + 1, 2**40, 2**63, 2**64 - 1])


def found(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    rows, values = unique_pairs(
        np.array([row for row, _ in pairs], np.int64), np.array([value for _, value in pairs], np.uint64)
    )
    return list(zip(rows.tolist(), values.tolist(), strict=True))


@strategies.quick
@given(st.lists(st.tuples(ROWS, VALUES), max_size=40))
def test_pairs_are_sorted_and_each_is_there_once_also_where_first_bits_repeat(pairs: list[tuple[int, int]]) -> None:
    assert found(pairs) == sorted(set(pairs))


@pytest.mark.parametrize("row", [2**24, 2**24 + 1, 2**31])
def test_rows_beyond_the_packed_ones_are_sorted_too(row: int) -> None:
    pairs = [(row, 5), (1, 7), (row, 5), (0, 9), (row, 2)]
    assert found(pairs) == sorted(set(pairs))


@strategies.quick
@given(st.lists(st.integers(0, 5), max_size=30))
def test_runs_tell_where_each_row_begins_and_the_place_of_each_pair_in_it(unsorted: list[int]) -> None:
    rows = sorted(unsorted)
    result = runs(np.array(rows, np.int64))
    assert result.rows.tolist() == sorted(set(rows))
    assert result.lengths.tolist() == [rows.count(row) for row in sorted(set(rows))]
    assert result.starts.tolist() == [rows.index(row) for row in sorted(set(rows))]
    assert result.ranks.tolist() == [index - rows.index(row) for index, row in enumerate(rows)]
    assert result.rows[result.indices].tolist() == rows
