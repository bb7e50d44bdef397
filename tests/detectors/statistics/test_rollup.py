from typing import Any, ClassVar

import polars as pl
import pytest

from detectors.catalogue import FixedParameters
from detectors.contract import NO_SCORES, Need, Parameters, View
from detectors.examples import START, records
from detectors.scans import VerticalScan
from detectors.span import Position, Span
from detectors.statistics.rollup import SHORT_PANES, TABLES, TIERS, Rollup
from detectors.watch import Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange

# The example traffic begins at a full minute; blocks begin at full five minutes.
FIRST = -(-START // 3600) * 3600


class Drips(VerticalScan):
    """Reads what went out in a day, and says nothing."""

    needs: ClassVar = (Need("egress", 1440),)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        del view, parameters
        return NO_SCORES


def anew() -> Watch:
    return Watch({"drips": Drips()}, {"drips": FixedParameters.of(Drips.card, {})})


def seen(minute: float, port: int, **said: Any) -> Row:
    return attempt(OUTSIDE, INSIDE, port, end=FIRST + int(60 * minute), **said)


def watched(batches: list[list[Row]], *, until: float, restarts: bool = False) -> Watch:
    """A watch that has closed every pane up to a minute."""
    watch = anew()
    for number, rows in enumerate(batches):
        watch.apply(records(rows), Span("test", Position(number), Position(number + 1)))
        following = [row["end"] for later in batches[number + 1 :] for row in later]
        watch.advance(min(following) if following else FIRST + int(60 * until) + 660)
        if restarts:
            again = anew()
            again.restore(watch.changes(whole=True))
            watch = again
    return watch


def failed(watch: Watch, minute: int, panes: int) -> list[int]:
    return watch.window(FIRST + 60 * minute, panes).table("pair")["failed_ports"].to_list()


def test_short_windows_are_not_made_of_blocks() -> None:
    watch = watched([[seen(0, 22)]], until=5)
    assert len(watch.window(FIRST, SHORT_PANES).panes) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_a_port_every_ten_minutes_adds_up_over_hours(restarts: bool) -> None:
    batches = [[seen(10 * number, 1 + number)] for number in range(30)]
    watch = watched(batches, until=300, restarts=restarts)
    assert failed(watch, 299, 1440) == [30]
    assert failed(watch, 299, 60) == [6]
    assert failed(watch, 299, SHORT_PANES) == []


def test_the_same_port_again_and_again_counts_once() -> None:
    watch = watched([[seen(10 * number, 22) for number in range(12)]], until=120)
    assert failed(watch, 119, 1440) == [1]


def test_what_was_answered_a_minute_later_in_the_next_block_did_not_fail() -> None:
    request, answer = exchange(OUTSIDE, INSIDE, 22, end=FIRST + 299)
    late = {**answer, "end": FIRST + 301}
    watch = watched([[{**request, "tcp_flags": 2, "packets": 1}, late, seen(1, 23)]], until=20)
    assert failed(watch, 19, 60) == [1]


def test_what_went_out_adds_up_and_what_stayed_inside_is_not_kept() -> None:
    minutes = range(0, 240, 7)
    rows = [
        row
        for minute in minutes
        for row in exchange("10.0.0.1", OUTSIDE, sent=60_000, received=2, end=FIRST + 60 * minute)
    ]
    rows += [row for minute in minutes for row in exchange("10.0.0.1", "10.0.0.2", sent=99, end=FIRST + 60 * minute)]
    watch = watched([rows], until=245)
    (egress,) = watch.window(FIRST + 244 * 60, 1440).table("egress").rows(named=True)
    assert (egress["outbound_bytes"], egress["inbound_bytes"]) == (60_000 * len(minutes), 2 * len(minutes))


def test_of_peers_that_a_host_sends_little_nothing_is_kept() -> None:
    little = [row for minute in range(20) for row in exchange("10.0.0.1", OUTSIDE, sent=9_000, end=FIRST + 60 * minute)]
    assert watched([little], until=25).window(FIRST + 24 * 60, 1440).table("egress").is_empty()


def test_what_nobody_reads_is_not_kept() -> None:
    watch = Watch({}, {})
    watch.apply(records(exchange("10.0.0.1", OUTSIDE, sent=60_000, end=FIRST)), Span("test", Position(0), Position(1)))
    watch.advance(FIRST + 3600)
    assert watch.window(FIRST + 1800, 1440).table("egress").is_empty()


def test_a_window_reaches_back_no_more_than_its_panes() -> None:
    watch = watched([[seen(0, 1)], [seen(61, 2)]], until=70)
    assert failed(watch, 69, 60) == [1]


def test_what_no_window_reaches_is_forgotten() -> None:
    watch = watched([[seen(0, 1)], [seen(1600, 2)]], until=1610)
    names = [change.name for change in watch.changes(whole=True) if change.name.startswith("rollup/")]
    assert {int(name.split("/")[-2]) for name in names} <= {FIRST + 1600 * 60, FIRST + 26 * 3600}
    assert names


def test_wider_windows_than_are_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="wider than what is kept, 1440 panes"):
        Rollup(dict.fromkeys(("contacts", "volumes", "directory"), pl.DataFrame.clone)).window(at(0), 1441)


def test_tiers_are_ascending_and_divide_each_other() -> None:
    assert [tier.kept_panes for tier in TIERS] == sorted(tier.kept_panes for tier in TIERS)
    assert TIERS[1].seconds % TIERS[0].seconds == 0
    assert {"pair", "service", "scanner", "egress", "outflow"} == TABLES
