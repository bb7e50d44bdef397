"""Detections follow from the records alone: not from batches, order of arrival, sources, restarts or replays."""

import itertools
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.catalogue import catalogue
from detectors.closed import Partial
from detectors.examples import START, records
from detectors.finding import Finding
from detectors.incidents import Incidents
from detectors.span import Position, Span
from detectors.state import Change, below, merged, prefixed
from detectors.table import Table
from detectors.watch import END_OF_TIME, Watch
from detectors.watermark import Watermarks
from tests.detectors import strategies
from tests.detectors.records import Row, attempt, exchange
from tests.detectors.sharp import PARAMETERS, Tells, Told, sharpened

LATENESS = 120
"""So little that records out of order are often late."""


@dataclass(frozen=True)
class Delivery:
    """How records arrive: in which order and batches, from where, and what happens in between."""

    order: list[int]
    cuts: list[int]
    sources: list[int]
    stores: list[bool]
    restarts: list[bool]
    replays: list[int]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Row], Delivery]:
    panes = draw(st.sampled_from([2, 8, 90]))
    rows: list[Row] = [*draw(strategies.rows(panes=panes)), *draw(_attempts(panes)), *draw(_logins(panes))]
    batches = draw(st.integers(1, 6))
    return rows, Delivery(
        order=draw(st.permutations(range(len(rows)))),
        cuts=sorted(draw(st.lists(st.integers(0, len(rows)), min_size=batches - 1, max_size=batches - 1))),
        sources=draw(st.lists(st.integers(0, 1), min_size=batches, max_size=batches)),
        stores=draw(st.lists(st.booleans(), min_size=batches, max_size=batches)),
        restarts=draw(st.lists(st.booleans(), min_size=batches, max_size=batches)),
        replays=draw(st.lists(st.integers(0, 3), min_size=batches, max_size=batches)),
    )


def _attempts(panes: int) -> st.SearchStrategy[list[Row]]:
    """Lone SYNs of two hosts, as random traffic seldom holds enough of."""
    one = st.builds(
        attempt,
        st.sampled_from(["10.0.0.1", "198.51.100.1"]),
        st.sampled_from(strategies.HOSTS),
        st.sampled_from([22, 8080]),
        end=st.integers(START, START + 60 * panes - 1),
        action=st.sampled_from(["ACCEPT", "REJECT"]),
    )
    return st.lists(one, max_size=15)


@st.composite
def _logins(draw: st.DrawFn, panes: int) -> list[Row]:
    """Attempts to log in, each told by one interface or by two, and some in several pieces."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["10.0.0.1", "198.51.100.1"]),
                st.sampled_from(["10.0.0.2", "fd00::3"]),
                st.sampled_from([22, 2222, 3306]),
                st.integers(40_000, 40_004),
                st.integers(START, START + 60 * panes - 1),
                st.sampled_from(["eni-1", "eni-2"]),
                st.sampled_from([1200, 6000]),
            ),
            max_size=10,
        )
    )
    return [
        {**row, "interface_id": interface}
        for client, server, port, client_port, end, interface, size in drawn
        for row in exchange(client, server, port, client_port=client_port, end=end, sent=size, received=1200)
    ]


def watched(tables: Told) -> Watch:
    """A watch with every detector, whose parameters are set for hosts, and one that takes down the statistics."""
    detectors = {**catalogue(), "tells": Tells(tables)}
    watch = Watch(detectors, {})
    watch.set(sharpened(watch.known, detectors))
    return watch


class Everything:
    """All that comes out of a watch and its incidents."""

    def __init__(self) -> None:
        self.tables: Told = {}
        self.watch = watched(self.tables)
        self.incidents = Incidents()
        self.stored: dict[str, Change] = {}
        self.detections: list[dict[str, Any]] = []
        self.partials: list[Partial] = []
        self.states: dict[str, list[Finding]] = {}

    def advance(self, watermark: int) -> None:
        found = self.watch.advance(watermark)
        self.detections += [detection.model_dump() for detection in found.detections]
        self.partials += found.partials
        published = self.incidents.apply(found.detections, found.partials)
        for finding in published + self.incidents.advance(self.watch.closed_until):
            self.states.setdefault(finding.id, []).append(finding)

    def store(self) -> None:
        """Bring what is stored up to date: all there is the first time after a start, then what changed."""
        changes = [*prefixed("watch", self.watch.changes(whole=not self.stored)), *self.incidents.changes()]
        self.stored = merged(self.stored, changes)

    def restart(self) -> None:
        """Go on from what is stored."""
        stored = [Change(name, change.encoded()) for name, change in self.stored.items()]
        self.watch, self.incidents, self.stored = watched(self.tables), Incidents(), {}
        self.watch.restore(below("watch", stored))
        self.incidents.restore(change for change in stored if not change.name.startswith("watch/"))


def at_once(table: Table) -> Everything:
    everything = Everything()
    everything.watch.apply(table, Span("a", Position(0), Position(1)))
    everything.advance(END_OF_TIME)
    return everything


def delivered(table: Table, delivery: Delivery) -> Everything:
    """Apply records as they are delivered, each batch a range of its source, and close what can be closed."""
    everything = Everything()
    frame = table.frame[delivery.order]
    edges = [0, *delivery.cuts, len(frame)]
    read: dict[int, list[Table]] = {0: [], 1: []}
    for number, source in enumerate(delivery.sources):
        messages = read[source]
        messages.append(Table(frame[edges[number] : edges[number + 1]]))
        # What was read before is delivered once more, in one range with what is new.
        begin = max(len(messages) - 1 - delivery.replays[number], 0)
        assert len(apply(everything.watch, source, messages, begin)) == 0
        rest = frame["end"][edges[number + 1] :]
        everything.advance(min(rest) if len(rest) else END_OF_TIME)
        if delivery.stores[number] or delivery.restarts[number]:
            everything.store()
        if delivery.restarts[number]:
            everything.restart()
    return everything


def apply(watch: Watch, source: int, messages: list[Table], begin: int) -> Table:
    again = messages[begin:]
    starts = np.cumsum([0, *(len(each) for each in again[:-1])])
    offsets = np.arange(begin, len(messages))
    span = Span(f"flows/{source}", Position(begin), Position(len(messages)), offsets, starts)
    return watch.apply(Table.concatenated(again), span)


@settings(max_examples=40, deadline=None)
@given(deliveries())
def test_what_is_found_follows_from_the_records_alone(drawn: tuple[list[Row], Delivery]) -> None:
    rows, delivery = drawn
    table = records(rows)
    expected, found = at_once(table), delivered(table, delivery)
    assert found.detections == expected.detections
    assert found.partials == expected.partials
    assert found.states == expected.states
    assert found.tables == expected.tables


def in_order(table: Table, cuts: list[int], restarts: list[bool]) -> tuple[Everything, list[tuple[Any, ...]]]:
    """Apply records in batches, with little lateness allowed, and return the late ones too."""
    everything, watermarks, late = Everything(), Watermarks(LATENESS), list[tuple[Any, ...]]()
    for (begin, end), restart in zip(itertools.pairwise([0, *cuts, len(table)]), restarts, strict=True):
        batch = table.rows(begin, end)
        span = Span("a", Position(begin), Position(end), np.arange(begin, end), np.arange(end - begin))
        reached = watermarks.seen("a", batch.frame["end"].to_numpy())
        late += everything.watch.apply(batch, span, reached).frame.rows()
        everything.advance(watermarks.current)
        if restart:
            everything.store()
            everything.restart()
            stored, watermarks = watermarks.changes(), Watermarks(LATENESS)
            watermarks.restore(stored)
    everything.advance(END_OF_TIME)
    return everything, late


@settings(max_examples=40, deadline=None)
@given(deliveries())
def test_which_records_are_late_follows_from_their_order_alone(drawn: tuple[list[Row], Delivery]) -> None:
    rows, delivery = drawn
    table = Table(records(rows).frame[delivery.order])
    expected, late = in_order(table, [], [False])
    found, found_late = in_order(table, delivery.cuts, delivery.restarts)
    assert found_late == late
    assert found.detections == expected.detections
    assert found.partials == expected.partials
    assert found.states == expected.states
    assert found.tables == expected.tables


@settings(max_examples=40, deadline=None)
@given(strategies.rows(panes=8, most=60), st.randoms(use_true_random=False))
def test_statistics_do_not_depend_on_the_order_of_records(rows: list[Row], random: Random) -> None:
    table = records(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    expected, found = at_once(table), at_once(Table(table.frame[order]))
    assert found.tables == expected.tables
    assert found.detections == expected.detections


def test_the_records_of_this_test_make_every_detector_speak() -> None:
    rows = [attempt("198.51.100.1", "10.0.0.1", port, action="REJECT") for port in (22, 80)]
    rows += [attempt("10.0.0.2", f"10.0.0.{host}", 22) for host in (3, 4)]
    rows += [attempt("10.0.0.2", "203.0.113.2", 443, end=START + seconds, tcp_flags=3) for seconds in (0, 900)]
    for port in (40_000, 40_001):
        rows += exchange("198.51.100.1", "10.0.0.9", 22, client_port=port)
    kinds = {detection["kind"] for detection in at_once(records(rows)).detections}
    assert kinds == set(PARAMETERS)


def test_the_statistics_of_this_test_are_not_empty() -> None:
    rows = [attempt("198.51.100.1", "10.0.0.1", port, action="REJECT") for port in (22, 80)]
    rows += [attempt("10.0.0.2", "203.0.113.2", 443, start=START, end=START + 500, bytes=600_000)]
    rows += [attempt("10.0.0.2", "203.0.113.2", 443, end=START + 7200)]
    rows += exchange("198.51.100.1", "10.0.0.9", 22)
    told = {need for (_, need), table in at_once(records(rows)).tables.items() if table}
    assert told == set(Tells.needs)
