"""Whoever judges, while partitions fall silent, begin again or it is let go of itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, NoReturn

import pytest
from faust.types import TP

from detectors.route import Part
from detectors.statistics.contacts import PANE_SECONDS
from streams.by_host import judging
from streams.by_host.commands import ASK, KIND_HEADER, REACHED, SETTLE, WHO, Reached, messages
from streams.by_host.judging import Judging
from streams.by_host.roles import Roles, Worker
from streams.by_host.shard import NEVER
from streams.fetched_records import Record, Records
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.metrics import Metrics
from streams.output import Output
from streams.settings import Settings
from streams.topics import create_topics
from streams.transport import Fetched
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE
from tests.streams.topic_records import read, write

PARTS: Final = 2
DUE: Final = NINE + 3600


def failed(what: str, error: Exception) -> NoReturn:
    raise AssertionError(what) from error


def reached(
    part: int, watermark: int, session: str = "1", panes: tuple[int, ...] = (NINE,), generation: int = 0
) -> Reached:
    return Reached(Part(part, PARTS), watermark, NEVER, panes, session, generation=generation)


def fetched(*said: Reached, begin: int = 1000) -> Fetched:
    """Make an event of what partitions say, as it comes from the topic."""
    made = [each for one in said for each in messages("partials", REACHED, str(one.part.number), one.body)]
    records = Records.of(
        Record(offset, None, each.value or b"", tuple(each.headers.items())) for offset, each in enumerate(made, begin)
    )
    return Fetched(TP("partials", 0), records, begin, begin + len(records))


class Alone:
    """Roles of a worker that has nothing but the topic of what partitions say."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.judges = ThreadPoolExecutor(1)
        self.said = Output(settings.kafka, linger_ms=0)
        self.partition = TP(settings.topics.partials.name, 0)
        self._worker = Worker(settings, Metrics(), self.judges, self.judges, self.said, PARTS, 1, ["flows/0"], failed)
        self.roles = Roles(self._make, failed)

    async def _make(self, partition: TP) -> Judging:
        return Judging(self._worker, partition)

    @property
    def judging(self) -> Judging:
        (role,) = self.roles.of(Judging)
        return role

    async def until_asked(self, kind: str, times: int = 1) -> list[Mapping[str, bytes]]:
        deadline = time.monotonic() + 60
        address, topic = self.settings.kafka.bootstrap_servers[0], self.settings.topics.questions.name
        while time.monotonic() < deadline:
            told = [each.headers for each in await asyncio.to_thread(read, address, topic)]
            if sum(each[KIND_HEADER] == kind.encode() for each in told) >= times:
                return told
        raise AssertionError(f"nobody was told to {kind} {times} times")


@pytest.fixture
async def alone(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> AsyncIterator[Alone]:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_settings.flows.name)
    create_topics(kafka, topic_settings, topology="by-host")
    # What somebody said to whoever judged before.
    write(kafka_broker.bootstrap, topic_settings.partials.name, [b"{}"] * 3)
    made = Alone(Settings(kafka=kafka, topics=topic_settings, topology="by-host"))
    await made.said.start()
    await made.roles.assigned(made.partition)
    yield made
    await made.roles.close()
    await made.said.close()
    made.judges.shutdown()


async def test_the_thread_is_free_again_once_the_partition_is_let_go_of_in_the_middle_of_a_question(
    alone: Alone,
) -> None:
    await alone.judging.take(fetched(reached(0, DUE), reached(1, DUE)))
    await alone.until_asked(ASK)
    await alone.roles.revoked(alone.partition)
    assert await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(alone.judges, lambda: True), 60)


async def test_half_a_pane_is_not_stored(alone: Alone) -> None:
    await alone.judging.take(fetched(reached(0, DUE), reached(1, DUE)))
    await alone.until_asked(ASK)
    # As if another pane had been judged before.
    alone.judging._stored = True
    await alone.roles.checkpoint()
    assert alone.judging._checkpoints._number == 0


async def test_who_does_not_answer_is_told_again_what_may_have_been_missed(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "_AGAIN_SECONDS", 0.1)
    await alone.judging.take(fetched(reached(0, DUE), reached(1, DUE)))
    # Once for each session that begins, and then whenever it is asked again.
    told = await alone.until_asked(SETTLE, PARTS + 2)
    assert [each[KIND_HEADER].decode() for each in told][:1] == [WHO]


async def test_who_says_nothing_at_first_is_asked_again(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_AGAIN_SECONDS", 0.1)
    await alone.judging.take(fetched(reached(0, DUE)))
    await alone.until_asked(WHO, 3)


async def test_what_was_said_to_whoever_judged_before_is_no_news(alone: Alone) -> None:
    await alone.judging.take(fetched(reached(0, DUE), reached(1, DUE), begin=0))
    assert alone.judging._reached == {}


async def test_a_partition_that_begins_again_comes_to_where_it_was(alone: Alone) -> None:
    panes = (NINE + 3600, NINE + 3660)
    await alone.judging.take(fetched(reached(0, DUE + 3600, panes=panes)))
    await alone.judging.take(fetched(reached(0, DUE, "2")))
    known = alone.judging._reached[0]
    assert (known.watermark, known.session, tuple(known.panes)) == (DUE + 3600, "2", panes)
    await alone.judging.take(fetched(reached(0, DUE + 7200, "2", (NINE + PANE_SECONDS,))))
    known = alone.judging._reached[0]
    assert (known.watermark, tuple(known.panes)) == (DUE + 7200, (NINE + PANE_SECONDS,))


async def test_whoever_had_a_partition_before_and_does_not_know_it_is_not_listened_to(alone: Alone) -> None:
    await alone.judging.take(fetched(reached(0, DUE, "2", generation=2)))
    forgotten = replace(reached(0, DUE, "1", generation=1), learned=NINE)
    # What it closed last is known to nobody here, so nobody could bring it to where the others are.
    await alone.judging.take(fetched(forgotten))
    assert alone.judging._reached[0].session == "2"
