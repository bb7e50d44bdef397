"""What is said of a pane that closed: sums over shards that others put together."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.closed import Partial, partials
from detectors.contract import Need
from detectors.examples import records
from detectors.route import Part, route
from detectors.span import Position, Span
from detectors.statistics.refusals import counted_once, fold, refused
from detectors.view import PaneView
from detectors.watch import END_OF_TIME, Watch
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, at, attempt, exchange, watching


def shown(watch: Watch) -> PaneView:
    """Show the first pane as it closes."""
    watch.reach(END_OF_TIME)
    return watch.prepare(at(0))


def counting(rows: list[Any], part: Part | None = None) -> Watch:
    watch = watching({}) if part is None else Watch({}, {}, part=part)
    table = records(rows)
    own = table if part is None else route(table, part.of).get(part.number, table.rows(0, 0))
    watch.apply(own, Span("test", Position(0), Position(1)))
    return watch


def test_nothing_refused_is_no_sum() -> None:
    assert list(partials(shown(counting(exchange(OUTSIDE, INSIDE))))) == []


def test_what_was_refused_is_summed_by_the_shard_of_its_target() -> None:
    rows = [attempt(OUTSIDE, INSIDE, port, action="REJECT", end=at(0)) for port in (22, 23, 80)]
    key = records(rows).frame["destination_key"][0]
    assert list(partials(shown(counting(rows)))) == [Partial("rejected", key >> 56, at(0), 3)]


@strategies.quick
@given(strategies.rows(panes=1))
def test_the_sums_of_all_shards_are_what_was_refused_in_the_network(rows: list[dict[str, Any]]) -> None:
    view = shown(counting(rows))
    told = list(partials(view))
    assert [each.shard for each in told] == sorted({each.shard for each in told})
    assert all((each.name, each.pane) == ("rejected", at(0)) and each.value > 0 for each in told)
    every = counted_once(fold(refused(records(rows).flows)))
    assert sum(each.value for each in told) == every["rejected"].sum()
    (network,) = view.table(Need("refused", 1)).filter(level=3)["rejected"].to_list() or [0]
    assert network == every["rejected"].sum()


@strategies.quick
@given(strategies.rows(panes=1), st.sampled_from([2, 3, 5]))
def test_parts_say_the_sums_of_their_own_shards(rows: list[dict[str, Any]], count: int) -> None:
    parts = [list(partials(shown(counting(rows, Part(number, count))))) for number in range(count)]
    assert [each for part in parts for each in part] == list(partials(shown(counting(rows))))
