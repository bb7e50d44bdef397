from collections.abc import Mapping
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.span import Position, Span
from detectors.statistics import contacts
from detectors.statistics.caps import DEFAULT_CAPS, TABLES, Bounded, Caps
from detectors.statistics.panes import Panes
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange
from tests.detectors.strategies import quick

ROWS = pl.Schema({"key": pl.UInt64(), "internal": pl.Boolean()})


def bounded(inside: int, outside: int) -> Bounded:
    return Bounded("directory", lambda parts: parts, Caps(inside=inside, outside=outside))


def hosts(*rows: tuple[int, int, bool]) -> pl.DataFrame:
    """Hosts by shard, the rest of their keys, and whether they are own ones."""
    return pl.DataFrame([(shard << 56 | rest, own) for shard, rest, own in rows], schema=ROWS, orient="row")


def kept(frame: pl.DataFrame) -> set[tuple[int, int, bool]]:
    return {(key >> 56, key & (1 << 56) - 1, own) for key, own in frame.rows()}


def test_every_capped_table_has_default_caps() -> None:
    assert DEFAULT_CAPS.keys() == TABLES.keys()


def test_what_fits_stays() -> None:
    bound = bounded(2, 2)
    rows = [(0, 1, True), (0, 2, True), (0, 1, False), (255, 1, False), (255, 2, False)]
    assert kept(bound(hosts(*rows))) == set(rows)
    assert bound.evicted == 0


def test_each_shard_keeps_so_many_and_the_rest_is_counted() -> None:
    bound = bounded(1, 2)
    rows = [(shard, number, False) for shard in (0, 255) for number in range(5)]
    assert kept(bound(hosts(*rows))) == {(shard, number, False) for shard in (0, 255) for number in (0, 1)}
    assert bound.evicted == 6


def test_outside_addresses_never_push_out_own_hosts() -> None:
    bound = bounded(3, 1)
    rows = [(7, number, False) for number in range(100)] + [(7, 1000 + number, True) for number in range(3)]
    assert {row for row in kept(bound(hosts(*rows))) if row[2]} == {(7, 1000 + number, True) for number in range(3)}


def test_what_was_seen_last_stays() -> None:
    rows: list[Row] = [attempt(OUTSIDE, INSIDE, port, end=at(0, port)) for port in range(1, 21)]
    bound = Bounded("contacts", lambda parts: contacts.merged(parts, by_pane=True), Caps(inside=5, outside=5))
    assert set(bound(contacts.fold(records(rows).flows))["port"]) == set(range(16, 21))


@quick
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.booleans()), max_size=60, unique=True),
    st.integers(1, 4),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_what_stays_follows_from_the_rows_and_not_from_their_order(
    rows: list[tuple[int, int, bool]], inside: int, outside: int, random: Random
) -> None:
    expected: set[tuple[int, int, bool]] = set()
    most: Mapping[bool, int] = {True: inside, False: outside}
    for shard in range(4):
        for own in (False, True):
            mine = sorted(row for row in rows if (row[0], row[2]) == (shard, own))
            expected |= set(mine[: most[own]])
    bound = bounded(inside, outside)
    random.shuffle(rows)
    assert kept(bound(hosts(*rows))) == expected
    assert bound.evicted == len(rows) - len(expected)


def test_a_row_that_is_stored_before_it_is_evicted_is_counted_once() -> None:
    bound = Bounded("contacts", lambda parts: contacts.merged(parts, by_pane=True), Caps(inside=5, outside=5))
    panes = Panes(contacts.CONTACTS, bound)
    panes.add(_ports(1))
    stored = {change.name: change for change in panes.changes(whole=True)}
    for port in range(2, 41):
        panes.add(_ports(port))
        if port % 13 == 0:
            stored |= {change.name: change for change in panes.changes(whole=False)}
    stored |= {change.name: change for change in panes.changes(whole=False)}
    assert panes.summed(at(0))["port"].sort().to_list() == list(range(36, 41))
    assert bound.evicted == 35
    restored = Panes(contacts.CONTACTS, Bounded("contacts", bound.whole, Caps(inside=5, outside=5)))
    restored.restore(stored.values())
    assert restored.summed(at(0)).equals(panes.summed(at(0)))


def _ports(port: int) -> pl.DataFrame:
    return contacts.fold(records([attempt(OUTSIDE, INSIDE, port, end=at(0, port))]).flows)


@pytest.mark.parametrize("table", TABLES)
def test_a_watch_stays_within_its_caps_counts_what_it_left_out_and_goes_on(table: str) -> None:
    tight = dict(DEFAULT_CAPS) | {table: Caps(inside=1, outside=1)}
    watch = Watch({}, {}, tight)
    sources = [f"198.51.{n // 250}.{n % 250 + 1}" for n in range(2000)]
    spoofed = [attempt(source, INSIDE, 50_000, end=at(0), packets=9) for source in sources]
    if table == "logins":
        spoofed = [row for each in sources for row in exchange(each, INSIDE, 22, sent=2000, received=2000, end=at(0))]
    if table == "refusals":
        spoofed = [{**row, "action": "REJECT"} for row in spoofed]
    for number in range(20):
        batch = records(spoofed[number::20])
        watch.apply(batch, Span("test", Position(number), Position(number + 1)))
    watch.advance(END_OF_TIME)
    assert watch.evicted[table] >= 1000
    assert sum(watch.evicted.values()) == watch.evicted[table]
