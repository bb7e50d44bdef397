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
    made.seen("a", 5000)
    assert made.current == -END_OF_TIME


def test_the_slowest_source_decides() -> None:
    made = watermarks("a", "b")
    made.seen("a", 5000)
    made.seen("b", 3000)
    assert made.current == 3000 - LATENESS


def test_an_older_record_does_not_turn_a_source_back() -> None:
    made = watermarks("a")
    made.seen("a", 5000)
    made.seen("a", 4000)
    assert made.reached("a") == 5000 - LATENESS


def test_adding_a_source_again_forgets_nothing() -> None:
    made = watermarks("a")
    made.seen("a", 5000)
    made.add("a")
    assert made.current == 5000 - LATENESS


def test_a_source_that_ended_is_not_waited_for() -> None:
    made = watermarks("a", "b")
    made.seen("a", 5000)
    made.finish("b")
    assert made.current == 5000 - LATENESS
    made.finish("a")
    assert made.current == END_OF_TIME


def test_a_source_that_is_complete_waits_for_nothing_late() -> None:
    made = watermarks("a")
    made.seen("a", 5000)
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
            made.seen(source, end)
        assert made.current >= before
        before = made.current
