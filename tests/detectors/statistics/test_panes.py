from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.state import Change
from detectors.state import merged as stored_with
from detectors.statistics.panes import Panes
from tests.detectors.strategies import quick

SCHEMA = pl.Schema({"pane": pl.Int64(), "key": pl.Int64(), "count": pl.Int64()})
MINUTES = [0, 60, 120]

Rows = list[tuple[int, int, int]]


def merge(parts: pl.DataFrame) -> pl.DataFrame:
    return parts.group_by("pane", "key").agg(pl.col("count").sum())


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def panes(*parts: Rows) -> Panes:
    kept = Panes(SCHEMA, merge)
    for part in parts:
        kept.add(frame(part))
    return kept


def sums(kept: Panes) -> dict[tuple[int, int], int]:
    """Counts by pane and key."""
    return {(pane, key): count for each in kept.panes for pane, key, count in kept.summed(each).rows()}


def added(parts: Iterable[Rows]) -> dict[tuple[int, int], int]:
    """The same with a dictionary."""
    counts: dict[tuple[int, int], int] = {}
    for part in parts:
        for pane, key, count in part:
            counts[pane, key] = counts.get((pane, key), 0) + count
    return counts


class Stored:
    """What a storage holds that is told of every change, in their order."""

    def __init__(self) -> None:
        self.pieces: dict[str, Change] = {}

    def take(self, kept: Panes, *, whole: bool = False) -> list[Change]:
        """Store what changed, and return it; a whole state takes the place of what was stored."""
        changes = list(kept.changes(whole=whole))
        self.pieces = stored_with({} if whole else self.pieces, changes)
        return changes

    def restored(self) -> Panes:
        fresh = panes()
        fresh.restore(Change(name, change.encoded()) for name, change in self.pieces.items())
        return fresh


def sizes(changes: list[Change]) -> list[int]:
    """Rows of the pieces that were stored."""
    return [change.frame().height for change in changes if change.content is not None]


def test_nothing_is_kept_at_first() -> None:
    kept = panes()
    assert kept.panes == []
    assert kept.between(0, 1000).schema == SCHEMA
    assert (kept.summed(0).schema, kept.summed(0).height) == (SCHEMA, 0)
    assert list(kept.changes(whole=True)) == []


def test_an_empty_part_opens_no_pane() -> None:
    kept = panes([])
    assert kept.panes == []
    assert kept.add(frame([])) == set()


def test_adding_says_which_panes_it_was() -> None:
    assert panes().add(frame([(120, 1, 1), (0, 1, 1), (120, 2, 1)])) == {0, 120}


def test_panes_are_listed_in_order() -> None:
    assert panes([(120, 1, 1), (0, 1, 1)], [(60, 1, 1)]).panes == MINUTES


def test_a_pane_that_holds_something_is_in() -> None:
    kept = panes([(60, 1, 1)])
    assert [pane in kept for pane in MINUTES] == [False, True, False]


def test_between_holds_its_begin_and_not_its_end() -> None:
    kept = panes([(0, 1, 1), (60, 2, 1), (120, 3, 1)])
    assert kept.between(0, 120)["key"].to_list() == [1, 2]


def test_a_pane_is_summed_anew_when_something_was_added() -> None:
    kept = panes([(0, 1, 1)], [(0, 1, 1)])
    assert kept.summed(0).rows() == [(0, 1, 2)]
    kept.add(frame([(0, 1, 5), (60, 1, 9)]))
    assert kept.summed(0).rows() == [(0, 1, 7)]


def test_a_pane_is_summed_once_while_nothing_is_added() -> None:
    kept = panes([(0, 1, 1)], [(0, 1, 1)])
    assert kept.summed(0) is kept.summed(0)


def test_dropped_panes_are_forgotten() -> None:
    kept = panes([(0, 1, 1), (60, 2, 1), (120, 3, 1)])
    kept.drop_before(60)
    assert kept.panes == [60, 120]
    assert kept.summed(0).is_empty()
    assert kept.between(0, 60).is_empty()


def test_a_pane_that_comes_again_holds_nothing_of_what_was_dropped() -> None:
    kept = panes([(0, 1, 1)])
    kept.summed(0)
    kept.drop_before(60)
    kept.add(frame([(0, 1, 3)]))
    assert kept.summed(0).rows() == [(0, 1, 3)]


def test_many_parts_of_a_pane_are_summed_before_they_pile_up() -> None:
    kept = panes(*[[(0, 1, 1)]] * 1000)
    assert kept.between(0, 60).height < 20
    assert kept.summed(0).rows() == [(0, 1, 1000)]


def test_a_large_part_is_left_alone_while_small_ones_are_summed() -> None:
    large = [(0, key, 1) for key in range(1000)]
    kept = panes(large, *[[(0, 1, 1)]] * 100)
    assert 1000 < kept.between(0, 60).height < 1020
    assert sums(kept) == {(0, key): 101 if key == 1 else 1 for key in range(1000)}


def test_what_was_summed_for_a_reader_does_not_change_under_it() -> None:
    kept = panes([(0, 1, 1)], [(0, 2, 1)])
    before = kept.summed(0)
    copy = before.clone()
    kept.add(frame([(0, 1, 1)]))
    kept.summed(0)
    assert before.equals(copy)


def test_where_nothing_was_added_nothing_is_stored() -> None:
    kept, stored = panes([(0, 1, 1), (60, 1, 1)]), Stored()
    assert len(stored.take(kept, whole=True)) == 2
    assert stored.take(kept) == []
    kept.summed(0)
    assert stored.take(kept) == []


def test_the_first_call_stores_all_there_is() -> None:
    kept, stored = panes([(0, 1, 1)], [(0, 1, 1), (60, 2, 1)]), Stored()
    assert sizes(stored.take(kept)) == [1, 1]
    assert sums(stored.restored()) == sums(kept)


def test_storing_costs_what_was_added_however_much_the_pane_holds() -> None:
    kept, stored = panes([(pane, key, 1) for pane in MINUTES for key in range(1000)]), Stored()
    assert sizes(stored.take(kept, whole=True)) == [1000] * 3
    for number in range(10):
        kept.add(frame([(60, number, 1), (60, number, 1), (60, 5000 + number, 1)]))
        assert sizes(stored.take(kept)) == [2]
    assert sums(stored.restored()) == sums(kept)


def test_the_pieces_of_a_pane_stay_few_and_are_seldom_brought_together() -> None:
    kept, stored = panes([(0, key, 1) for key in range(1000)]), Stored()
    stored.take(kept, whole=True)
    written = 0
    for number in range(160):
        kept.add(frame([(0, number, 1)]))
        written += sum(sizes(stored.take(kept)))
        assert len(stored.pieces) <= 20
    assert written < 160 + 12 * 1000
    assert sums(stored.restored()) == sums(kept)


def test_the_pieces_of_a_dropped_pane_are_dropped_once() -> None:
    kept, stored = panes([(0, 1, 1), (60, 1, 1)]), Stored()
    stored.take(kept, whole=True)
    kept.add(frame([(0, 2, 1)]))
    stored.take(kept)
    kept.drop_before(60)
    assert {change.content for change in stored.take(kept)} == {None}
    assert sums(stored.restored()) == {(60, 1): 1}
    assert stored.take(kept) == []


def test_what_was_dropped_before_it_was_stored_is_not_stored() -> None:
    kept, stored = panes(), Stored()
    stored.take(kept, whole=True)
    kept.add(frame([(0, 1, 1)]))
    kept.drop_before(60)
    assert stored.take(kept) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_pane_that_comes_again_is_stored_as_it_is_now(whole: bool) -> None:
    kept, stored = panes([(0, 1, 1)]), Stored()
    stored.take(kept, whole=True)
    kept.drop_before(60)
    kept.add(frame([(0, 1, 3)]))
    stored.take(kept, whole=whole)
    assert sums(stored.restored()) == {(0, 1): 3}


def test_a_whole_state_takes_the_place_of_all_that_was_stored() -> None:
    kept, stored = panes([(0, 1, 1)]), Stored()
    for _ in range(3):
        stored.take(kept)
        kept.add(frame([(0, 1, 1)]))
    stored.take(kept, whole=True)
    assert list(stored.pieces) == ["0/0"]
    assert sums(stored.restored()) == {(0, 1): 4}


ROWS = st.lists(st.tuples(st.sampled_from(MINUTES), st.integers(0, 3), st.integers(0, 9)), max_size=4)


@quick
@given(st.lists(ROWS, max_size=40))
def test_the_sum_does_not_depend_on_the_parts(parts: list[Rows]) -> None:
    kept = panes(*parts)
    assert sums(kept) == added(parts)
    assert sorted(merge(kept.between(0, 180)).rows()) == sorted((*key, count) for key, count in sums(kept).items())


STEPS = st.one_of(
    ROWS,
    st.builds("drop {}".format, st.sampled_from([60, 120, 180])),
    st.sampled_from(["store", "store", "store whole", "restart", "sum"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_storing_dropping_and_restarting_at_any_time_loses_nothing_and_counts_nothing_twice(
    steps: list[Rows | str],
) -> None:
    kept, stored = panes(), Stored()
    stored.take(kept, whole=True)
    expected: dict[tuple[int, int], int] = {}
    for step in steps:
        if isinstance(step, list):
            kept.add(frame(step))
            for key, count in added([step]).items():
                expected[key] = expected.get(key, 0) + count
        elif step.startswith("drop"):
            begin = int(step.removeprefix("drop"))
            kept.drop_before(begin)
            expected = {key: count for key, count in expected.items() if key[0] >= begin}
        elif step.startswith("store"):
            stored.take(kept, whole=step == "store whole")
            assert sums(stored.restored()) == expected
        elif step == "restart":
            stored.take(kept)
            kept = stored.restored()
            stored.take(kept, whole=True)
        assert sums(kept) == expected or step != "sum"
    assert sums(kept) == expected
    stored.take(kept)
    assert sums(stored.restored()) == expected


@quick
@given(st.lists(ROWS, min_size=1, max_size=10))
def test_dropped_and_stored_names_never_meet_in_one_call(parts: list[Rows]) -> None:
    kept, stored = panes(), Stored()
    for part in parts:
        kept.add(frame(part))
        names = [change.name for change in stored.take(kept)]
        assert len(names) == len(set(names))
        kept.drop_before(120)


def test_a_version_tells_of_additions_to_its_panes_and_to_no_others() -> None:
    kept = panes([(0, 1, 1), (60, 1, 1)])
    first, second = kept.version(0, 60), kept.version(60, 120)
    kept.add(frame([(60, 2, 1)]))
    assert kept.version(0, 60) == first
    assert kept.version(60, 120) != second
    assert kept.version(0, 120) == first + kept.version(60, 120)


def test_a_pane_that_was_dropped_and_came_again_has_another_version() -> None:
    kept = panes([(0, 1, 1)])
    before = kept.version(0, 60)
    kept.drop_before(60)
    dropped = kept.version(0, 60)
    kept.add(frame([(0, 1, 1)]))
    assert len({before, dropped, kept.version(0, 60)}) == 3
