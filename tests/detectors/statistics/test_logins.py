from typing import Any

import numpy as np
import polars as pl
import pytest

from detectors.examples import START, records
from detectors.statistics import connections, logins
from detectors.statistics.connections import LOGIN_PORTS
from tests.detectors.records import INSIDE, OUTSIDE, Row, attempt, exchange

LOGIN = np.zeros(1 << 16, np.bool_)
LOGIN[list(LOGIN_PORTS)] = True


def counted(rows: list[Row]) -> pl.DataFrame:
    folded = connections.fold(records(rows).flows, connections.watched(LOGIN_PORTS))
    return logins.frame(logins.of_connections(connections.begun(folded.sort("pane"), 0, START + 3600), LOGIN))


def row_of(rows: list[Row]) -> dict[str, Any]:
    (row,) = counted(rows).to_dicts()
    return row


def test_what_is_as_large_as_one_attempt_is_a_guess() -> None:
    row = row_of(exchange(OUTSIDE, INSIDE, 22, sent=2000, received=2500))
    assert (row["guesses"], row["sessions"], row["refused"], row["active"]) == (1, 0, 0, 1)
    assert (row["sent_bytes"], row["received_bytes"]) == (2000, 2500)


@pytest.mark.parametrize("said", [{"sent": 90_000}, {"received": 90_000}, {"packets": 60}])
def test_what_is_larger_is_a_session(said: dict[str, int]) -> None:
    row = row_of(exchange(OUTSIDE, INSIDE, 22, **{"sent": 2000, "received": 2500, **said}))
    assert (row["guesses"], row["sessions"]) == (0, 1)


def test_what_is_smaller_is_neither() -> None:
    assert counted(exchange(OUTSIDE, INSIDE, 22, sent=300, received=300, packets=4)).is_empty()


def test_what_was_refused_reset_or_not_answered_is_refused() -> None:
    rows = [
        attempt(OUTSIDE, INSIDE, 22, source_port=1, action="REJECT"),
        attempt(OUTSIDE, INSIDE, 22, source_port=2),
        attempt(OUTSIDE, INSIDE, 22, source_port=3),
        attempt(INSIDE, OUTSIDE, 3, source_port=22, tcp_flags=20, bytes=40),
    ]
    assert row_of(rows)["refused"] == 3


def test_a_check_whether_the_port_is_open_is_nothing() -> None:
    there = attempt(OUTSIDE, INSIDE, 22, source_port=3, packets=3, bytes=160, tcp_flags=6)
    back = attempt(INSIDE, OUTSIDE, 3, source_port=22, tcp_flags=18, bytes=60)
    assert counted([there, back]).is_empty()


def test_the_spread_is_that_of_the_sizes() -> None:
    count, sizes = np.array([2, 2, 0]), np.array([20, 22, 0])
    squares = np.array([200, 244, 0])
    assert logins.spread(count, sizes, squares).tolist() == pytest.approx([0, 1 / logins.LEVELS_PER_OCTAVE, 0])


def test_a_block_is_active_once_and_blocks_add_up() -> None:
    one = counted(exchange(OUTSIDE, INSIDE, 22, sent=2000, received=2500))
    later = one.with_columns(pl.col("pane") + 3600)
    together = logins.merged(pl.concat([one, one, later]))
    assert together.sort("pane")["active"].to_list() == [1, 1]
    summed = logins.frame(logins.summed_rows(logins.rows(together)))
    assert summed.select("guesses", "active").row(0) == (3, 2)
