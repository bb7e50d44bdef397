from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.hours import PLACES, Hours, lower_median, minutes_early, place_of, places_like
from detectors.statistics.recent import PANES, WIDTHS
from tests.detectors.strategies import quick

MONDAY = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 3600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

hours = st.integers(0, 24 * 365 * 200)


def clock(hour: int) -> datetime:
    return EPOCH + timedelta(hours=hour)


def place(hour: int) -> int:
    return int(place_of(np.array([hour]))[0])


@quick
@given(hours)
def test_the_last_five_weekdays_and_four_weekend_days_lie_apart(hour: int) -> None:
    days = [clock(hour - 24 * ago) for ago in range(14)]
    weekdays = [ago for ago, day in enumerate(days) if day.weekday() < 5][:5]
    weekend = [ago for ago, day in enumerate(days) if day.weekday() >= 5][:4]
    places = {place(hour - 24 * ago) for ago in (*weekdays, *weekend)}
    assert len(places) == 9
    assert all(0 <= each < PLACES for each in places)


@quick
@given(hours)
def test_an_hour_is_like_those_of_the_same_kind_of_day(hour: int) -> None:
    places, counting = places_like(np.array([hour]))
    same = {
        place(hour + 24 * day)
        for day in range(14)
        if (clock(hour + 24 * day).weekday() < 5) == (clock(hour).weekday() < 5)
    }
    assert set(places[0][counting[0]].tolist()) == same


def test_shards_do_not_all_end_their_hours_at_once() -> None:
    early = minutes_early(np.arange(256))
    assert (early.min(), early.max()) == (0, PANES - 1)
    assert np.bincount(early).max() <= 5


def learned(*days: tuple[int, int]) -> Hours:
    """One row that held so much in all windows of the first hour of days, counted from a Monday on."""
    book, row, shard = Hours(), np.array([0]), np.array([9])
    book.add(row, shard, 1)
    book.begin(shard, np.array([MONDAY - 1]))
    for day, level in days:
        hour = np.array([MONDAY + 24 * day])
        book.begin(shard, hour)
        if level:
            book.learn(row, shard, hour, np.full((1, len(WIDTHS), PANES), level, np.uint8))
    return book


def usual(book: Hours, day: int) -> tuple[float, int]:
    found = book.same_hour(np.array([0]), np.array([9]), np.array([MONDAY + 24 * day]), 1)
    return float(found.median[0]), int(found.known[0])


def test_weekdays_and_weekends_are_told_apart() -> None:
    book = learned(*((day, 9 if day % 7 < 5 else 3) for day in range(14)))
    assert [usual(book, day) for day in (14, 18, 19, 20)] == [(9, 5), (9, 5), (3, 4), (3, 4)]


def test_one_day_does_not_outvote_the_others_and_neither_do_two_of_five() -> None:
    assert usual(learned((0, 5), (1, 5), (2, 14), (3, 14), (4, 5)), 7) == (5, 5)
    assert usual(learned((0, 5), (1, 14), (2, 14), (3, 14), (4, 5)), 7) == (14, 5)


def test_an_hour_in_which_a_host_had_nothing_counts_as_one_of_nothing() -> None:
    assert usual(learned((0, 5), (1, 0), (2, 0), (3, 0), (4, 5)), 7) == (0, 5)


def test_hours_that_were_not_learned_do_not_count_however_long_ago_the_others_were() -> None:
    assert usual(learned((0, 5), (1, 6), (2, 7)), 7 * 30) == (6, 3)


def test_what_a_row_held_for_another_host_is_not_seen() -> None:
    book, row, shard = learned((0, 5), (1, 5), (2, 5)), np.array([0]), np.array([9])
    book.add(row, shard, 1)
    assert usual(book, 7) == (0, 0)
    for day in (7, 8, 9):
        book.begin(shard, np.array([MONDAY + 24 * day]))
    book.learn(row, shard, np.array([MONDAY + 24 * 9]), np.full((1, len(WIDTHS), PANES), 8, np.uint8))
    assert usual(book, 14) == (0, 2)
    assert book.any_hour(row, shard, 5).known.tolist() == [2]


def test_what_is_much_within_hours_makes_the_spread_where_hours_are_alike() -> None:
    book, row, shard = learned(), np.array([0]), np.array([9])
    for day in range(3):
        hour = np.array([MONDAY + 24 * day])
        windows = np.zeros((1, len(WIDTHS), PANES), np.uint8)
        windows[:, :, :7] = 13
        book.begin(shard, hour)
        book.learn(row, shard, hour, windows)
    found = book.same_hour(row, shard, np.array([MONDAY + 72]), 1)
    assert (found.median[0], found.spread[0]) == (0, pytest.approx(13 / 1.2816))


@quick
@given(st.lists(st.integers(0, 50), min_size=1, max_size=9), st.integers(0, 4))
def test_the_lower_median_is_the_one_in_the_middle_of_what_is_known(values: list[int], unknown: int) -> None:
    row = np.array([*values, *[99] * unknown], float)
    known = np.arange(len(row)) < len(values)
    assert lower_median(row[None, :], known[None, :]).tolist() == [sorted(values)[(len(values) - 1) // 2]]
    assert lower_median(row[None, :], np.zeros((1, len(row)), np.bool_)).tolist() == [0]
