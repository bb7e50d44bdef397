import polars as pl
import pytest

from detectors.examples import START, records
from detectors.span import Position, Span
from detectors.statistics.rollup import TIERS
from detectors.watch import Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, attempt, exchange

FIRST = -(-START // 3600) * 3600
"""Blocks begin at full hours."""


def login(minute: float, number: int = 0, **said: int) -> list[Row]:
    end = FIRST + int(60 * minute)
    return exchange(OUTSIDE, INSIDE, 22, client_port=40_000 + number, sent=2000, received=2500, end=end, **said)


def watched(rows: list[Row], *, until: float, restart: bool = False) -> Watch:
    """A watch that has closed every pane up to a minute."""
    watch = Watch({}, {})
    watch.apply(records(rows), Span("test", Position(0), Position(1)))
    watch.advance(FIRST + int(60 * until) + 660)
    if restart:
        again = Watch({}, {})
        again.restore(watch.changes(whole=True))
        return again
    return watch


def guesses(watch: Watch, minute: int, panes: int) -> int:
    return int(watch.logins.table(FIRST + 60 * minute, panes)["guesses"].sum())


@pytest.mark.parametrize("restart", [False, True])
def test_logins_of_hours_add_up_from_blocks_and_the_panes_behind_them(restart: bool) -> None:
    rows = [row for number in range(61) for row in login(4 * number, number)]
    watch = watched(rows, until=240, restart=restart)
    assert guesses(watch, 240, 1440) == 61
    assert guesses(watch, 240, 35) == 8
    assert guesses(watch, 240, 5) == 2


def test_hours_are_counted_once() -> None:
    rows = [row for number in range(31) for row in login(6 * number, number)]
    assert watched(rows, until=180).logins.table(FIRST + 60 * 180, 1440)["active"].to_list() == [4]


def test_nobody_is_told_of_who_does_nothing_at_the_moment() -> None:
    watch = watched([*login(0), *login(10, 1)], until=11)
    assert guesses(watch, 11, 35) == 0
    assert guesses(watch, 10, 35) == 2


def test_no_window_is_wider_than_what_is_kept() -> None:
    with pytest.raises(ValueError, match="wider than what is kept"):
        watched(login(0), until=1).logins.table(FIRST, TIERS[-1].kept_panes + 1)


def test_other_clients_of_the_same_service_are_told_and_other_services_are_not() -> None:
    rows = [*login(0), *exchange("198.51.100.9", INSIDE, 22, sent=2000, received=2500, end=FIRST)]
    rows += exchange(OUTSIDE, INSIDE, 3389, sent=3000, received=9000, packets=20, end=FIRST)
    table = watched([*rows, *login(3, 1)], until=4).logins.table(FIRST + 180, 5)
    assert sorted(table.select(pl.col("port"), pl.col("guesses")).rows()) == [(22, 1), (22, 2)]


@pytest.mark.parametrize("panes", [5, 35, 1440])
@pytest.mark.parametrize("column", ["together", "refused", "sessions"])
def test_rows_that_do_not_reach_a_number_are_left_out_and_the_others_are_the_same(column: str, panes: int) -> None:
    others = [f"198.51.100.{number}" for number in range(20, 26)]
    rows = [row for number in range(20) for row in login(0.5 * number, number)]
    rows += [
        row for client in others for row in exchange(client, INSIDE, 22, sent=2000, received=2500, end=FIRST + 500)
    ]
    rows += [
        row for number in range(9) for row in exchange(INSIDE, "10.0.0.9", 3306, client_port=number, end=FIRST + 530)
    ]
    rows += [attempt(others[0], INSIDE, 22, source_port=number, end=FIRST + 510) for number in range(4)]
    rows += exchange(others[1], INSIDE, 22, client_port=9, sent=90_000, end=FIRST + 520)
    logins = watched(rows, until=9).logins
    whole = logins.table(FIRST + 480, panes).sort("contact")
    reached = {int(number) for number in whole[column].to_list()}
    for least in {*reached, max(reached) + 1}:
        told = logins.table(FIRST + 480, panes, column, least).sort("contact")
        assert told.equals(whole.filter(pl.col(column) >= least))


def test_guesses_of_programs_count_a_quarter_of_others() -> None:
    rows = [row for number in range(6) for row in login(0, number)]
    rows += [row for number in range(6) for row in exchange(INSIDE, "10.0.0.9", 3306, client_port=number, end=FIRST)]
    table = watched(rows, until=0).logins.table(FIRST, 5)
    assert sorted(table.select("programs", "together").rows()) == [(False, 24), (True, 6)]


def test_a_pane_is_looked_at_anew_while_it_is_open_and_when_it_has_closed() -> None:
    watch = Watch({}, {})
    for number in range(3):
        span = Span("test", Position(number), Position(number + 1))
        watch.apply(records(login(0, number)), span)
        assert guesses(watch, 0, 5) == guesses(watch, 0, 1440) == number + 1
    watch.apply(records(login(0, 3)), Span("test", Position(3), Position(4)))
    watch.advance(FIRST + 720)
    assert guesses(watch, 0, 5) == guesses(watch, 0, 1440) == 4
