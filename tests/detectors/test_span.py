import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.span import GapError, Position, Span, unapplied
from detectors.table import Table
from tests.detectors.strategies import quick

SOURCE = "flows/0"


def table(rows: int, first: int = 0) -> Table:
    """Rows that are told apart by their bytes."""
    return records([{"bytes": first + number} for number in range(rows)])


def span(begin: int, *sizes: int, end: int | None = None) -> Span:
    """Messages of these sizes, at consecutive offsets."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if sizes else np.zeros(0, np.int64)
    offsets = np.arange(begin, begin + len(sizes), dtype=np.int64)
    return Span(SOURCE, Position(begin), Position(begin + len(sizes) if end is None else end), offsets, starts)


def kept(rows: Table) -> list[int]:
    return rows.frame["bytes"].to_list()


def test_positions_are_ordered_by_offset_then_row() -> None:
    assert Position(1, 9) < Position(2) < Position(2, 1)


def test_everything_is_new_where_nothing_was_applied() -> None:
    assert kept(unapplied(table(3), span(5, 2, 1), None)) == [0, 1, 2]


def test_what_follows_on_is_new() -> None:
    assert kept(unapplied(table(3), span(5, 2, 1), Position(5))) == [0, 1, 2]


@pytest.mark.parametrize("applied", [Position(7), Position(7, 1), Position(9)])
def test_what_was_applied_is_left_out(applied: Position) -> None:
    assert kept(unapplied(table(3), span(5, 2, 1), applied)) == []


def test_messages_that_were_applied_are_left_out() -> None:
    assert kept(unapplied(table(6), span(5, 2, 3, 1), Position(6))) == [2, 3, 4, 5]
    assert kept(unapplied(table(6), span(5, 2, 3, 1), Position(7))) == [5]


def test_rows_of_a_message_that_were_applied_are_left_out() -> None:
    assert kept(unapplied(table(6), span(5, 2, 3, 1), Position(6, 2))) == [4, 5]


def test_rows_are_counted_from_where_the_range_begins_inside_its_first_message() -> None:
    rest = Span(SOURCE, Position(5, 4), Position(7), np.array([5, 6]), np.array([0, 3]))
    assert kept(unapplied(table(5), rest, Position(5, 6))) == [2, 3, 4]


def test_an_empty_message_moves_on() -> None:
    assert kept(unapplied(table(2), span(5, 0, 2), Position(6))) == [0, 1]


def test_offsets_that_do_not_exist_are_jumped_over() -> None:
    holes = Span(SOURCE, Position(5), Position(20), np.array([5, 9]), np.array([0, 2]))
    assert kept(unapplied(table(4), holes, Position(7))) == [2, 3]
    assert kept(unapplied(table(4), holes, Position(12))) == []


def test_a_gap_is_refused_and_says_where_it_is() -> None:
    with pytest.raises(GapError, match=r"flows/0: rows from \(4, 2\) up to \(5, 0\) are missing"):
        unapplied(table(2), span(5, 2), Position(4, 2))


@quick
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_a_replay_adds_exactly_what_was_missing(sizes: list[int], data: st.DataObject) -> None:
    whole = table(sum(sizes))
    offset = data.draw(st.integers(0, len(sizes) - 1))
    row = data.draw(st.integers(0, sizes[offset]))
    applied = sum(sizes[:offset]) + row
    assert kept(unapplied(whole, span(0, *sizes), Position(offset, row))) == list(range(applied, sum(sizes)))
