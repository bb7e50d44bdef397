import polars as pl
import pytest

from detectors.examples import START, records
from detectors.span import Position, Span
from detectors.statistics.rollup import TIERS
from detectors.watch import Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, exchange

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
