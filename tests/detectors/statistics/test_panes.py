import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.panes import Panes
from tests.detectors.strategies import quick

SCHEMA = pl.Schema({"pane": pl.Int64(), "key": pl.Int64(), "count": pl.Int64()})


def merge(parts: pl.DataFrame) -> pl.DataFrame:
    return parts.group_by("pane", "key").agg(pl.col("count").sum())


def frame(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def panes(*parts: list[tuple[int, int, int]]) -> Panes:
    kept = Panes(SCHEMA, merge)
    for part in parts:
        kept.add(frame(part))
    return kept


def test_nothing_is_kept_at_first() -> None:
    kept = panes()
    assert kept.panes == []
    assert kept.between(0, 1000).schema == SCHEMA
    assert kept.whole().is_empty()


def test_an_empty_part_opens_no_pane() -> None:
    assert panes([]).panes == []


def test_panes_are_listed_in_order() -> None:
    assert panes([(120, 1, 1), (0, 1, 1)], [(60, 1, 1)]).panes == [0, 60, 120]


def test_between_holds_its_begin_and_not_its_end() -> None:
    kept = panes([(0, 1, 1), (60, 2, 1), (120, 3, 1)])
    assert kept.between(0, 120)["key"].to_list() == [1, 2]


def test_dropped_panes_are_forgotten() -> None:
    kept = panes([(0, 1, 1), (60, 2, 1), (120, 3, 1)])
    kept.drop_before(60)
    assert kept.panes == [60, 120]


def test_many_parts_of_a_pane_are_summed_before_they_pile_up() -> None:
    kept = panes(*[[(0, 1, 1)]] * 1000)
    assert kept.between(0, 60).height < 20
    assert kept.whole().rows() == [(0, 1, 1000)]


def test_a_large_part_is_left_alone_while_small_ones_are_summed() -> None:
    large = [(0, key, 1) for key in range(1000)]
    kept = panes(large, *[[(0, 1, 1)]] * 100)
    assert 1000 < kept.between(0, 60).height < 1020
    assert dict(kept.whole().select("key", "count").rows()) == {key: 101 if key == 1 else 1 for key in range(1000)}


ROWS = st.lists(st.tuples(st.sampled_from([0, 60, 120]), st.integers(0, 3), st.integers(0, 9)), max_size=4)


@quick
@given(st.lists(ROWS, max_size=40))
def test_the_sum_does_not_depend_on_the_parts(parts: list[list[tuple[int, int, int]]]) -> None:
    at_once = merge(frame([row for part in parts for row in part]))
    assert panes(*parts).whole().sort("pane", "key").equals(at_once.sort("pane", "key"))
