from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from detectors.finding import Finding, finding_id
from streams.detect import detect, last_states
from streams.errors import InputError
from streams.explain import Explanation, explain
from streams.pipeline import Pipeline
from streams.settings import load
from streams.sources import Source, source_at
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.test_early_findings import FORMAT, ITS_ANSWERS, SCAN, SLOW_CLIENT

SCANNER, TARGET = "203.0.113.9", "10.0.0.5"


MINUTES = [flow(end=NINE + 30 + 60 * minute) for minute in range(15)]
"""Something in each pane: where nothing is, there is nothing to judge."""


def sweep(source: str, targets: int, *, end: int) -> list[str]:
    return [flow(source, f"10.0.1.{each}", port=445, action="REJECT", end=end) for each in range(targets)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Write a scan that begins with few ports, and another one an hour later."""
    lines = [
        *scan(ports=9, end=NINE + 30),
        *scan(ports=20, end=NINE + 90),
        *scan(ports=45, end=NINE + 150),
        *scan("203.0.113.8", end=NINE + 3600),
        flow(end=NINE + 7200),
        *MINUTES,
    ]
    path = tmp_path / "flows.log"
    path.write_text("\n".join(lines))
    return path


def explained(identifier: str, *paths: Path, **sections: Any) -> Explanation:
    settings = load(None, sections)

    def sources() -> Sequence[Source]:
        return [source_at(str(path)) for path in paths]

    def stages() -> Pipeline:
        return Pipeline(settings)

    return explain(identifier, sources, stages, settings)


def findings(path: Path) -> list[Finding]:
    return [each for outcome, _ in detect([source_at(str(path))], load()) for each in outcome.findings]


@pytest.fixture
def first(log: Path) -> Finding:
    return last_states(findings(log))[0]


def test_every_pane_is_told_with_value_and_threshold_before_in_and_behind_it(log: Path, first: Finding) -> None:
    said = explained(first.id, log)
    told = {pane.pane - NINE: pane for pane in said.panes}
    values = {at: pane.figures[0].value for at, pane in told.items() if pane.figures}
    assert values == {0: 9, 60: 20, 120: 45, 180: 45, 240: 45, 300: 45, 360: 45, 420: 45}
    assert {pane.figures[0].threshold for pane in told.values() if pane.figures} == {15}
    assert [at for at, pane in told.items() if pane.over] == [60, 120, 180, 240, 300, 360, 420]
    assert [at for at, pane in told.items() if pane.anchor] == [60]
    assert said.strongest == told[120]


def test_the_verdict_is_that_of_the_parameters_in_force(log: Path, first: Finding) -> None:
    said = explained(first.id, log)
    assert said.finding == first
    assert said.published


def test_the_rows_that_the_detector_read_are_told(log: Path, first: Finding) -> None:
    (pane,) = (pane for pane in explained(first.id, log).panes if pane.pane == NINE)
    (pair, *_) = pane.statistics
    assert (pair.table, pair.panes, pair.in_all) == ("pair", 6, 1)
    assert pair.rows[0]["source"] == SCANNER
    assert pair.rows[0]["target"] == TARGET
    assert pair.rows[0]["failed_ports"] == 9


def test_parameters_in_force_are_told_with_what_is_default(log: Path) -> None:
    settings = {"detectors": {"vertical_scan": {"ports": 40}}}
    stages = Pipeline(load(None, settings))
    states = [each for outcome, _ in detect([source_at(str(log))], load(), stages) for each in outcome.findings]
    said = explained(states[0].id, log, **settings)
    (ports,) = (each for each in said.parameters if each.name == "ports")
    assert (ports.value, ports.default, ports.threshold) == (40, 15, True)
    assert {pane.figures[0].threshold for pane in said.panes if pane.figures} == {40}
    assert said.anchor == NINE + 120


def test_each_state_is_told_with_its_time_and_when_it_was_certain(log: Path, first: Finding) -> None:
    said = explained(first.id, log)
    assert [(each.event_time - NINE, each.status, each.value) for each in said.updates] == [
        (120, "open", 20),
        (180, "open", 45),
        (1380, "closed", 45),
    ]
    assert {each.certain_at - each.event_time for each in said.updates} == {600 + 900}


def test_the_first_characters_do_where_no_other_begins_so(log: Path, first: Finding) -> None:
    assert explained(first.id[:8], log).finding.id == first.id
    assert explained(first.id[:8].upper(), log).finding.id == first.id


def test_what_there_is_is_named_where_the_one_asked_for_is_not(log: Path) -> None:
    with pytest.raises(InputError) as error:
        explained("nothing", log)
    assert str(error.value).startswith("there is no finding 'nothing'; there are\n")
    assert all(each.id in str(error.value) for each in last_states(findings(log)))


def test_several_that_begin_so_are_named(log: Path) -> None:
    with pytest.raises(InputError, match="2 findings begin with ''"):
        explained("", log)


def test_where_nothing_was_found_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "quiet.log"
    path.write_text(flow())
    with pytest.raises(InputError, match="nothing was found"):
        explained("abc", path)


def test_a_superseded_finding_and_what_superseded_it_name_each_other(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    guesses = [flow(SCANNER, TARGET, port=445, action="REJECT", end=NINE + each) for each in range(30)]
    path.write_text("\n".join([*guesses, *scan(), *sweep(SCANNER, 40, end=NINE + 90), flow(end=NINE + 7200)]))
    last = {each.id: each for each in findings(path)}
    for each in last.values():
        said = explained(each.id, path)
        assert {other.id for other in said.others} == set(last) - {each.id}
        assert said.finding == each


def test_what_was_taken_back_is_explained_by_its_whole_identifier(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("\n".join([FORMAT, *SCAN, *SLOW_CLIENT, ""]))
    second.write_text("\n".join([FORMAT, *ITS_ANSWERS, ""]))
    stages, states = Pipeline(load()), []
    for outcome, _ in detect([source_at(str(first)), source_at(str(second))], load(), stages):
        states += [*outcome.findings, *stages.look()]
    (retracted,) = (each for each in states if each.status == "retracted")
    said = explained(retracted.id, first, second)
    assert said.finding == retracted
    assert [(each.status, each.value) for each in said.updates] == [("open", 30), ("retracted", 30)]
    # Once the pane was complete, nothing was left of it.
    (pane,) = said.panes
    assert (pane.anchor, pane.over, pane.figures) == (True, False, ())
    with pytest.raises(InputError, match="there is no finding"):
        explained(retracted.id[:12], first, second)


def test_what_was_never_told_by_itself_is_explained_by_its_whole_identifier(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text("\n".join([*scan(), *scan(end=NINE + 90), flow(end=NINE + 7200)]))
    (last,) = last_states(findings(path))
    later = finding_id("vertical_scan", f"/{SCANNER}", f"123456789012/{TARGET}", NINE + 60)
    said = explained(later, path)
    assert not said.published
    assert (said.finding.id, said.anchor) == (later, NINE + 60)
    assert said.finding.value == last.value
