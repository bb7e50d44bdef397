"""What a partition of hosts makes of blocks and commands, whatever comes twice, too late or not at all."""

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl
import pytest

from detectors.questions import Question
from detectors.route import Part
from detectors.span import GapError, Position
from detectors.state import Change, merged
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from streams.by_host.blocks import Block, decode
from streams.by_host.commands import ASK, CLOSE, SETTLE, WHO, Answer, Command
from streams.by_host.cuts import write
from streams.by_host.shard import NEVER, Shard
from streams.errors import ServiceError
from streams.pipeline import Batch
from streams.records import Message, decode_all
from streams.settings import Settings, TimeSettings
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch

SETTINGS: Final = Settings(time=TimeSettings(allowed_lateness_seconds=0))
SHOWN: Final = NINE + PANE_SECONDS + SPREAD_SECONDS
"""From when on nothing of the pane at nine changes any more."""

LATER: Final = NINE + PANE_SECONDS
SOURCE: Final = "flows/0"
WHOLE: Final = Part(0, of=1)
REFUSED: Final = Question("table", "refused")


def shard(part: Part = WHOLE, sources: Iterable[str] = (SOURCE,)) -> Shard:
    return Shard(SETTINGS, part, sources)


def blocks(of: Batch, part: Part = WHOLE) -> list[Block]:
    decoded = decode_all(of.messages, SETTINGS.records, SETTINGS.networks)
    return [decode(each.value, each.headers) for each in write(of, decoded, part.of) if each.partition == part.number]


def messages(*values: Sequence[str], begin: int = 0, source: str = SOURCE, part: Part = WHOLE) -> list[Block]:
    """Make a block of messages, each of some lines."""
    return blocks(batch([block(lines) for lines in values], begin=begin, source=source), part)


def until(end: int, *, begin: int = 0, source: str = SOURCE) -> list[Block]:
    """Make a block that brings event time somewhere."""
    return messages([flow(end=end)], begin=begin, source=source)


def contacts(of: Shard) -> int:
    return sum(int(of.watch.contacts.summed(pane)["requests"].sum()) for pane in of.watch.contacts.panes)


def asked(pane: int, previous: int, watermark: int = SHOWN, question: Question = REFUSED) -> Command:
    return Command(ASK, previous, pane, watermark, question)


def close(pane: int, previous: int) -> Command:
    return Command(CLOSE, previous, pane, pane + PANE_SECONDS + SPREAD_SECONDS)


def restored(of: Shard, changes: Iterable[Change]) -> Shard:
    new = shard(of.part)
    new.restore([Change(each.name, each.encoded()) for each in changes])
    return new


def test_what_was_counted_is_passed_over_when_it_comes_again() -> None:
    one, other = messages([flow()], [flow()]), messages([flow()], [flow()], begin=1)
    counting = shard()
    counting.apply(one, 1)
    assert contacts(counting) == 2
    counting.apply([*one, *other, *one], 4)
    assert contacts(counting) == 3
    assert counting.watch.applied(SOURCE) == Position(3)
    assert counting.expected(SOURCE) == 4


def test_of_a_block_that_reaches_back_only_the_new_rows_count() -> None:
    counting = shard()
    counting.apply(messages([flow()] * 3), 1)
    counting.apply(messages([flow()] * 3, [flow()]), 2)
    assert contacts(counting) == 4


def test_where_records_are_missing_nothing_is_counted() -> None:
    counting = shard()
    counting.apply(messages([flow()]), 1)
    with pytest.raises(GapError, match=r"flows/0: rows from \(2, 0\) up to \(3, 0\) are missing; nothing was counted"):
        counting.apply([*messages([flow()], begin=1), *messages([flow()], begin=3)], 3)
    assert (contacts(counting), counting.expected(SOURCE)) == (1, 1)
    assert counting.watch.applied(SOURCE) == Position(1)


def test_sources_have_ranges_of_their_own() -> None:
    counting = shard(sources=(SOURCE, "flows/1"))
    counting.apply([*messages([flow()], begin=7), *messages([flow()], begin=3, source="flows/1")], 2)
    assert contacts(counting) == 2


def test_a_late_record_of_two_partitions_is_told_of_by_that_of_its_sender() -> None:
    parts = [Part(number, of=8) for number in range(8)]
    pairs = [(f"10.0.{host}.5", f"198.51.100.{host}") for host in range(20)]
    late = []
    for part in parts:
        counting = shard(part)
        counting.apply(messages([flow(end=NINE + 3600)], part=part), 1)
        lines = [flow(*pair) for pair in pairs] + [flow(*pair, end=NINE + 3600) for pair in pairs]
        frame = counting.apply(messages(lines, begin=1, part=part), 2).frame
        assert part.holds(frame["source_key"].to_numpy()).all()
        assert set(frame["end"]) <= {NINE + 30}
        late += frame.select("source_low", "destination_low").rows()
    assert len(late) == len(set(late)) == len(pairs)


def test_late_coverage_is_told_of_by_one_partition() -> None:
    coverage = f"2 123456789012 eni-1 - - - - - - - {NINE} {NINE} - NODATA"
    late = []
    for number in range(3):
        part = Part(number, of=3)
        counting = shard(part)
        counting.apply(messages([flow(end=NINE + 3600)], part=part), 1)
        late += counting.apply(messages([coverage], begin=1, part=part), 2).frame["log_status"].to_list()
    assert late == ["NODATA"]


def test_event_time_waits_for_the_slowest_source() -> None:
    waiting = shard(sources=(SOURCE, "flows/1"))
    waiting.apply(until(NINE + 7200), 1)
    assert waiting.reached.watermark < NINE
    waiting.apply(messages([flow(end=NINE), flow(end=SHOWN + 61)], source="flows/1"), 2)
    assert (waiting.reached.watermark, waiting.reached.panes) == (SHOWN + PANE_SECONDS, [NINE - PANE_SECONDS, NINE])


def test_a_part_says_which_panes_can_be_closed() -> None:
    saying = shard()
    assert (saying.reached.learned, saying.reached.panes) == (NEVER, [])
    saying.apply(messages([flow()], [flow(end=NINE + 90)], [flow(end=SHOWN + 59)]), 1)
    assert (saying.reached.watermark, saying.reached.panes) == (SHOWN, [NINE])
    saying.obey([close(NINE, NEVER)])
    assert (saying.reached.learned, saying.reached.panes) == (NINE, [])


def test_commands_wait_for_event_time() -> None:
    obeying = shard()
    obeying.apply(messages(scan(), [flow(end=SHOWN - 1)]), 1)
    question = asked(NINE, NEVER)
    assert obeying.obey([question, close(NINE, NEVER)]) == []
    assert obeying.watch.learned == NEVER
    obeying.apply(until(SHOWN, begin=2), 2)
    ((name, rows),) = obeying.obey([])
    assert (name, rows["rejected"].to_list()) == (question.name, [20] * 4)
    assert obeying.watch.learned == NINE


@pytest.mark.parametrize(
    "stale",
    [asked(NINE, NEVER), close(NINE, NEVER), Command(SETTLE, NEVER, NEVER, SHOWN + 3600)],
    ids=["ask", "close", "settle"],
)
def test_what_was_meant_for_somebody_further_back_is_passed_over(stale: Command) -> None:
    obeying = shard()
    obeying.apply(messages([flow()], [flow(end=NINE + 90)], [flow(end=SHOWN + 7200)]), 1)
    obeying.obey([close(NINE, NEVER)])
    before = obeying.reached
    assert obeying.obey([stale]) == []
    assert (obeying.reached, obeying.watch.closed_until) == (before, NINE + PANE_SECONDS)
    obeying.obey([close(LATER, NINE)])
    assert obeying.watch.learned == LATER


def test_commands_may_come_in_any_order_and_more_than_once() -> None:
    obeying = shard()
    obeying.apply(messages([flow()], [flow(end=NINE + 90)], [flow(end=SHOWN + 7200)]), 1)
    question = asked(LATER, NINE, SHOWN + PANE_SECONDS)
    settle = Command(SETTLE, LATER, LATER, SHOWN + 3600)
    assert obeying.obey([settle, question, question, close(LATER + 60, LATER + 120)]) == []
    assert obeying.watch.learned == NEVER
    (answer,) = obeying.obey([close(NINE, NEVER), settle, close(NINE, NEVER)])
    assert answer.name == question.name
    assert obeying.obey([close(LATER, NINE)]) == []
    assert (obeying.watch.learned, obeying.watch.closed_until) == (LATER, NINE + 3600 + PANE_SECONDS)


def test_a_question_that_is_asked_again_is_answered_again_alike() -> None:
    obeying = shard()
    obeying.apply(messages(scan(), [flow(end=SHOWN)]), 1)
    question = asked(NINE, NEVER)
    (first,) = obeying.obey([question])
    obeying.apply(until(SHOWN + 3600, begin=2), 2)
    (again,) = obeying.obey([question])
    assert isinstance(again, Answer)
    assert again.rows.equals(first.rows)
    assert first.rows["rejected"].to_list() == [20] * 4


def test_however_many_panes_somebody_is_behind_it_comes_after() -> None:
    panes = [NINE + PANE_SECONDS * number for number in range(1200)]
    obeying = shard()
    chain = [close(pane, previous) for previous, pane in zip([NEVER, *panes], panes, strict=False)]
    obeying.obey(chain)
    obeying.apply(messages([flow()], [flow(end=panes[-1] + 7200)]), 1)
    obeying.obey([])
    assert obeying.watch.learned == panes[-1]


def test_who_is_there_is_not_for_a_part_to_do() -> None:
    obeying = shard()
    obeying.apply(messages([flow()], [flow(end=SHOWN + 3600)]), 1)
    assert obeying.obey([Command(WHO, NEVER, NEVER, NEVER)]) == []
    assert obeying.watch.closed_until < NINE


def test_the_state_of_another_number_of_partitions_is_refused() -> None:
    changes = shard(Part(0, of=2)).changes(whole=True)
    with pytest.raises(ServiceError, match="partition 0 of 4, and its state is that of partition 0 of 2; divide"):
        shard(Part(0, of=4)).restore(changes)


def test_whoever_is_restored_goes_on_where_the_one_before_it_was() -> None:
    before, state = shard(), dict[str, Change]()
    before.apply(messages(scan(), [flow(end=SHOWN)]), 1)
    state = merged(state, before.changes(whole=True))
    before.obey([close(NINE, NEVER)])
    before.apply(until(SHOWN + 3600, begin=2), 2)
    state = merged(state, before.changes())
    after = restored(before, state.values())
    assert after.reached == before.reached
    assert (after.expected(SOURCE), after.watch.applied(SOURCE)) == (2, Position(3))
    following = [close(SHOWN // PANE_SECONDS * PANE_SECONDS, NINE)]
    for each in (before, after):
        each.apply([*until(SHOWN, begin=2), *until(SHOWN + 7200, begin=3)], 4)
        each.obey(following)
    assert after.reached == before.reached
    assert contacts(after) == contacts(before)


def test_whoever_goes_back_to_what_is_durable_does_the_same_again() -> None:
    first = shard()
    first.apply(messages(scan()), 1)
    durable = first.changes(whole=True)
    question = asked(NINE, NEVER)
    answers = []
    for each in (first, restored(first, durable)):
        each.apply(until(SHOWN, begin=1), 2)
        answers += [pl.concat([answer.rows for answer in each.obey([question, close(NINE, NEVER)])])]
    assert answers[0].equals(answers[1])


def test_a_source_that_is_new_since_the_state_was_stored_is_waited_for() -> None:
    before = shard()
    before.apply(until(NINE), 1)
    after = shard(sources=(SOURCE, "flows/1"))
    after.restore(before.changes(whole=True))
    after.apply(until(NINE + 7200, begin=1), 2)
    assert after.reached.watermark == NINE
    after.apply(until(NINE + 3600, source="flows/1"), 3)
    assert after.reached.watermark == NINE + 3600


def test_what_is_said_early_is_about_hosts_of_the_part() -> None:
    said = []
    for number in range(4):
        part = Part(number, of=4)
        looking = shard(part)
        looking.apply(messages(scan(), part=part), 1)
        said += looking.look()
    assert [(each.kind, each.provisional) for each in said] == [("vertical_scan", True)]


def test_an_empty_message_brings_nothing() -> None:
    counting = shard()
    counting.apply(blocks(batch([Message(b"").value])), 1)
    assert (contacts(counting), counting.watch.applied(SOURCE)) == (0, Position(1))
    assert len(counting.apply([], 1)) == 0
