import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.watch import END_OF_TIME
from detectors.watermark import Watermarks
from tests.detectors.strategies import quick

LATENESS = 900


def watermarks(*sources: str) -> Watermarks:
    made = Watermarks(LATENESS)
    for source in sources:
        made.add(source)
    return made


def test_without_sources_time_stands_still() -> None:
    assert watermarks().current == -END_OF_TIME


def test_a_source_that_has_not_spoken_holds_everything_up() -> None:
    made = watermarks("a", "b")
    made.seen("a", np.array([5000]))
    assert made.current == -END_OF_TIME


def test_the_slowest_source_decides() -> None:
    made = watermarks("a", "b")
    made.seen("a", np.array([5000]))
    made.seen("b", np.array([3000]))
    assert made.current == 3000 - LATENESS


def test_an_older_record_does_not_turn_a_source_back() -> None:
    made = watermarks("a")
    made.seen("a", np.array([5000]))
    made.seen("a", np.array([4000]))
    assert made.reached("a") == 5000 - LATENESS


def test_each_record_meets_the_time_that_those_before_it_reached() -> None:
    made = watermarks()
    assert made.seen("a", np.array([5000, 7000, 6000, 7001])).tolist() == [-END_OF_TIME, 4100, 6100, 6100]
    assert made.seen("a", np.array([], np.int64)).tolist() == []
    assert made.seen("a", np.array([1000, 9000])).tolist() == [6101, 6101]
    assert made.reached("a") == 8100


@quick
@given(st.lists(st.integers(0, 10_000), max_size=20), st.lists(st.integers(0, 20), max_size=5))
def test_what_a_record_meets_does_not_depend_on_how_many_come_at_once(ends: list[int], cuts: list[int]) -> None:
    at_once, in_pieces = watermarks("b"), watermarks("b")
    pieces = np.split(np.array(ends, np.int64), sorted(cuts))
    met = np.concatenate([in_pieces.seen("a", piece) for piece in pieces])
    assert met.tolist() == at_once.seen("a", np.array(ends, np.int64)).tolist()
    assert in_pieces.changes() == at_once.changes()


def test_adding_a_source_again_forgets_nothing() -> None:
    made = watermarks("a")
    made.seen("a", np.array([5000]))
    made.add("a")
    assert made.current == 5000 - LATENESS


def test_a_source_that_ended_is_not_waited_for() -> None:
    made = watermarks("a", "b")
    made.seen("a", np.array([5000]))
    made.finish("b")
    assert made.current == 5000 - LATENESS
    made.finish("a")
    assert made.current == END_OF_TIME


def test_a_source_that_is_complete_waits_for_nothing_late() -> None:
    made = watermarks("a")
    made.seen("a", np.array([5000]))
    made.complete("a", 60)
    assert made.current == 5060


def test_nobody_is_complete_before_being_known() -> None:
    made = watermarks()
    made.complete("a", 60)
    assert made.current == -END_OF_TIME


@quick
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10_000), st.booleans()), max_size=20))
def test_time_never_runs_backwards(events: list[tuple[str, int, bool]]) -> None:
    made = watermarks("a")
    before = made.current
    for source, end, over in events:
        if over:
            made.finish(source)
        else:
            made.seen(source, np.array([end]))
        assert made.current >= before
        before = made.current


def test_where_all_sources_rest_time_is_that_of_the_one_that_came_furthest() -> None:
    several = watermarks("a", "b")
    several.seen("a", np.array([5000]))
    several.rest("a")
    assert several.current == -END_OF_TIME
    several.rest("b")
    assert several.current == 5000 - LATENESS
