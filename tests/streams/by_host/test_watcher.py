import re
from collections.abc import Sequence

import pytest
from faust.types import TP

from detectors.questions import Question
from detectors.watch import END_OF_TIME
from streams.by_host.commands import ANSWER, ASK, CLOSE, EARLY, REACHED, Command, Pieces, Reached, apart
from streams.by_host.roles import Roles, Worker
from streams.by_host.router import routed
from streams.by_host.shard import NEVER
from streams.by_host.watcher import Watcher, read
from streams.errors import FlowhawkError
from streams.output import FencedError
from streams.settings import Settings
from streams.transport import Fetched
from tests.streams import topic_records
from tests.streams.by_host.conftest import FailedError, failed
from tests.streams.by_host.events import Headers, event, messages_of
from tests.streams.flow_lines import NINE, block, flow, scan

HOUR = 3600


def tp(settings: Settings, part: int = 0) -> TP:
    return TP(settings.topics.flows_by_host.name, part)


def cut(settings: Settings, values: Sequence[bytes], parts: int, *, source: int = 0) -> list[tuple[bytes, Headers]]:
    """Return the blocks of messages for partition 0 of so many, one event each."""
    found: list[tuple[bytes, Headers]] = []
    for offset, value in enumerate(values):
        fetched = event(settings.topics.flows.name, [(value, {})], partition=source, begin=offset)
        found += messages_of(routed(fetched, settings, parts).records, 0)
    return found


def blocks_event(settings: Settings, messages: Sequence[tuple[bytes, Headers]], *, begin: int = 0) -> Fetched:
    return event(settings.topics.flows_by_host.name, messages, begin=begin, prepare=read)


def said(settings: Settings) -> list[tuple[str, str, bytes]]:
    """Return what partitions of hosts said."""
    pieces = Pieces()
    records = topic_records.read(settings.kafka.bootstrap_servers[0], settings.topics.partials.name)
    whole = [pieces.add(each.headers, each.value) for each in records]
    return [each for each in whole if each is not None]


def reached(settings: Settings) -> list[Reached]:
    return [Reached.read(body) for kind, _, body in said(settings) if kind == REACHED]


@pytest.fixture
def alone(worker: Worker) -> Worker:
    """A worker whose only partition of hosts has all of them, and whose only source is one of flows."""
    worker.parts, worker.sources = 1, worker.sources[:1]
    return worker


async def test_it_says_how_far_it_has_come_whenever_that_changes(alone: Worker) -> None:
    settings = alone.settings
    watcher = Watcher(alone, tp(settings))
    await watcher.start()
    messages = cut(settings, [block(scan()), block(scan()), block([flow(end=NINE + HOUR)])], 1)
    for begin, message in enumerate(messages):
        await watcher.take(blocks_event(settings, [message], begin=begin))
    await watcher.close()
    told = reached(settings)
    first = (NINE + 30 - 900) // 60 * 60
    assert [each.watermark for each in told[1:]] == [first, NINE + HOUR - 900]
    assert [list(each.panes) for each in told] == [[], [], [NINE]]
    assert len({each.session for each in told}) == 1
    assert {each.learned for each in told} == {NEVER} == {-END_OF_TIME}


async def test_it_answers_and_closes_once_its_time_has_come(alone: Worker) -> None:
    settings = alone.settings
    watcher = Watcher(alone, tp(settings))
    await watcher.start()
    messages = cut(settings, [block(scan()), block([flow(end=NINE + HOUR)])], 1)
    watermark = NINE + HOUR - 900
    ask = Command(ASK, NEVER, NINE, watermark, Question("table", "host", 1))
    other = Command(ASK, NEVER, NINE, watermark, Question("table", "refused", 1))
    await watcher.take(blocks_event(settings, messages[:1]))
    await watcher.hear([ask, other, Command(CLOSE, NEVER, NINE, watermark)])
    assert ANSWER not in [kind for kind, _, _ in said(settings)]
    await watcher.take(blocks_event(settings, messages[1:], begin=1))
    await watcher.close()
    (answers,) = [body for kind, _, body in said(settings) if kind == ANSWER]
    assert [*apart(answers)] == [ask.name, other.name]
    assert watcher.shard.watch.learned == NINE


async def test_open_panes_are_told_of_early(alone: Worker) -> None:
    settings = alone.settings
    watcher = Watcher(alone, tp(settings))
    await watcher.start()
    await watcher.look()
    assert EARLY not in [kind for kind, _, _ in said(settings)]
    await watcher.take(blocks_event(settings, cut(settings, [block(scan())], 1)))
    await watcher.look()
    await watcher.look()
    await watcher.close()
    assert [kind for kind, _, _ in said(settings)].count(EARLY) == 1


async def test_what_came_before_is_passed_over(alone: Worker) -> None:
    settings = alone.settings
    watcher = Watcher(alone, tp(settings))
    await watcher.start()
    messages = cut(settings, [block(scan()), block([flow(end=NINE + HOUR)])], 1)
    await watcher.take(blocks_event(settings, messages[:1]))
    # The router was started again, and wrote the first once more.
    await watcher.take(blocks_event(settings, [*messages[:1], *messages], begin=0))
    await watcher.close()
    assert alone.metrics.value("flowhawk_replayed_messages_total") == 1
    assert watcher.expected == 3
    assert watcher.shard.watch.contacts.between(NINE, NINE + 60)["requests"].sum() == 20


async def test_the_next_owner_goes_on_from_the_checkpoint_and_shuts_out_the_one_before(alone: Worker) -> None:
    settings = alone.settings
    zombie, successor = Watcher(alone, tp(settings)), Watcher(alone, tp(settings))
    messages = cut(settings, [block(scan()), block([flow(end=NINE + HOUR)]), block([flow(end=NINE + HOUR)])], 1)
    topic_records.write(settings.kafka.bootstrap_servers[0], settings.topics.flows_by_host.name, [b""] * 3)
    await zombie.start()
    assert (zombie.expected, zombie.committable) == (None, 0)
    await zombie.take(blocks_event(settings, messages[:2]))
    await zombie.checkpoint()
    assert zombie.committable == 2
    await zombie.take(blocks_event(settings, messages[2:], begin=2))
    await successor.start()
    assert (successor.expected, successor.committable) == (2, 2)
    with pytest.raises(FencedError):
        await zombie.checkpoint()
    await zombie.close()
    await successor.close()
    last = reached(settings)[-1]
    assert (last.watermark, list(last.panes)) == (NINE + HOUR - 900, [NINE])
    assert len({each.session for each in reached(settings)}) == 2
    assert [*dict.fromkeys(each.generation for each in reached(settings))] == [1, 2]


async def test_late_records_are_told_of_by_the_partition_of_the_sender(worker: Worker) -> None:
    settings = worker.settings
    worker.sources = worker.sources[:1]
    late = [flow(f"10.0.3.{host}", f"10.0.4.{host}", end=NINE) for host in range(20)]
    values = [block([flow(end=NINE + HOUR)]), block(late)]
    for part in range(worker.parts):
        watcher = Watcher(worker, tp(settings, part))
        await watcher.start()
        for offset, value in enumerate(values):
            fetched = event(settings.topics.flows.name, [(value, {})], begin=offset)
            messages = messages_of(routed(fetched, settings, worker.parts).records, part)
            await watcher.take(blocks_event(settings, messages, begin=offset))
        await watcher.close()
    records = topic_records.read(settings.kafka.bootstrap_servers[0], settings.topics.flows_late.name)
    lines = [line for each in records for line in each.value.splitlines()]
    assert sorted(line.split()[3] for line in lines) == sorted(f"10.0.3.{host}".encode() for host in range(20))
    assert worker.metrics.value("flowhawk_late_total") == 20


async def test_the_state_of_another_number_of_partitions_is_refused_with_what_to_do(alone: Worker) -> None:
    settings = alone.settings
    watcher = Watcher(alone, tp(settings))
    await watcher.start()
    await watcher.take(blocks_event(settings, cut(settings, [block(scan())], 1)))
    await watcher.checkpoint()
    await watcher.close()
    alone.parts = 2

    async def make(partition: TP) -> Watcher:
        return Watcher(alone, partition)

    roles = Roles(make, failed)
    wrong = "this is partition 0 of 2, and its state is that of partition 0 of 1; divide anew"
    with pytest.raises(FailedError, match=re.escape(wrong)) as told:
        await roles.assigned(tp(settings))
    assert isinstance(told.value.__cause__, FlowhawkError)
