from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.statistics.conversations import CONVERSATIONS, answers, fold, merged
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, found

AWAY = {"source": INSIDE, "source_port": 50_000, "destination": OUTSIDE, "destination_port": 40_000}
BACK = {"source": OUTSIDE, "source_port": 40_000, "destination": INSIDE, "destination_port": 50_000}
FLAGLESS: Row = {"protocol": 17, "tcp_flags": None, "packets": 1}


def passed(rows: list[Row]) -> list[int]:
    """How many records came back on each contact of these records, all of them one pane."""
    conversations = merged(fold(records(rows).flows))
    return list(answers(conversations, conversations)[1])


def peers(number: int, *, pane: int = 0, way: str = "both") -> list[Row]:
    """A host that exchanges single datagrams with many ports of another, both ends choosing high ports."""
    there: list[Row] = [
        {**AWAY, **FLAGLESS, "destination_port": 40_000 + each, "end": at(pane)} for each in range(number)
    ]
    back: list[Row] = [{**BACK, **FLAGLESS, "source_port": 40_000 + each, "end": at(pane)} for each in range(number)]
    return {"both": there + back, "there": there, "back": back}[way]


def test_what_passed_the_other_way_came_back_on_both_contacts() -> None:
    assert passed([{**AWAY, **FLAGLESS}, {**BACK, **FLAGLESS}, {**BACK, **FLAGLESS}]) in ([2, 1], [1, 2])


def test_nothing_comes_back_on_a_one_sided_conversation() -> None:
    assert passed([{**AWAY, **FLAGLESS}]) == []
    assert passed([{**AWAY, **FLAGLESS}, {**BACK, **FLAGLESS, "source_port": 40_001}]) == []


def test_what_was_refused_or_only_resets_did_not_come_back() -> None:
    assert sorted(passed([{**AWAY, **FLAGLESS}, {**BACK, **FLAGLESS, "action": "REJECT"}])) == [0, 1]
    assert sum(passed([{**AWAY, "tcp_flags": 2, "action": "REJECT"}, {**BACK, "tcp_flags": 20}])) == 0


@pytest.mark.parametrize(("source_port", "destination_port"), [(443, 50_000), (50_000, 443), (20_000, 50_000), (0, 0)])
def test_where_ports_tell_enough_nothing_is_remembered(source_port: int, destination_port: int) -> None:
    row = {**AWAY, **FLAGLESS, "source_port": source_port, "destination_port": destination_port}
    assert fold(records([row]).flows).is_empty()


def test_two_hosts_that_talk_on_high_ports_scan_nobody() -> None:
    assert found("vertical_scan", peers(50)) == []
    assert len(found("vertical_scan", peers(50, way="there"))) == 1


def test_an_answer_is_no_attempt_though_the_question_lies_in_a_pane_before() -> None:
    late = [*peers(50, way="there"), *peers(50, pane=2, way="back")]
    assert {detection.source for detection in found("vertical_scan", late)} == {INSIDE}


@strategies.quick
@given(strategies.rows(), st.data())
def test_merging_does_not_mind_how_records_were_split(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    flows = records(rows).flows
    parts = pl.Series(data.draw(st.lists(st.booleans(), min_size=len(flows), max_size=len(flows))), dtype=pl.Boolean)
    together = merged(pl.concat([fold(flows.filter(parts)), fold(flows.filter(~parts))]))
    assert together.schema == CONVERSATIONS
    order = ["pane", "conversation"]
    assert together.sort(order).equals(fold(flows).sort(order))


@strategies.quick
@given(strategies.rows(panes=1))
def test_what_comes_back_is_that_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    counts: dict[tuple[Any, ...], int] = {}
    for row in flows.rows(named=True):
        counting = row["action"] == "ACCEPT" and (row["tcp_flags"] or 0) not in {4, 20}
        ends = ("source_key", "source_port", "destination_key", "destination_port")
        of = (*(row[name] for name in ends), row["protocol"])
        counts[of] = counts.get(of, 0) + row["weight"] * counting
    expected = 0
    for source, source_port, destination, destination_port, protocol in counts:
        alike = (source_port in _SERVICES) == (destination_port in _SERVICES)
        same_range = (source_port < 32768) == (destination_port < 32768)
        if alike and same_range and (source_port or destination_port):
            expected += counts.get((destination, destination_port, source, source_port, protocol), 0)
    conversations = merged(fold(flows))
    assert answers(conversations, conversations)[1].sum() == expected


_SERVICES = {0, 22, 80, 443, 8080}
