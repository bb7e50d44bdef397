"""Whoever judges knows which panes are due, what to tell whom, and when it lacks what others know."""

from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl
import pytest

from detectors.finding import Detection
from detectors.gathered import Ask
from detectors.questions import Question
from detectors.route import Part
from detectors.state import Change, merged
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from streams.by_host.blocks import decode
from streams.by_host.commands import ASK, CLOSE, SETTLE, Command, Reached
from streams.by_host.cuts import write
from streams.by_host.shard import NEVER, Shard
from streams.by_host.verdict import Verdict
from streams.errors import ServiceError
from streams.records import decode_all
from streams.settings import Settings, TimeSettings
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch

SETTINGS: Final = Settings(time=TimeSettings(allowed_lateness_seconds=0))
PANES: Final = [NINE + PANE_SECONDS * number for number in range(10)]
SHOWN: Final = PANE_SECONDS + SPREAD_SECONDS


def reached(
    *, until: int, panes: Iterable[int] = (), learned: int = NEVER, safe: int = NEVER, part: int = 0
) -> Reached:
    return Reached(Part(part, 2), until + SPREAD_SECONDS, learned, list(panes), "first", safe)


def both(one: Reached, other: Reached) -> Mapping[int, Reached]:
    return {0: one, 1: other}


def judged(*panes: int, parts: int = 2) -> Verdict:
    verdict = Verdict(SETTINGS, parts)
    for pane in panes:
        verdict.judged(pane, [])
    return verdict


def restored(changes: Iterable[Change], parts: int = 2, settings: Settings = SETTINGS) -> Verdict:
    new = Verdict(settings, parts)
    new.restore([Change(each.name, each.encoded()) for each in changes])
    return new


def detection(*, provisional: bool) -> Detection:
    """A scan in the pane at nine, as a partition says it early or as it is judged."""
    messages = batch([block(scan())])
    decoded = decode_all(messages.messages, SETTINGS.records, SETTINGS.networks)
    shard = Shard(SETTINGS, Part(0, of=1), [messages.source])
    shard.apply([decode(each.value, each.headers) for each in write(messages, decoded, 1)], 1)
    (said,) = shard.look()
    return said.model_copy(update={"provisional": provisional})


def partition(*lines: str) -> Ask:
    """Ask the only partition there is, which has counted these lines."""
    messages = batch([block([*lines, flow(end=PANES[-1] + SHOWN)])])
    decoded = decode_all(messages.messages, SETTINGS.records, SETTINGS.networks)
    shard = Shard(SETTINGS, Part(0, of=1), [messages.source])
    shard.apply([decode(each.value, each.headers) for each in write(messages, decoded, 1)], 1)

    def ask(question: Question) -> list[pl.DataFrame]:
        (answer,) = shard.obey([Command(ASK, NEVER, PANES[0], PANES[0] + SHOWN, question)])
        return [answer.rows]

    return ask


def test_nothing_is_due_until_all_partitions_are_known() -> None:
    one = reached(until=PANES[5], panes=PANES[:5])
    assert judged().due({}) is None
    assert judged().due({0: one}) is None
    assert judged().due(both(one, one)) == (PANES[5] + SPREAD_SECONDS, PANES[:5])


def test_what_any_partition_holds_is_due_once_the_slowest_has_come_that_far() -> None:
    one, other = reached(until=PANES[5], panes=[PANES[1], PANES[4]]), reached(until=PANES[3], panes=[PANES[0]])
    assert judged().due(both(one, other)) == (PANES[3] + SPREAD_SECONDS, [PANES[0], PANES[1]])


def test_what_was_judged_is_due_no_more() -> None:
    one = reached(until=PANES[5], panes=PANES[:5])
    verdict = judged(PANES[0], PANES[2])
    due = verdict.due(both(one, one))
    assert due == (PANES[5] + SPREAD_SECONDS, PANES[3:5])
    for pane in due[1]:
        verdict.judged(pane, [])
    verdict.settle(due[0])
    assert verdict.due(both(one, one)) is None


def test_time_goes_on_where_there_is_nothing_to_judge() -> None:
    verdict = judged(PANES[0])
    verdict.settle(PANES[1] + SPREAD_SECONDS)
    one = reached(until=PANES[5], learned=PANES[0])
    assert verdict.due(both(one, one)) == (PANES[5] + SPREAD_SECONDS, [])
    behind = reached(until=PANES[1], learned=PANES[0])
    assert verdict.due(both(one, behind)) is None


def test_a_question_names_the_pane_before_and_waits_until_nothing_changes() -> None:
    question = Question("table", "host")
    assert judged(PANES[0]).asking(PANES[3], question) == Command(ASK, PANES[0], PANES[3], PANES[3] + SHOWN, question)


def test_commands_lead_on_from_what_a_partition_closed_last() -> None:
    verdict = judged(PANES[0], PANES[3])
    verdict.settle(PANES[4] + SPREAD_SECONDS)
    settle = Command(SETTLE, PANES[3], PANES[3], PANES[4] + SPREAD_SECONDS)
    last = Command(CLOSE, PANES[0], PANES[3], PANES[3] + SHOWN)
    first = Command(CLOSE, NEVER, PANES[0], PANES[0] + SHOWN)
    assert verdict.commands(NEVER) == [first, last, settle]
    assert verdict.commands(PANES[0]) == [last, settle]
    assert verdict.commands(PANES[3]) == [settle]
    assert judged().commands(NEVER) == [Command(SETTLE, NEVER, NEVER, NEVER)]


def test_a_partition_that_has_closed_nothing_obeys_even_where_nothing_was_judged() -> None:
    shard = Shard(SETTINGS, Part(0, of=2), ["flows/0"])
    assert shard.obey(judged().commands(NEVER)) == []


def test_a_pane_is_forgotten_once_no_partition_can_go_back_behind_it() -> None:
    verdict = judged(*PANES[:4])
    verdict.forget({0: reached(until=PANES[5], learned=PANES[3], safe=PANES[3])})
    assert len(verdict.commands(NEVER)) == 5
    verdict.forget(both(reached(until=PANES[5], safe=PANES[3]), reached(until=PANES[5], safe=NEVER)))
    assert len(verdict.commands(NEVER)) == 5
    verdict.forget(both(reached(until=PANES[5], safe=PANES[3]), reached(until=PANES[5], safe=PANES[1])))
    assert [each.kind for each in verdict.commands(PANES[1])] == [CLOSE, CLOSE, SETTLE]
    verdict.forget(both(*[reached(until=PANES[5], safe=PANES[3])] * 2))
    assert (verdict.last, len(verdict.commands(PANES[3]))) == (PANES[3], 1)


def test_a_partition_that_knows_of_a_later_pane_is_noticed() -> None:
    verdict = judged(PANES[0])
    ahead = reached(until=PANES[5], learned=PANES[2])
    for known in ({0: ahead}, both(reached(until=PANES[5]), ahead)):
        with pytest.raises(
            ServiceError,
            match=r"has closed the pane of 2026-01-05T09:02:00Z last, and the last one judged is the pane of "
            r"2026-01-05T09:00:00Z: the state of the incidents stage was lost.*; bring back the checkpoints",
        ):
            verdict.due(known)
    with pytest.raises(ServiceError, match="the state of the incidents stage was lost"):
        verdict.commands(PANES[2])
    with pytest.raises(ServiceError, match="the last one judged is no pane: the state of the incidents stage"):
        judged().commands(PANES[2])


def test_a_partition_that_is_behind_what_is_known_is_noticed() -> None:
    verdict = judged(*PANES[:4])
    verdict.forget(both(*[reached(until=PANES[5], learned=PANES[2], safe=PANES[2])] * 2))
    with pytest.raises(
        ServiceError,
        match=r"has closed no pane last, and what was judged is known from the pane of 2026-01-05T09:02:00Z on: the "
        r"state of the partition was lost.*delete those of all",
    ):
        verdict.commands(NEVER)


def test_early_detections_of_panes_that_were_judged_are_left_out() -> None:
    early = detection(provisional=True)
    (finding,) = judged().early([early])
    assert (finding.status, finding.provisional) == ("open", True)
    assert judged(early.pane - PANE_SECONDS).early([early]) == [finding]
    assert judged(early.pane).early([early]) == []


def test_what_is_judged_becomes_findings() -> None:
    verdict = judged()
    found = detection(provisional=False)
    (opened,) = verdict.judged(found.pane, [found])
    assert (opened.status, verdict.last) == ("open", NINE)
    assert verdict.settle(NINE + SHOWN) == []
    assert [(each.id, each.status) for each in verdict.settle(NINE + 7200)] == [(opened.id, "closed")]


def test_whoever_is_restored_goes_on_where_the_one_before_it_was() -> None:
    verdict, found = judged(PANES[0]), detection(provisional=False)
    state = merged({}, verdict.changes(whole=True))
    (opened,) = verdict.judged(PANES[1], [found])
    verdict.settle(PANES[1] + SHOWN)
    after = restored(merged(state, verdict.changes()).values())
    assert (after.last, after.settled) == (PANES[1], PANES[1] + SHOWN)
    assert after.commands(NEVER) == verdict.commands(NEVER)
    assert after.judged(PANES[2], [found.model_copy(update={"pane": PANES[2]})]) == []
    assert [each.id for each in after.settle(NINE + 7200)] == [opened.id]


def test_what_is_usual_for_what_belongs_to_no_partition_is_stored() -> None:
    verdict, ask = judged(parts=1), partition(*scan())
    state = merged({}, verdict.changes(whole=True))
    (found,) = verdict.close(PANES[0], ask)
    assert (found.kind, found.source) == ("vertical_scan", "203.0.113.9")
    after = restored(merged(state, verdict.changes()).values(), parts=1)
    interface_and_network = {change.name: change.encoded() for change in verdict.judge.changes(whole=True)}
    assert any(name.startswith("rejected_together/") for name in interface_and_network)
    assert {change.name: change.encoded() for change in after.judge.changes(whole=True)} == interface_and_network


def test_what_was_told_under_other_settings_is_brought_into_line_after_a_restart() -> None:
    verdict, found = judged(), detection(provisional=False)
    (opened,) = verdict.judged(found.pane, [found])
    rule = {"name": "ours", "owner": "me", "reason": "it scans", "sources": ["203.0.113.9"]}
    after = restored(verdict.changes(whole=True), settings=Settings.model_validate({"suppressions": [rule]}))
    (closed,) = after.settle(NINE + SHOWN)
    assert (closed.id, closed.status, closed.suppressed_by) == (opened.id, "closed", "ours")
    assert after.settle(NINE + SHOWN + 60) == []


def test_the_state_of_another_number_of_partitions_is_refused() -> None:
    with pytest.raises(ServiceError, match="there are 4 partitions of hosts, and the state is that of 2; divide"):
        restored(judged().changes(whole=True), parts=4)
