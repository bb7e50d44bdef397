import polars as pl
import pytest

from detectors.statistics.baselines import Baselines
from detectors.statistics.peers import FEWEST
from tests.detectors.statistics.pasts import MONDAY, hosts

NEW = 999


def watched(amounts: dict[int, int], panes: int, *, begin: int = MONDAY) -> Baselines:
    baselines = Baselines()
    for pane in range(begin, begin + panes):
        baselines.learn(60 * pane, hosts(amounts))
    return baselines


def among(baselines: Baselines, pane: int, *keys: int, panes: int = 1) -> list[tuple[int, float | None]]:
    return baselines.among(60 * pane, "sent", pl.Series(keys, dtype=pl.UInt64), panes).rows()


def test_nobody_has_peers_where_nothing_was_learned() -> None:
    assert among(Baselines(), MONDAY, NEW) == [(0, None)]
    assert Baselines().among(0, "sent", pl.Series([], dtype=pl.UInt64), 1).is_empty()


def test_windows_count_from_the_first_that_held_anything() -> None:
    baselines = watched({1: 5}, 10)
    for pane in range(MONDAY + 10, MONDAY + 14):
        baselines.learn(60 * pane, hosts({1: 5, 2: 5}))
    assert [own for own, _ in among(baselines, MONDAY + 14, 1, 2, NEW)] == [14, 4, 0]


def test_a_host_that_is_known_for_longer_than_the_last_hour_has_a_past_of_silence() -> None:
    baselines = watched({1: 5}, 1)
    for pane in range(MONDAY + 1, MONDAY + 200):
        baselines.learn(60 * pane, hosts({2: 5}))
    assert among(baselines, MONDAY + 200, 1)[0][0] == 60


def test_what_is_usual_is_what_nearly_all_stay_below() -> None:
    amounts = dict.fromkeys(range(1, 40), 15) | {1000: 10**9}
    ((_, usual),) = among(watched(amounts, 10), MONDAY + 10, NEW)
    assert usual == 15


def test_a_few_hosts_are_no_measure() -> None:
    few, enough = (dict.fromkeys(range(count), 7) for count in (FEWEST - 1, FEWEST))
    assert among(watched(few, 10), MONDAY + 10, NEW) == [(0, None)]
    assert among(watched(enough, 10), MONDAY + 10, NEW) == [(0, 7)]


def test_six_windows_are_needed() -> None:
    amounts = dict.fromkeys(range(20), 7)
    assert among(watched(amounts, 5), MONDAY + 5, NEW) == [(0, None)]
    assert among(watched(amounts, 6), MONDAY + 6, NEW) == [(0, 7)]
    assert among(watched(amounts, 13), MONDAY + 13, NEW, panes=5) == [(0, None)]
    assert among(watched(amounts, 14), MONDAY + 14, NEW, panes=5)[0][1] == pytest.approx(35, rel=1 / 16)


def test_where_every_host_has_a_past_nothing_is_asked_of_the_others() -> None:
    assert among(watched(dict.fromkeys(range(20), 7), 10), MONDAY + 10, 3) == [(10, None)]


def test_days_that_were_taken_up_say_what_is_usual_among_peers() -> None:
    amounts = dict.fromkeys(range(1, 30), 7)
    before = watched(amounts, 2 * 1440)
    after = Baselines()
    after.take(before.exported())
    for pane in range(MONDAY, MONDAY + 6):
        after.learn(60 * pane, hosts({1: 1}))
    assert among(after, MONDAY + 6, NEW) == [(0, 7)]
