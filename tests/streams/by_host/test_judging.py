import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest
from faust.types import TP

from detectors.route import Part
from streams.by_host import judging as judging_module
from streams.by_host.blocks import decode
from streams.by_host.commands import (
    ANSWER,
    ASK,
    CLOSE,
    REACHED,
    SETTLE,
    WHO,
    Command,
    Pieces,
    messages,
    together,
)
from streams.by_host.judging import Judging
from streams.by_host.roles import Roles, Worker
from streams.by_host.router import routed
from streams.by_host.shard import NEVER, Shard
from streams.errors import FlowhawkError
from streams.output import ProducerRecord
from streams.settings import Settings
from tests.streams import topic_records
from tests.streams.by_host.conftest import FailedError, failed
from tests.streams.by_host.events import event, messages_of
from tests.streams.by_host.traffic import told, until_so
from tests.streams.flow_lines import NINE, block, flow, scan

HOUR = 3600
LINES = [*scan(), flow(end=NINE + HOUR)]
SESSION = "first"


def partials(settings: Settings) -> TP:
    return TP(settings.topics.partials.name, 0)


class Conversation:
    """Stands for the partitions of hosts: hears what is asked, and says what they would."""

    def __init__(self, worker: Worker, judging: Judging) -> None:
        self.worker = worker
        self.judging = judging
        self.heard: list[Command] = []
        self._read = 0
        self._said = 0
        sources = worker.sources
        self.shards = [Shard(worker.settings, Part(part, worker.parts), sources) for part in range(worker.parts)]

    def count(self, lines: Sequence[str]) -> None:
        """Let every partition count lines of every source."""
        settings = self.worker.settings
        for number, source in enumerate(self.worker.sources):
            fetched = event(
                settings.topics.flows.name, [(block(lines if number == 0 else lines[-1:]), {})], partition=number
            )
            del source
            records = routed(fetched, settings, self.worker.parts).records
            for part, shard in enumerate(self.shards):
                shard.apply([decode(*each) for each in messages_of(records, part)], number + 1)

    async def say(self, *several: ProducerRecord) -> None:
        """Let whoever judges hear something."""
        topic = self.worker.settings.topics.partials.name
        said = [(each.value or b"", each.headers) for each in several]
        await self.judging.take(event(topic, said, begin=self._said))
        self._said += len(said)

    async def reached(self, *parts: int, session: str = SESSION) -> None:
        """Say how far partitions have come."""
        topic = self.worker.settings.topics.partials.name
        for part in parts:
            body = replace(self.shards[part].reached, session=session).body
            await self.say(*messages(topic, REACHED, str(part), body))

    async def listen(self) -> list[Command]:
        """Return what was commanded since the last time."""
        settings = self.worker.settings
        topic = settings.topics.questions.name
        records = await asyncio.to_thread(topic_records.read, settings.kafka.bootstrap_servers[0], topic)
        pieces = Pieces()
        whole = [pieces.add(each.headers, each.value) for each in records]
        commands = [Command.read(kind, body) for kind, _, body in filter(None, whole)]
        fresh, self._read = commands[self._read :], len(commands)
        self.heard += fresh
        return fresh

    async def obey(self, *parts: int) -> None:
        """Let partitions obey what was commanded, and answer."""
        topic = self.worker.settings.topics.partials.name
        commands = [each for each in await self.listen() if each.kind != WHO]
        for part in parts:
            answers = self.shards[part].obey(commands)
            await self.say(*messages(topic, ANSWER, f"somebody/{part}", together(answers)))

    async def until(self, holds: Callable[[], bool], *parts: int) -> None:
        """Let partitions obey until something holds."""

        async def obeyed() -> bool:
            await self.obey(*parts)
            return holds()

        await until_so(obeyed)

    @property
    def kinds(self) -> list[str]:
        """What was commanded, each kind once for as many as follow on each other."""
        kinds = [each.kind for each in self.heard]
        return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]


@pytest.fixture
async def talk(worker: Worker) -> AsyncIterator[Conversation]:
    judging = Judging(worker, partials(worker.settings))
    await judging.start()
    yield Conversation(worker, judging)
    await judging.close()


async def test_a_pane_is_judged_by_what_all_say_and_closed_once_that_is_sure(talk: Conversation) -> None:
    parts = range(talk.worker.parts)
    talk.count(LINES)
    await talk.reached(*parts)
    await talk.until(lambda: talk.judging.verdict.settled == NINE + HOUR - 900, *parts)
    await talk.obey(*parts)
    assert talk.kinds == [WHO, SETTLE, ASK, CLOSE, SETTLE]
    closes = [(each.previous, each.pane) for each in talk.heard if each.kind == CLOSE]
    assert closes == [(NEVER, NINE)]
    assert {each.watch.learned for each in talk.shards} == {NINE}
    found = await asyncio.to_thread(told, talk.worker.settings)
    assert [(each["kind"], each["status"]) for each in found.values()] == [("vertical_scan", "closed")]
    assert talk.judging.published == 2


async def test_nothing_is_asked_while_nobody_knows_how_far_a_partition_is(talk: Conversation) -> None:
    talk.count(LINES)
    await talk.reached(0, 1)
    await talk.listen()
    assert talk.kinds == [WHO, SETTLE]


async def test_who_does_not_answer_is_asked_again(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging_module, "_AGAIN_SECONDS", 0.2)
    parts = range(talk.worker.parts)
    talk.count(LINES)
    await talk.reached(*parts)
    # The last one hears nothing for a while.
    await talk.until(lambda: len([each for each in talk.heard if each.kind == ASK]) >= 3, *parts[:-1])
    lost = talk.heard[:]
    await talk.until(lambda: talk.judging.verdict.settled > NEVER, *parts)
    await talk.obey(*parts)
    assert len({each.name for each in lost if each.kind == ASK}) == 1
    assert {each.watch.learned for each in talk.shards} == {NINE}


async def test_a_new_owner_of_a_partition_is_told_what_it_missed(talk: Conversation) -> None:
    parts = range(talk.worker.parts)
    talk.count(LINES)
    await talk.reached(*parts)
    # The last partition answers, and goes before it hears what to close.
    await talk.until(lambda: talk.judging.verdict.settled > NEVER, *parts)
    await talk.listen()
    successor = Conversation(talk.worker, talk.judging)
    successor.count(LINES)
    talk.shards[-1] = successor.shards[-1]
    await talk.reached(parts[-1], session="second")
    fresh = await talk.listen()
    assert [(each.kind, each.previous, each.pane) for each in fresh if each.kind == CLOSE] == [(CLOSE, NEVER, NINE)]
    talk.shards[-1].obey(fresh)
    assert talk.shards[-1].watch.learned == NINE


async def test_who_judges_next_goes_on_from_the_checkpoint(talk: Conversation) -> None:
    parts, worker = range(talk.worker.parts), talk.worker
    talk.count(LINES)
    await talk.reached(*parts)
    await talk.until(lambda: talk.judging.verdict.settled > NEVER, *parts)
    await talk.judging.checkpoint()
    successor = Judging(worker, partials(worker.settings))
    await successor.start()
    assert (successor.verdict.last, successor.verdict.settled) == (NINE, NINE + HOUR - 900)
    await successor.close()


async def test_letting_go_does_not_wait_for_answers(talk: Conversation) -> None:
    talk.count(LINES)
    await talk.reached(*range(talk.worker.parts))

    async def asked() -> bool:
        return ASK in [each.kind for each in await talk.listen()]

    await until_so(asked)
    async with asyncio.timeout(5):
        await talk.judging.close()
        # The thread is free for whatever is next.
        await asyncio.get_running_loop().run_in_executor(talk.worker.judges, int)


async def test_the_state_of_another_number_of_partitions_is_refused_with_what_to_do(talk: Conversation) -> None:
    parts, worker = range(talk.worker.parts), talk.worker
    talk.count(LINES)
    await talk.reached(*parts)
    await talk.until(lambda: talk.judging.verdict.settled > NEVER, *parts)
    worker.parts = 8

    async def make(partition: TP) -> Judging:
        return Judging(worker, partition)

    wrong = "there are 8 partitions of hosts, and the state is that of 3; divide anew"
    with pytest.raises(FailedError, match=re.escape(wrong)) as refused:
        await Roles(make, failed).assigned(partials(worker.settings))
    assert isinstance(refused.value.__cause__, FlowhawkError)
