from collections.abc import Iterator

from detectors.catalogue import catalogue
from detectors.statistics.caps import TABLES
from detectors.statistics.contacts import PANE_SECONDS
from detectors.verdicts import verdicts
from streams.degraded import EVICTED, KEPT_IN, SLOW, SLOW_SECONDS, Judge, cut_short
from streams.pipeline import Pipeline
from streams.settings import Settings
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch, process


def test_the_time_of_every_detector_is_told_once_panes_are_judged() -> None:
    pipeline = Pipeline(Settings())
    first = pipeline.process(batch([block(scan())]))
    second = pipeline.process(batch([block([flow(end=NINE + 1800)])], begin=1))
    assert first.judging == {}
    assert second.judging.keys() == catalogue().keys()
    assert all(seconds > 0 for seconds in second.judging.values())


def test_a_detector_that_takes_too_long_for_a_pane_is_slow() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += step
        return now

    pipeline = Pipeline(Settings())
    step = SLOW_SECONDS + 1
    pipeline.watch.judge = pipeline._judge = Judge(clock)
    pipeline.process(batch([block(scan())]))
    outcome = pipeline.process(batch([block([flow(end=NINE + 1800)])], begin=1))
    assert outcome.degraded["slow_scan", SLOW] == 1
    assert {kind for kind, reason in outcome.degraded if reason == SLOW} == catalogue().keys()
    step = 0
    after = pipeline.process(batch([block([flow(end=NINE + 3600)])], begin=2))
    assert after.degraded == {}


def test_a_tenth_of_a_pane_is_what_a_detector_may_take() -> None:
    assert SLOW_SECONDS * 10 == PANE_SECONDS


def test_whoever_reads_what_was_evicted_is_cut_short() -> None:
    kinds = catalogue()
    assert cut_short(kinds, []) == []
    assert set(cut_short(kinds, ["directory"])) == kinds.keys()
    assert set(cut_short(kinds, ["logins"])) == {"brute_force", "rejected_spike"}
    assert "exfiltration_burst" in cut_short(kinds, ["volumes"])
    assert "exfiltration_burst" not in cut_short(kinds, ["refusals"])


def test_it_is_known_where_every_statistic_is_kept() -> None:
    assert {need.table for detector in catalogue().values() for need in detector.needs} <= KEPT_IN.keys()
    kept = {table for tables in KEPT_IN.values() for table in tables}
    assert {*TABLES, "baselines"} - {"directory"} <= kept


def test_evictions_degrade_the_detectors_that_read_the_table() -> None:
    pipeline = Pipeline(Settings())
    bounded = pipeline.watch._bounded["contacts"]
    pipeline.process(batch([block(scan())]))
    bounded.evicted += 3
    outcome = pipeline.process(batch([block([flow()])], begin=1))
    assert outcome.degraded["vertical_scan", EVICTED] == 1
    assert ("brute_force", EVICTED) not in outcome.degraded
    assert pipeline.process(batch([block([flow()])], begin=2)).degraded == {}


def test_findings_are_the_same_whether_time_is_taken_or_not() -> None:
    pipeline = Pipeline(Settings())
    pipeline.watch.judge = verdicts

    def plain() -> Iterator[str]:
        for outcome in (pipeline.process(batch([block(scan())])), pipeline.finish("flows/0")):
            yield from (finding.model_dump_json() for finding in outcome.findings)

    assert list(plain()) == [finding.model_dump_json() for finding in process(scan()).findings]


def test_sizes_of_all_parts_grow_with_what_is_counted() -> None:
    pipeline = Pipeline(Settings())
    assert {part.size.rows for part in pipeline.watch.parts.values()} == {0}
    pipeline.process(batch([block([*scan(), flow(port=22)])]))
    sizes = {name: part.size for name, part in pipeline.watch.parts.items()}
    assert sizes["contacts"].rows == 21
    assert sizes["directory"].rows == 3
    assert all(sizes[name].bytes > 0 for name in ("contacts", "volumes", "directory"))
