import random
from collections.abc import Sequence

import numpy as np
import pytest

from detectors.episodes import QUIET_SECONDS
from detectors.finding import Finding
from detectors.route import SHARDS
from detectors.statistics.baselines import Baselines
from detectors.statistics.volumes import SPREAD_SECONDS
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Message
from streams.records.contract import WATERMARK_HEADER
from streams.settings import Settings, TimeSettings
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch, process

HOUR = 3600
LATENESS = TimeSettings().allowed_lateness_seconds


def run(values: Sequence[bytes], sizes: Sequence[int]) -> list[Finding]:
    """Run messages through new stages in batches of these sizes, then end the source."""
    pipeline, found, begin = Pipeline(Settings()), list[Finding](), 0
    for size in sizes:
        if begin >= len(values):
            break
        found += pipeline.process(batch(values[begin : begin + size], begin=begin)).findings
        begin += size
    return found + pipeline.finish("flows/0").findings


def last_states(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def test_a_scan_is_raised_once_its_pane_closes_and_closed_once_it_was_quiet() -> None:
    pipeline = Pipeline(Settings())
    assert pipeline.process(batch([block(scan())])).findings == []
    closing = NINE + 60 + SPREAD_SECONDS
    assert pipeline.process(batch([block([flow(end=closing + LATENESS - 1)])], begin=1)).findings == []
    raised = pipeline.process(batch([block([flow(end=closing + LATENESS)])], begin=2))
    (finding,) = raised.findings
    assert (finding.kind, finding.status, finding.source, finding.target) == (
        "vertical_scan",
        "open",
        "203.0.113.9",
        "10.0.0.5",
    )
    assert raised.watermark == closing
    quiet = closing + QUIET_SECONDS + LATENESS
    assert pipeline.process(batch([block([flow(end=quiet - 1)])], begin=3)).findings == []
    closed = pipeline.process(batch([block([flow(end=quiet)])], begin=4))
    assert [(each.id, each.status) for each in closed.findings] == [(finding.id, "closed")]


def test_every_line_is_counted_refused_or_late() -> None:
    coverage = "2 123456789012 eni-1 - - - - - - - {0} {0} - {1}"
    lines = [flow(), "garbage", coverage.format(NINE, "NODATA"), coverage.format(NINE, "SKIPDATA"), flow("nowhere")]
    pipeline = Pipeline(Settings())
    first = pipeline.process(batch([block([*lines, flow(end=NINE + HOUR)])]))
    second = pipeline.process(batch([block([flow(), flow(end=NINE + HOUR)])], begin=1))
    assert (first.records, first.refused.height, len(first.late)) == (4, 2, 0)
    assert first.coverage == {"NODATA": 1, "SKIPDATA": 1}
    assert first.refused["line"].to_list() == [2, 5]
    assert (second.records, second.refused.height, len(second.late)) == (1, 0, 1)


def test_lateness_is_allowed_as_far_as_it_is_set() -> None:
    for allowed, late in ((60, 1), (HOUR, 0)):
        pipeline = Pipeline(Settings(time=TimeSettings(allowed_lateness_seconds=allowed)))
        pipeline.process(batch([block([flow(end=NINE + 1800)])]))
        assert len(pipeline.process(batch([block([flow()])], begin=1)).late) == late


@pytest.mark.parametrize("sizes", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
def test_the_same_records_are_late_however_they_are_batched(sizes: list[int]) -> None:
    pipeline, late, begin = Pipeline(Settings()), list[int](), 0
    values = [block([flow(end=end)]) for end in (NINE, NINE + HOUR, NINE + 60, NINE + HOUR - LATENESS)]
    for size in sizes:
        outcome = pipeline.process(batch(values[begin : begin + size], begin=begin))
        late += outcome.late.frame["end"].to_list()
        begin += size
    assert late == [NINE + 60]


@pytest.mark.parametrize("sizes", [[3], [1, 2], [2, 1]])
def test_what_comes_behind_the_mark_of_a_complete_input_is_late_however_it_is_batched(sizes: list[int]) -> None:
    pipeline, late, begin = Pipeline(Settings()), list[int](), 0
    mark = Message(b"", {WATERMARK_HEADER: b"end"})
    messages = [Message(block(scan())), mark, Message(block([flow(end=NINE + 60), flow(end=NINE + 2 * HOUR)]))]
    for size in sizes:
        end = begin + size
        outcome = pipeline.process(Batch("flows/0", messages[begin:end], np.arange(begin, end), begin, end))
        late += outcome.late.frame["end"].to_list()
        begin = end
    assert late == [NINE + 60]


def test_late_records_raise_nothing() -> None:
    pipeline = Pipeline(Settings())
    pipeline.process(batch([block([flow(end=NINE + HOUR)])]))
    outcome = pipeline.process(batch([block(scan())], begin=1))
    assert len(outcome.late) == 20
    assert outcome.findings + pipeline.finish("flows/0").findings == []


def test_what_was_processed_before_is_not_counted_again() -> None:
    pipeline = Pipeline(Settings())
    half = block(scan(ports=10))
    assert pipeline.process(batch([half])).records == 10
    pipeline.process(batch([half]))
    assert pipeline.finish("flows/0").findings == []
    assert {each.kind for each in process([*scan(ports=10), *scan(ports=20)]).findings} == {"vertical_scan"}


def test_the_mark_of_a_complete_input_closes_everything() -> None:
    pipeline = Pipeline(Settings())
    pipeline.process(batch([block(scan())]))
    mark = Batch("flows/0", [Message(b"", {WATERMARK_HEADER: b"end"})], np.array([1]), 1, 2)
    assert [each.status for each in pipeline.process(mark).findings] == ["open", "closed"]


def test_what_was_evicted_before_a_restart_is_not_counted_after_it() -> None:
    first, second = Pipeline(Settings()), Pipeline(Settings())
    first.watch.baselines = Baselines(hosts_per_shard=1)
    hosts = [flow(f"10.0.{number // 250}.{number % 250 + 1}") for number in range(2 * SHARDS)]
    outcome = first.process(batch([block(hosts), block([flow(end=NINE + HOUR)])]))
    assert outcome.evicted["baselines"] >= SHARDS
    second.restore(first.changes(whole=True))
    assert second.process(batch([block([flow(end=NINE + HOUR)])], begin=2)).evicted["baselines"] == 0


def test_event_time_waits_for_the_slowest_source() -> None:
    pipeline = Pipeline(Settings())
    for source in ("a", "b"):
        pipeline.watermarks.add(source)
    pipeline.process(batch([block([flow(end=NINE + HOUR)])], source="a"))
    assert pipeline.process(batch([block(scan())], source="b")).records == 20
    assert pipeline.finish("a").findings == []
    assert [each.status for each in pipeline.finish("b").findings] == ["open", "closed"]


@pytest.mark.parametrize("seed", range(3))
def test_findings_do_not_depend_on_how_records_are_batched(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same batches every time
    episodes = [NINE + 30, NINE + 90, NINE + 150, NINE + 2 * HOUR, NINE + 3 * HOUR]
    lines = [line for end in episodes for line in scan(ports=chance.randrange(15, 60), end=end)]
    lines += [flow(f"10.0.0.{host}", end=end) for end in range(NINE, NINE + 4 * HOUR, 900) for host in range(3)]
    lines.sort(key=lambda line: int(line.split()[11]))
    values = [block(lines[at : at + 7]) for at in range(0, len(lines), 7)]
    whole = run(values, [len(values)])
    single = run(values, [1] * len(values))
    some = run(values, [chance.randrange(1, 12) for _ in values])
    assert last_states(whole) == last_states(single) == last_states(some)
    assert len(last_states(whole)) == 3


def test_an_empty_outcome_says_nothing() -> None:
    outcome = Outcome()
    assert (outcome.records, len(outcome.late), outcome.refused.height, outcome.findings) == (0, 0, 0, [])
    assert batch([b"12", b"345"]).bytes == 5
