import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from detectors.finding import Finding
from streams import sink_loop
from streams.findings_reader import FindingsReader, Read
from streams.metrics import Metrics
from streams.sink_loop import SinkLoop, heard
from streams.sinks import Delivery, Sink
from streams.sinks.json_lines import JsonLines
from tests.streams.found import findings
from tests.streams.sinks.stand_ins import Obedient, Recording, Replaying, Stuck

PARTITION = TopicPartition("findings", 0)


def several(count: int) -> list[Finding]:
    return [findings()[0].model_copy(update={"id": str(number)}) for number in range(count)]


def read(found: Sequence[Finding], end: int, *, anew: bool = False, caught_up: bool = False) -> Read:
    return Read(list(found), {PARTITION: end}, 1, anew, caught_up)


@dataclass
class Script:
    """A topic from which is read what a test wrote down; an error stands for a broker that is away."""

    reads: list[Read | Exception]
    done_until: list[int] = field(default_factory=list)
    is_open: bool = False
    revoked: bool = False

    async def open(self) -> None:
        self.is_open = True

    async def read(self) -> Read:
        if not self.reads:
            await asyncio.Event().wait()
        following = self.reads.pop(0)
        if isinstance(following, Exception):
            raise following
        return following

    def is_current(self, what: Read) -> bool:
        del what
        return not self.revoked

    async def done(self, what: Read) -> None:
        self.done_until.append(what.ends[PARTITION])

    async def lag(self) -> int:
        return len(self.reads)

    async def close(self) -> None:
        self.is_open = False


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_loop, "FIRST_PAUSE_SECONDS", 0.002)


async def true(holds: Callable[[], bool]) -> None:
    """Let others go on until something holds."""
    while not holds():  # noqa: ASYNC110 - sinks and scripts tell nobody
        await asyncio.sleep(0)


async def run(
    sink: Sink, script: Script, until: Callable[[], bool], then: Callable[[SinkLoop], Awaitable[Any]] | None = None
) -> tuple[SinkLoop, Metrics, list[str]]:
    metrics = Metrics()
    metrics.sinks([sink.name])
    loop = SinkLoop(sink, cast("FindingsReader", script), metrics)
    with structlog.testing.capture_logs() as captured:
        loop.start()
        async with asyncio.timeout(30):
            await true(until)
            if then is not None:
                await then(loop)
            await loop.stop()
    return loop, metrics, [entry["event"] for entry in captured]


def value(metrics: Metrics, name: str, sink: Sink) -> float:
    return metrics.value(f"flowhawk_sink_{name}", {"sink": sink.name})


async def test_what_is_delivered_is_done_and_counted() -> None:
    sink, script = Obedient(), Script([read(several(3), 3), read([], 4), read(several(2), 6)])
    loop, metrics, log = await run(sink, script, lambda: len(script.done_until) == 3)
    assert script.done_until == [3, 4, 6]
    assert sink.offered == [["0", "1", "2"], ["0", "1"]]
    assert loop.handled == value(metrics, "delivered_total", sink) == 5
    assert value(metrics, "last_success_timestamp_seconds", sink) > 1_700_000_000
    assert value(metrics, "failures_total", sink) == value(metrics, "hopeless_total", sink) == 0
    assert log == []
    assert sink.log == ["start", "deliver", "deliver", "close"]
    assert not script.is_open


async def test_a_heartbeat_has_arrived_once_all_before_it_is_delivered() -> None:
    arrived: list[float] = []

    class Watching(Obedient):
        async def deliver(self, findings: Sequence[Finding]) -> Delivery:
            arrived.append(value(metrics, "arrived_heartbeat_timestamp_seconds", self))
            return await super().deliver(findings)

    sink = Watching(Delivery.RETRY)
    script = Script([dataclasses.replace(read(several(1), 2), beat=7.5), read([], 3)])
    metrics = Metrics()
    loop = SinkLoop(sink, cast("FindingsReader", script), metrics)
    loop.start()
    async with asyncio.timeout(30):
        await true(lambda: len(script.done_until) == 2)
        await loop.stop()
    assert arrived == [0, 0]
    assert value(metrics, "arrived_heartbeat_timestamp_seconds", sink) == 7.5
    assert value(metrics, "delivery_seconds_count", sink) == 2


@pytest.mark.parametrize("answer", [Delivery.RETRY, ZeroDivisionError("a bug")])
async def test_a_sink_that_fails_is_offered_the_same_again(answer: Delivery | Exception) -> None:
    sink, script = Obedient(answer, answer), Script([read(several(2), 2)])
    _, metrics, log = await run(sink, script, lambda: script.done_until == [2])
    assert sink.offered == [["0", "1"]] * 3
    assert value(metrics, "failures_total", sink) == 2
    assert value(metrics, "delivered_total", sink) == 2
    assert log.count("a sink does not take findings, trying again") == 2
    assert log[-1] == "all is well again with a sink"


async def test_only_what_is_hopeless_by_itself_is_passed_over() -> None:
    sink, script = Obedient(), Script([read(several(9), 9)])
    sink.hopeless = lambda finding: finding.id in {"3", "8"}
    loop, metrics, log = await run(sink, script, lambda: script.done_until == [9])
    assert sink.ids == ["0", "1", "2", "4", "5", "6", "7"]
    assert value(metrics, "hopeless_total", sink) == 2
    assert value(metrics, "delivered_total", sink) == 7
    assert loop.handled == 9
    assert log == ["a sink refused a finding for good"] * 2


async def test_a_sink_that_does_not_answer_counts_as_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_loop, "DELIVERY_SECONDS", 0.001)
    sink, script = Stuck(), Script([read(several(1), 1)])
    metrics = Metrics()
    loop = SinkLoop(sink, cast("FindingsReader", script), metrics)
    loop.start()
    async with asyncio.timeout(30):
        await true(lambda: value(metrics, "failures_total", sink) >= 3)
        await loop.stop()
    assert script.done_until == []


async def test_a_broker_that_is_away_is_waited_for() -> None:
    sink = Obedient()
    script = Script([KafkaConnectionError("away"), KafkaConnectionError("away"), read(several(1), 1)])
    _, metrics, log = await run(sink, script, lambda: script.done_until == [1])
    assert sink.ids == ["0"]
    assert value(metrics, "failures_total", sink) == 2
    assert log[0] == "findings cannot be read for a sink, trying again"


async def test_what_was_revoked_is_not_offered_any_more() -> None:
    sink, script = Obedient(*[Delivery.RETRY] * 1000), Script([read(several(1), 1)])

    async def revoke(_: SinkLoop) -> None:
        script.revoked = True
        script.reads.append(read([], 7))
        await true(lambda: script.done_until == [7])

    await run(sink, script, lambda: len(sink.offered) > 1, revoke)
    assert script.done_until == [7]


async def test_a_sink_that_replays_is_told_where_it_begins_and_when_it_has_caught_up() -> None:
    sink = Replaying()
    script = Script([read(several(1), 1, anew=True), read(several(1), 2, caught_up=True), read(several(1), 3)])
    await run(sink, script, lambda: len(script.done_until) == 3)
    assert sink.log == ["start", "restart", "deliver", "deliver", "caught up", "deliver", "close"]


async def test_stopping_does_not_wait_for_a_sink_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_loop, "FIRST_PAUSE_SECONDS", 10_000)
    monkeypatch.setattr(sink_loop, "LONGEST_PAUSE_SECONDS", 10_000)
    sink, script = Obedient(*[Delivery.RETRY] * 1000), Script([read(several(1), 1)])
    await run(sink, script, lambda: len(sink.offered) == 1)
    assert script.done_until == []
    assert sink.log[-1] == "close"


def test_only_sinks_that_ask_for_it_hear_of_what_is_only_observed() -> None:
    observed = [finding.model_copy(update={"observed": True}) for finding in findings()]
    everything = [*observed, *findings(2)]
    assert heard(Obedient(), everything) == findings(2)
    assert heard(Recording(), everything) == everything
    assert JsonLines.hears_observed
