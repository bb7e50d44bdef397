"""What parts of the shards know together is what one that watches all of them knows."""

import itertools
from collections.abc import Sequence
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.catalogue import catalogue
from detectors.examples import START, records
from detectors.gathered import Judge
from detectors.questions import CALLS, Question, answer
from detectors.route import Part, route
from detectors.span import Position, Span
from detectors.state import Change
from detectors.table import Table
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import Row, attempt, exchange
from tests.detectors.sharp import PARAMETERS, Tells, Told, sharpened
from tests.detectors.test_invariance import Delivery, at_once, deliveries

UNSHARED = "traffic"
"""A table of which no part can tell: whose an interface is follows from the traffic of all its hosts."""


class Parts:
    """Watches that share the shards, and the judge that asks them."""

    def __init__(self, count: int) -> None:
        self.tables: Told = {}
        detectors = {**catalogue(), "tells": Tells(self.tables, without=UNSHARED)}
        self.watches = [self._watch(Part(number, count)) for number in range(count)]
        self.judge = Judge(detectors, {})
        self.judge.set(sharpened(self.judge.known, detectors))
        self.detections: list[dict[str, Any]] = []
        self.asked: set[str] = set()

    def restart(self, number: int) -> None:
        """Let a part, or behind the last of them the judge, go on from what it would have stored."""
        if number < len(self.watches):
            watch = self.watches[number]
            assert watch.part is not None
            self.watches[number] = self._watch(watch.part)
            self.watches[number].restore(stored(watch.changes(whole=True)))
        else:
            judge, self.judge = self.judge, Judge({**catalogue(), "tells": Tells(self.tables, without=UNSHARED)}, {})
            self.judge.set(sharpened(self.judge.known, {**catalogue(), "tells": Tells(self.tables)}))
            self.judge.restore(stored(judge.changes(whole=True)))

    def apply(self, table: Table, span: Span) -> None:
        routed = route(table, len(self.watches))
        for number, watch in enumerate(self.watches):
            assert len(watch.apply(routed.get(number, table.rows(0, 0)), span)) == 0

    def advance(self, watermark: int) -> None:
        for watch in self.watches:
            watch.reach(watermark)
        panes = {pane for watch in self.watches for pane in watch.panes if pane < watch.closed_until}
        for pane in sorted(panes):
            views = [watch.prepare(pane) for watch in self.watches]

            def ask(question: Question) -> Sequence[pl.DataFrame]:
                self.asked.add(question.call)
                return [answer(question, view) for view in views]  # noqa: B023 - asked before the next pane comes

            self.detections += [each.model_dump() for each in self.judge.close(pane, ask)]
            for watch, view in zip(self.watches, views, strict=True):
                watch.learn(view)
        for watch in self.watches:
            watch.settle()

    def _watch(self, part: Part) -> Watch:
        # What is kept follows from what is read, be it elsewhere.
        watch = Watch({**catalogue(), "tells": Tells({})}, {}, part=part)
        watch.set(sharpened(watch.known, catalogue()))
        return watch


def stored(changes: Sequence[Change]) -> list[Change]:
    return [Change(change.name, change.encoded()) for change in changes]


@settings(max_examples=40, deadline=None)
@given(deliveries(), st.sampled_from([1, 2, 3, 5]), st.data())
def test_parts_say_together_what_one_says_alone(
    drawn: tuple[list[Row], Delivery], count: int, data: st.DataObject
) -> None:
    rows, _ = drawn
    table = records(rows)
    alone, parts = at_once(table), Parts(count)
    ordered = Table(table.frame.sort("end"))
    edges = sorted({0, len(ordered), *data.draw(st.lists(st.integers(0, len(ordered)), max_size=3))})
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        parts.apply(ordered.rows(begin, end), Span("a", Position(number), Position(number + 1)))
        if end < len(ordered):
            parts.advance(ordered.frame["end"][end])
        if data.draw(st.booleans()):
            parts.restart(data.draw(st.integers(0, count)))
    parts.advance(END_OF_TIME)
    assert parts.detections == alone.detections
    assert parts.tables == {told: rows for told, rows in alone.tables.items() if told[1].table != UNSHARED}


def test_every_kind_of_question_is_asked_where_every_detector_speaks() -> None:
    rows = [attempt("198.51.100.1", "10.0.0.1", port, action="REJECT") for port in (22, 80)]
    rows += [attempt("10.0.0.2", f"10.0.0.{host}", 22) for host in (3, 4)]
    rows += [attempt("10.0.0.2", "203.0.113.2", 443, end=START + seconds, tcp_flags=3) for seconds in (0, 900)]
    for port in (40_000, 40_001):
        rows += exchange("198.51.100.1", "10.0.0.9", 22, client_port=port)
    parts = Parts(3)
    parts.apply(records(rows), Span("a", Position(0), Position(1)))
    assert (
        sum(watch.hosts for watch in parts.watches)
        == records(rows).frame["source_key"].append(records(rows).frame["destination_key"]).n_unique()
    )
    parts.advance(END_OF_TIME)
    assert {detection["kind"] for detection in parts.detections} == set(PARAMETERS)
    assert parts.asked == set(CALLS)
