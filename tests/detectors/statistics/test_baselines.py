from collections.abc import Mapping
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.state import Change, merged
from detectors.statistics.baselines import Baselines
from tests.detectors.statistics.baseline_oracle import Oracle
from tests.detectors.statistics.pasts import (
    DAY,
    FIRST,
    KEYS,
    MONDAY,
    SECOND,
    THIRD,
    Amount,
    hosts,
    learn,
    threshold,
    usual,
)

BACKUP = 800_000_000

# How much hosts had, by pane; panes far apart are as interesting as those behind one another.
pasts = st.dictionaries(
    st.integers(0, 200) | st.integers(0, 40),
    st.dictionaries(st.sampled_from(list(KEYS)), st.sampled_from([0, 1, 7, 100, 5_000, 10**6]), max_size=3),
    max_size=60,
)


def everything(baselines: Baselines, pane: int, keys: pl.Series = KEYS) -> list[tuple[float, float, int]]:
    return [row for width in (1, 5) for row in baselines.baseline(60 * pane, "sent", keys, width).rows()]


def expected(oracle: Oracle, pane: int) -> list[tuple[float, float, int]]:
    return [oracle.usual(pane, key, width) for width in (1, 5) for key in KEYS]


def same(found: list[tuple[float, float, int]], wanted: list[tuple[float, float, int]]) -> bool:
    return all(row == pytest.approx(other) for row, other in zip(found, wanted, strict=True))


@settings(max_examples=40, deadline=None)
@given(pasts, st.sets(st.integers(0, 260), max_size=5))
def test_what_is_usual_is_what_an_oracle_in_plain_python_says(past: dict[int, dict[int, int]], asked: set[int]) -> None:
    baselines, oracle = Baselines(), Oracle()
    for pane in sorted({*past, *asked, 261}):
        if pane in asked or pane == 261:
            assert same(everything(baselines, MONDAY + pane), expected(oracle, MONDAY + pane))
        if pane in past:
            baselines.learn(60 * (MONDAY + pane), hosts(past[pane]))
            oracle.learn(MONDAY + pane, past[pane])


def test_days_of_several_hosts_are_learned_as_the_oracle_learns_them() -> None:
    random = np.random.default_rng(5)
    baselines, oracle = Baselines(), Oracle()
    # From a Friday on, so that there are three weekdays and a weekend, with an outage of three hours.
    outage = MONDAY - 2 * DAY + 500
    for pane in range(MONDAY - 3 * DAY, MONDAY + 2 * DAY + 60):
        night = pane // 60 % 24 == 2
        chances = {FIRST: 0.9, SECOND: 0.6 if night else 0.01, THIRD: 0.2}
        held = {key: int(random.lognormal(8, 1)) for key, chance in chances.items() if random.random() < chance}
        if pane % 97 == 0:
            assert same(everything(baselines, pane), expected(oracle, pane)), pane
        if not outage < pane < outage + 180:
            baselines.learn(60 * pane, hosts(held))
            oracle.learn(pane, held)


def test_without_a_past_nothing_is_usual() -> None:
    assert usual(Baselines(), MONDAY) == (0, 0, 0)


def test_the_windows_that_are_compared_are_no_past_of_their_own() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 8), lambda _: 500)
    assert usual(baselines, MONDAY + 8, 5) == (0, 0, 0)
    learn(baselines, [MONDAY + 8], lambda _: 500)
    median, spread, windows = usual(baselines, MONDAY + 9, 5)
    assert median == pytest.approx(2500, rel=1 / 16)
    assert (spread, windows) == (0, 1)


def test_panes_that_were_left_out_count_as_nothing() -> None:
    baselines = Baselines()
    learn(baselines, [MONDAY, MONDAY + 2, MONDAY + 4], lambda _: 12)
    assert usual(baselines, MONDAY + 5) == (12, 0, 5)
    assert usual(baselines, MONDAY + 8) == (0, 0, 8)


def test_a_host_that_was_never_seen_had_nothing() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 30), lambda _: 12)
    assert usual(baselines, MONDAY + 30, key=SECOND) == (0, 0, 30)


def test_after_an_hour_of_nothing_at_all_the_counting_begins_anew() -> None:
    baselines = Baselines()
    learn(baselines, [MONDAY, MONDAY + 60, MONDAY + 121], lambda _: 12)
    assert usual(baselines, MONDAY + 122) == (12, 0, 1)


def test_outside_hosts_have_no_past() -> None:
    baselines = Baselines()
    baselines.learn(60 * MONDAY, hosts({FIRST: 5}, internal=False))
    assert (baselines.hosts, usual(baselines, MONDAY + 1)) == (0, (0, 0, 1))


def test_each_column_begins_when_it_is_first_learned() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 10), lambda _: 5)
    baselines.learn(60 * (MONDAY + 10), hosts({FIRST: 5}).with_columns(pl.lit(7, pl.Int64).alias("packets")))
    key = pl.Series([FIRST], dtype=pl.UInt64)
    assert baselines.baseline(60 * (MONDAY + 11), "packets", key, 1).row(0) == (7, 0, 1)
    assert baselines.baseline(60 * (MONDAY + 11), "sent", key, 1).row(0) == (5, 0, 11)
    assert baselines.baseline(60 * (MONDAY + 11), "colour", key, 1).row(0) == (0, 0, 0)


def test_a_pane_is_learned_once_and_not_judged_afterwards() -> None:
    baselines = Baselines()
    learn(baselines, [MONDAY], lambda _: 5)
    with pytest.raises(ValueError, match="was closed already"):
        learn(baselines, [MONDAY], lambda _: 5)
    with pytest.raises(ValueError, match="was learned already"):
        usual(baselines, MONDAY)
    with pytest.raises(ValueError, match="windows of 2 panes are not learned; choose from 1, 5"):
        usual(baselines, MONDAY + 1, 2)


def nightly(pane: int) -> int:
    """A little all day, and a backup of twenty minutes at two."""
    return BACKUP if pane % DAY in range(120, 140) else 1_000_000


def test_a_nightly_backup_is_usual_at_night_and_not_in_the_afternoon() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 3 * DAY + 125), nightly)
    night, afternoon = MONDAY + 3 * DAY + 125, MONDAY + 3 * DAY + 14 * 60 + 5
    assert threshold(baselines, night) > 1.2 * BACKUP
    learn(baselines, range(night, afternoon), nightly)
    assert threshold(baselines, afternoon) < BACKUP / 100


def test_a_nightly_backup_may_come_some_minutes_early() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 3 * DAY + 112), nightly)
    assert threshold(baselines, MONDAY + 3 * DAY + 112) > 1.2 * BACKUP


def test_before_there_are_three_days_the_night_is_like_any_other_hour() -> None:
    baselines = Baselines()
    learn(baselines, range(MONDAY, MONDAY + 2 * DAY + 120), nightly)
    assert threshold(baselines, MONDAY + 2 * DAY + 120) < BACKUP / 100


def test_a_weekend_is_compared_with_weekends() -> None:
    baselines = Baselines()

    def office(pane: int) -> int:
        return 10_000 if (pane - MONDAY) // DAY % 7 < 5 else 10

    learn(baselines, range(MONDAY + 5 * DAY - 90, MONDAY + 14 * DAY - 90), office)
    assert usual(baselines, MONDAY + 14 * DAY - 90)[0] == pytest.approx(10)
    learn(baselines, range(MONDAY + 14 * DAY - 90, MONDAY + 14 * DAY + 90), office)
    assert usual(baselines, MONDAY + 14 * DAY + 90)[0] == pytest.approx(10_000, rel=1 / 16)


def steady(pane: int) -> int:
    return 1000 + pane % 7 * 20


def attacked(begin: int, end: int, times: int) -> Amount:
    return lambda pane: steady(pane) * (times if begin <= pane < end else 1)


@pytest.mark.parametrize("days", [1.5, 3])
@pytest.mark.parametrize("hours", [1, 8])
def test_an_attack_does_not_raise_the_threshold_of_a_host_that_is_known(days: float, hours: int) -> None:
    begin = MONDAY + int(days * DAY)
    clean, poisoned = Baselines(), Baselines()
    learn(clean, range(MONDAY, begin + DAY + 30), steady)
    learn(poisoned, range(MONDAY, begin + DAY + 30), attacked(begin, begin + 60 * hours, 1000))
    assert threshold(poisoned, begin + DAY + 30) <= 1.13 * threshold(clean, begin + DAY + 30)


def test_an_attack_of_twenty_minutes_raises_that_of_a_new_host_by_less_than_half() -> None:
    begin = MONDAY + 40
    clean, poisoned = Baselines(), Baselines()
    learn(clean, range(MONDAY, begin + 25), steady)
    learn(poisoned, range(MONDAY, begin + 25), attacked(begin, begin + 20, 1000))
    assert threshold(poisoned, begin + 25) < 1.5 * threshold(clean, begin + 25)


def test_a_long_attack_on_a_new_host_is_learned_no_faster_than_fourfold_an_hour() -> None:
    begin = MONDAY + 120
    baselines = Baselines()
    learn(baselines, range(MONDAY, begin), steady)
    before = threshold(baselines, begin)
    learn(baselines, range(begin, begin + 60), attacked(begin, begin + 60, 1000))
    assert threshold(baselines, begin + 60) < 4.5 * before


def test_growth_that_stays_is_learned_within_days() -> None:
    baselines, noon = Baselines(), 12 * 60
    grown = attacked(MONDAY + 2 * DAY, MONDAY + 9 * DAY, 3)
    learn(baselines, range(MONDAY, MONDAY + 3 * DAY + noon), grown)
    assert usual(baselines, MONDAY + 3 * DAY + noon)[0] == pytest.approx(1060, rel=0.1)
    learn(baselines, range(MONDAY + 3 * DAY + noon, MONDAY + 4 * DAY + noon), grown)
    assert usual(baselines, MONDAY + 4 * DAY + noon)[0] == pytest.approx(1060, rel=0.1)
    learn(baselines, range(MONDAY + 7 * DAY, MONDAY + 7 * DAY + noon), grown)
    assert usual(baselines, MONDAY + 7 * DAY + noon)[0] == pytest.approx(3 * 1060, rel=0.1)


def test_of_hosts_too_many_those_go_that_were_seen_longest_ago_then_the_smallest_keys() -> None:
    baselines = Baselines(hosts_per_shard=3)
    panes = [[5, 4], [5, 3, 6], [], [1, 2]]
    for pane, seen in enumerate(panes):
        baselines.learn(60 * (MONDAY + pane), hosts({**{(9 << 56) + number: 8 for number in seen}, FIRST: 8}))
    known = baselines.exported().filter(shard=9)["key"].explode() - (9 << 56)
    assert known.to_list() == [1, 2, 6]
    assert (baselines.hosts, baselines.evicted) == (4, 3)


@settings(max_examples=25, deadline=None)
@given(pasts, st.dictionaries(st.integers(0, 200), st.booleans(), max_size=5), st.sampled_from([1, 2, 8192]))
def test_stored_and_taken_up_again_at_any_time_it_goes_on_as_if_nothing_had_been(
    past: dict[int, dict[int, int]], restarts: dict[int, bool], cap: int
) -> None:
    through, stopped = Baselines(cap), Baselines(cap)
    stored: dict[str, Change] = {}
    # So that a small cap is reached, all hosts are in one shard then.
    names = {key: key if cap > 2 else key & 0xFF | 7 << 56 for key in KEYS}
    keys = pl.Series(list(names.values()), dtype=pl.UInt64)
    for pane in sorted({*past, *restarts}):
        if pane in past:
            held = hosts({names[key]: amount for key, amount in past[pane].items()})
            through.learn(60 * (MONDAY + pane), held)
            stopped.learn(60 * (MONDAY + pane), held)
        if pane in restarts:
            stored = merged({} if restarts[pane] else stored, stopped.changes(whole=restarts[pane]))
            stopped = Baselines(cap)
            stopped.restore(as_bytes(stored))
        assert everything(stopped, MONDAY + pane + 1, keys) == everything(through, MONDAY + pane + 1, keys)
    assert everything(stopped, MONDAY + 201, keys) == everything(through, MONDAY + 201, keys)
    assert stopped.exported().equals(through.exported())
    assert (stopped.hosts, stopped.evicted) == (through.hosts, through.evicted)


def as_bytes(stored: Mapping[str, Change]) -> list[Change]:
    return [Change(name, change.encoded()) for name, change in stored.items()]


@settings(max_examples=12, deadline=None)
@given(pasts, st.randoms(use_true_random=False))
def test_the_order_of_hosts_does_not_matter(past: dict[int, dict[int, int]], random: Random) -> None:
    forward, shuffled = Baselines(2), Baselines(2)
    for pane in sorted(past):
        rows = list(past[pane].items())
        forward.learn(60 * (MONDAY + pane), hosts(dict(rows)))
        random.shuffle(rows)
        shuffled.learn(60 * (MONDAY + pane), hosts(dict(rows)))
    assert everything(forward, MONDAY + 201) == everything(shuffled, MONDAY + 201)
    assert forward.exported().equals(shuffled.exported())


def test_a_host_takes_no_more_than_is_said() -> None:
    empty, full = Baselines(), Baselines()
    keys = [(number << 56) + number for number in range(256)] * 16
    many = {key + (place << 20): 9 for place, key in enumerate(keys)}
    empty.learn(60 * MONDAY, hosts({}))
    full.learn(60 * MONDAY, hosts(many))
    assert full.hosts == 4096
    assert (full.nbytes - empty.nbytes) / full.hosts < 1100


def test_what_is_stored_between_times_is_little_beside_all_there_is() -> None:
    baselines = Baselines()
    keys = {(shard << 56) + number: 9 for shard in range(0, 256, 4) for number in range(8)}
    for pane in range(130):
        baselines.learn(60 * (MONDAY + pane), hosts(keys))
    whole = sum(len(change.encoded() or b"") for change in baselines.changes())
    baselines.learn(60 * (MONDAY + 130), hosts(dict(list(keys.items())[:50])))
    changes = list(baselines.changes())
    assert sum(len(change.encoded() or b"") for change in changes) < whole / 10
    assert len([change for change in changes if "/shards/" in change.name]) <= 5
    assert [change.name for change in changes if change.content is None] == [f"sent/panes/{MONDAY + 70}"]


def test_asking_about_an_open_pane_concludes_nothing_of_those_before_it() -> None:
    asked, quiet = Baselines(), Baselines()
    keys = pl.Series([7], dtype=pl.UInt64)
    for pane in range(40):
        for baselines in (asked, quiet):
            baselines.learn(60 * (MONDAY + pane), hosts({7: 100 + pane}))
        asked.baseline(60 * (MONDAY + pane + 25), "sent", keys, 1, closing=False)
    assert everything(asked, MONDAY + 40) == everything(quiet, MONDAY + 40)
    assert asked.exported().equals(quiet.exported())
    known = asked.baseline(60 * (MONDAY + 65), "sent", keys, 1, closing=False)
    assert known.equals(quiet.baseline(60 * (MONDAY + 40), "sent", keys, 1))
