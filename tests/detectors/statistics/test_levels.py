import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.levels import HIGHEST, amounts, levels
from tests.detectors.statistics import baseline_oracle
from tests.detectors.strategies import quick

LARGEST = 22_402_481_507_942


def middle(amount: int) -> float:
    return float(amounts(levels(np.array([amount])))[0])


def test_nothing_and_small_amounts_are_exact() -> None:
    assert [middle(amount) for amount in range(16)] == list(range(16))


@quick
@given(st.integers(1, LARGEST))
def test_an_amount_comes_back_within_a_sixteenth(amount: int) -> None:
    assert middle(amount) == pytest.approx(amount, rel=1 / 16)


@quick
@given(st.integers(LARGEST + 1, 2**62))
def test_what_is_larger_still_counts_as_the_highest_level(amount: int) -> None:
    assert levels(np.array([amount])).tolist() == [HIGHEST]


@quick
@given(st.lists(st.integers(0, 2**62), min_size=1))
def test_levels_are_those_of_a_search_in_plain_python(values: list[int]) -> None:
    assert levels(np.array(values)).tolist() == [baseline_oracle.level(value) for value in values]
