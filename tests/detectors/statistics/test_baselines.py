from collections.abc import Mapping
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.baselines import HISTORY_PANES, baseline
from tests.detectors.strategies import quick

NOW = 1_700_000_040
KEYS = [11, 22, 33]


def history(values: Mapping[int, Mapping[int, int]]) -> dict[int, pl.DataFrame]:
    """The table `host` of closed panes: bytes by key, by how many panes ago."""
    schema = {"key": pl.UInt64, "outbound_bytes": pl.Int64, "rejected": pl.Int64}
    return {
        NOW - 60 * ago: pl.DataFrame([(key, sent, 0) for key, sent in hosts.items()], schema=schema, orient="row")
        for ago, hosts in values.items()
    }


def usual(values: Mapping[int, Mapping[int, int]], panes: int) -> list[tuple[Any, ...]]:
    return baseline(history(values), "outbound_bytes", pl.Series(KEYS, dtype=pl.UInt64), NOW, panes).rows()


def counted(values: Mapping[int, Mapping[int, int]], panes: int) -> list[tuple[float, float, int]]:
    """The same with lists: windows of consecutive panes behind the one that closes, and not too long ago."""
    known = [ago for ago in values if panes <= ago <= HISTORY_PANES]
    results = []
    for key in KEYS:
        series = [values.get(ago, {}).get(key, 0) for ago in range(panes, max(known, default=0) + 1)]
        windows = [sum(series[begin : begin + panes]) for begin in range(len(series) - panes + 1)]
        if not windows:
            results.append((0.0, 0.0, 0))
            continue
        middle = median(windows)
        spread = 1.4826 * median([abs(each - middle) for each in windows])
        results.append((middle, spread, len(windows)))
    return results


def test_without_a_past_nothing_is_usual() -> None:
    assert usual({}, 1) == [(0.0, 0.0, 0)] * 3


def test_the_window_itself_is_no_past() -> None:
    assert usual({0: {11: 500}, 1: {11: 500}, 2: {11: 500}, 3: {11: 500}, 4: {11: 500}}, 5)[0] == (0.0, 0.0, 0)


def test_missing_panes_count_as_zeros() -> None:
    assert usual({1: {11: 90}, 3: {11: 30}, 5: {22: 10}}, 1)[0][0] == 0.0
    assert usual({1: {11: 90}, 2: {11: 60}, 3: {11: 30}}, 1)[0] == (60.0, pytest.approx(1.4826 * 30), 3)


def test_rows_come_in_the_order_of_the_keys() -> None:
    values = {1: {33: 3, 11: 1}, 2: {33: 3, 11: 1}}
    assert [row[0] for row in usual(values, 1)] == [1.0, 0.0, 3.0]


def test_what_lies_too_far_back_is_forgotten_whether_or_not_it_is_still_kept() -> None:
    recent = {ago: {11: 10} for ago in range(1, HISTORY_PANES + 1)}
    for panes in (1, 5):
        assert usual(recent | {ago: {11: 10} for ago in (61, 62, 70)}, panes) == usual(recent, panes)


@quick
@given(
    st.dictionaries(st.integers(0, 70), st.dictionaries(st.sampled_from(KEYS), st.integers(0, 100)), max_size=40),
    st.sampled_from([1, 2, 5]),
)
def test_median_and_spread_are_those_of_a_count_with_lists(values: dict[int, dict[int, int]], panes: int) -> None:
    for found, expected in zip(usual(values, panes), counted(values, panes), strict=True):
        assert found == pytest.approx(expected)
