from collections.abc import Sequence

import numpy as np
import pytest

from detectors.route import Part
from detectors.span import Position
from detectors.state import Change
from detectors.statistics.baseline_pieces import SHARD
from detectors.statistics.baselines import Baselines
from detectors.statistics.refusal_sums import COLUMN, INTERFACE
from streams.by_host.blocks import decode
from streams.by_host.commands import CLOSE, SETTLE, Command
from streams.by_host.cuts import write
from streams.by_host.division import JUDGED, WATCHED, Division, Left, put_in, taken_out
from streams.by_host.shard import NEVER, Shard
from streams.by_host.verdict import Verdict
from streams.pipeline import Pipeline
from streams.records import decode_all
from streams.settings import Settings
from tests.streams.flow_lines import NINE, block, flow
from tests.streams.found import batch

SETTINGS = Settings()
SOURCES = ["flows/0"]
DAY = 24 * 3600


def past() -> list[str]:
    """What a day shows of a few hosts that send much to few peers, and are refused now and then."""
    lines = []
    for second in range(0, DAY, 600):
        for host in range(12):
            lines.append(flow(f"10.0.{host}.7", f"198.51.100.{host}", end=NINE + second, size=1_000_000 + host))
            lines.append(flow(f"203.0.113.{host}", f"10.0.{host}.7", end=NINE + second, action="REJECT", port=22))
    return lines


@pytest.fixture(scope="module")
def learned() -> Baselines:
    """What a pipeline alone learns of it."""
    pipeline = Pipeline(SETTINGS)
    pipeline.process(batch([block(past())]))
    pipeline.finish("flows/0")
    return pipeline.watch.baselines


def stored(changes: list[Change]) -> list[Change]:
    return [Change(change.name, change.encoded()) for change in changes]


def at_rest(division: Division) -> Division:
    """Return checkpoints as they come from storage."""
    return Division([stored([*each]) for each in division.parts], stored([*division.judge]))


def nothing(parts: int) -> Division:
    return Division([[] for _ in range(parts)], [])


def outside(where: str, state: Sequence[Change]) -> dict[str, object]:
    return {each.name: each.content for each in state if not each.name.startswith(f"{where}/")}


def same(one: Baselines, other: Baselines) -> bool:
    return one.exported().equals(other.exported())


def test_what_is_divided_is_gathered_again(learned: Baselines) -> None:
    assert {*learned.exported()["column"]} >= {"outbound_bytes", "rejected", COLUMN[INTERFACE]}
    assert learned.destinations.count > 0
    for parts in (1, 5):
        division = at_rest(nothing(parts).with_baselines(learned, SETTINGS, SOURCES))
        assert same(division.gathered(), learned)
        assert division.fits


def test_each_partition_gets_its_own_hosts_and_the_judge_what_spans_them(learned: Baselines) -> None:
    division = at_rest(nothing(4).with_baselines(learned, SETTINGS, SOURCES))
    for number, state in enumerate(division.parts):
        exported = taken_out(WATCHED, state).exported()
        keys = exported["key"].explode(empty_as_null=False).to_numpy()
        assert Part(number, 4).holds(keys.astype(np.uint64)).all()
        assert COLUMN[INTERFACE] not in {*exported["column"]}
        # Hours go by for all, also where nobody sends anything.
        assert taken_out(WATCHED, state).destinations.count == learned.destinations.count
    assert {*taken_out(JUDGED, division.judge).exported()["column"]} == {COLUMN[INTERFACE]}


def played(parts: int) -> Division:
    """Let so many partitions count the past, and close it without a judge who learns."""
    of = batch([block(past())])
    decoded = decode_all(of.messages, SETTINGS.records, SETTINGS.networks)
    records = list(write(of, decoded, parts))
    states = []
    verdict = Verdict(SETTINGS, parts)
    panes: list[int] = []
    for number in range(parts):
        shard = Shard(SETTINGS, Part(number, parts), SOURCES)
        shard.apply([decode(each.value, each.headers) for each in records if each.partition == number], end=3)
        panes, previous, watermark = [NINE, NINE + 600], NEVER, shard.reached.watermark
        for pane in panes:
            shard.obey([Command(CLOSE, previous, pane, watermark)])
            previous = pane
        shard.obey([Command(SETTLE, previous, previous, watermark)])
        states.append(shard.changes(whole=True))
    for pane in panes:
        verdict.judged(pane, [])
    return at_rest(Division(states, verdict.changes(whole=True)))


def test_where_hosts_are_divided_as_before_all_else_stays(learned: Baselines) -> None:
    before = played(2)
    assert (before.fits, before.is_level) == (True, True)
    after = at_rest(before.with_baselines(learned, SETTINGS, SOURCES))
    assert same(after.gathered(), learned)
    places = [*((state, WATCHED) for state in before.parts), (before.judge, JUDGED)]
    for (state, where), other in zip(places, [*after.parts, after.judge], strict=True):
        assert outside(where, state) == outside(where, other)


def test_more_partitions_begin_behind_what_was_counted_and_judged() -> None:
    before = played(2)
    learned = before.gathered()
    grown = Division([*before.parts, [], []], before.judge)
    assert (grown.fits, grown.is_level) == (False, True)
    after = at_rest(grown.with_baselines(learned, SETTINGS, SOURCES))
    assert after.fits
    assert same(after.gathered(), learned)
    left = [Left.of(state) for state in after.parts]
    assert [each.part for each in left] == [Part(number, 4) for number in range(4)]
    assert [each.position for each in left] == [3, 3, None, None]
    assert {each.learned for each in left} == {NINE + 600}
    assert [dict(each.applied) for each in left] == [{"flows/0": Position(1)}] * 4
    verdict = Verdict(SETTINGS, 4)
    verdict.restore(after.judge)
    assert verdict.last == NINE + 600
    for number, state in enumerate(after.parts):
        shard = Shard(SETTINGS, Part(number, 4), SOURCES)
        shard.restore(state)
        assert (shard.expected("any"), shard.reached.learned, shard.watch.panes) == (
            left[number].position,
            NINE + 600,
            [],
        )
        # What belongs to a pane that was judged is late, and nothing else is.
        of = batch([block([flow("10.0.0.1", "10.0.0.2", end=NINE + 659), flow(end=NINE + 660)])], begin=1)
        decoded = decode_all(of.messages, SETTINGS.records, SETTINGS.networks)
        blocks = [decode(each.value, each.headers) for each in write(of, decoded, 4) if each.partition == number]
        late = shard.apply(blocks, 4)
        assert late.frame["end"].to_list() in ([], [NINE + 659])


def test_partitions_that_have_not_come_equally_far_are_noticed() -> None:
    before = played(2)
    other = Left.of(before.parts[0])
    shard = Shard(SETTINGS, Part(0, 2), SOURCES)
    shard.follow(2, {"flows/0": Position(0, 5)}, other.learned)
    behind = at_rest(Division([shard.changes(whole=True), before.parts[1], []], before.judge))
    assert not behind.is_level
    after = behind.with_baselines(Baselines(), SETTINGS, SOURCES)
    # A new one takes what comes.
    assert [dict(Left.of(state).applied) for state in after.parts] == [
        {"flows/0": Position(0, 5)}, {"flows/0": Position(1)}, {},
    ]  # fmt: skip


def test_findings_that_are_open_stay_open(learned: Baselines) -> None:
    before = played(2)
    incidents = [each for each in before.judge if each.name.startswith("incidents/")]
    grown = Division([[] for _ in range(8)], before.judge)
    after = grown.with_baselines(learned, SETTINGS, SOURCES)
    documents = [each.document() for each in after.judge if each.name.startswith("incidents/")]
    assert documents == [each.document() for each in incidents]


def test_nothing_is_gathered_from_nothing() -> None:
    assert nothing(2).gathered().exported().schema == SHARD
    assert put_in(WATCHED, [], Baselines()) != []
