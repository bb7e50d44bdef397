import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

import pytest

from detectors.questions import Question
from streams.by_host.commands import ASK, CLOSE, WHO, Command, messages
from streams.by_host.listener import Listener
from streams.errors import ServiceError
from streams.output import Output
from streams.settings import Settings
from tests.kafka.broker import KafkaBroker
from tests.streams.topic_records import write

SAID = [
    Command(WHO, 0, 0, 0),
    Command(ASK, 0, 60, 720, Question("table", "by_pair", 5, "ports", 0.1 + 0.2)),
    Command(CLOSE, 0, 60, 720),
]


class Heard:
    """Notes what it hears, and what went wrong."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.failures: list[str] = []
        self.news = asyncio.Event()

    async def hear(self, commands: Sequence[Command]) -> None:
        self.commands += commands
        self.news.set()

    def failed(self, what: str, error: Exception) -> NoReturn:
        self.failures.append(what)
        self.news.set()
        raise error

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.commands) < count:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def output(settings: Settings) -> AsyncIterator[Output]:
    output = Output(settings.kafka, linger_ms=0)
    await output.start()
    yield output
    await output.close()


async def say(output: Output, settings: Settings, *commands: Command) -> None:
    topic = settings.topics.questions.name
    await output.write(
        [each for command in commands for each in messages(topic, command.kind, command.name, command.body)]
    )


def texts(commands: Sequence[Command]) -> list[tuple[str, bytes]]:
    return [(each.kind, each.body) for each in commands]


async def test_everybody_hears_everything_in_its_order_from_now_on(settings: Settings, output: Output) -> None:
    await say(output, settings, Command(CLOSE, 1, 2, 3))
    heard = [Heard(), Heard()]
    listeners = [Listener(settings.kafka, settings.topics.questions.name, each.hear, each.failed) for each in heard]
    for listener in listeners:
        await listener.start()
    await say(output, settings, *SAID)
    for each in heard:
        await each.until(len(SAID))
        assert texts(each.commands) == texts(SAID)
    for listener in listeners:
        await listener.stop()
    assert [each.failures for each in heard] == [[], []]


async def test_what_nobody_understands_ends_the_process(settings: Settings) -> None:
    heard = Heard()
    listener = Listener(settings.kafka, settings.topics.questions.name, heard.hear, heard.failed)
    await listener.start()
    await asyncio.to_thread(
        write,
        settings.kafka.bootstrap_servers[0],
        settings.topics.questions.name,
        [b"nonsense"],
        headers={"flowhawk-kind": b"ask", "flowhawk-about": b"x", "flowhawk-piece": b"0/1"},
    )
    async with asyncio.timeout(30):
        await heard.news.wait()
    assert heard.failures == ["questions cannot be heard"]
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever reading has raised
        await listener.stop()


async def test_who_never_began_to_listen_can_stop(settings: Settings) -> None:
    heard = Heard()
    await Listener(settings.kafka, settings.topics.questions.name, heard.hear, heard.failed).stop()


async def test_a_broker_that_is_away_is_an_error_that_says_so(
    own_kafka_broker: KafkaBroker, settings: Settings
) -> None:
    kafka = settings.kafka.model_copy(update={"bootstrap_servers": (own_kafka_broker.bootstrap,)})
    own_kafka_broker.stop()
    heard = Heard()
    with pytest.raises(ServiceError, match="cannot be read"):
        await Listener(kafka, settings.topics.questions.name, heard.hear, heard.failed).start()
