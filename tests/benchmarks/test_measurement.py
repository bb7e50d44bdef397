import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measurement import Measurement, percentile

VALUES = st.lists(st.integers(-1000, 1000), min_size=1, max_size=200)


@given(values=VALUES, share=st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(values: list[int], share: int) -> None:
    found = percentile(values, share / 100)
    assert found in values
    assert 100 * sum(value <= found for value in values) >= share * len(values)
    assert 100 * sum(value < found for value in values) < share * len(values)


def test_the_ratio_is_taken_within_the_rounds() -> None:
    # The machine was ten times slower in the last round, for both.
    measurement = Measurement.median("a", "records/s", [100, 110, 11], {"b": [50, 55, 5.5]})
    assert (measurement.value, measurement.ratios) == (100, {"b": 2.0})


def test_runs_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        Measurement.median("a", "records/s", [1, 2, 3], {"b": [1, 2]})


@given(values=VALUES)
def test_the_value_is_the_median(values: list[int]) -> None:
    assert Measurement.median("a", "s", values).value == statistics.median(values)
