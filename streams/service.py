"""The life of the service: start, run, stop, and fail loudly."""

import asyncio
import logging
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NoReturn, Self, cast

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from detectors.span import GapError
from streams.agents import WatchAgent
from streams.app import build
from streams.by_host.agents import ByHostAgents
from streams.errors import FAILED, FlowhawkError, ServiceError
from streams.kept_sinks import SinkChange
from streams.looking import looking_pause
from streams.metrics import Metrics
from streams.notifier import Notifier
from streams.output import FencedError
from streams.pipeline import Batch
from streams.settings import Settings
from streams.sinks import Sink
from streams.transport import BatchingConsumer
from streams.watchdog import Watchdog

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 9.0
"""How long stopping may take; supervisors usually grant ten seconds."""

_CHECKPOINT_SECONDS: Final = 1.0
"""How often it is asked whether a checkpoint is due while nothing comes in."""

_LAST_BEAT_SECONDS: Final = 1.0
"""How long a heartbeat that is under way may take when the service stops."""

_ANSWER_SECONDS: Final = 5.0
"""How long the broker may take to say what is waiting."""

_TOLD: Final = (FlowhawkError, GapError)
"""Errors that say in a line what was wrong and what to do."""


class Service:
    """Runs the agents on a Faust application for as long as the `async with` block lasts.

    Parameters
    ----------
    settings
        All settings.
    sinks
        Who hears of findings.
    consumed
        Called with each batch that has been processed, on the event loop.
    durable
        Whether state outlives the process, in checkpoints; else it is in memory only.
    early
        Whether open panes are looked at, so that findings are told before they are certain.
    metrics
        Where to count, where sinks were given it already.
    """

    def __init__(
        self,
        settings: Settings,
        sinks: Sequence[Sink],
        consumed: Callable[[Batch], None] = lambda _: None,
        *,
        durable: bool = True,
        early: bool = True,
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        topics = settings.topics
        self.watch: WatchAgent | ByHostAgents
        if settings.topology == "by-host":
            self.watch = ByHostAgents(settings, self.metrics, fail)
        else:
            self.watch = WatchAgent(settings, self.metrics, consumed, durable=durable, failed=fail)
        self.notify = Notifier(settings.kafka, topics.findings.name, sinks, self.metrics, durable=durable)
        self.app = build(
            settings.kafka,
            frozenset(self.watch.agents),
            self.watch.partitions,
            self.watch.prepare,
            self.metrics.rebalanced,
        )
        for topic, name in self.watch.agents.items():
            self._agent(topic, name, self.watch.run)
        # When this is sent, no event is under way any more, and offsets are not committed for the last time yet.
        self.app.on_before_shutdown.connect(self._last_checkpoint)
        self._flows = topics.flows.name
        self._early = early
        self._early_seconds = settings.time.early_seconds
        self._heartbeat_seconds = settings.watchdog.heartbeat_seconds if durable else None
        self._patience_seconds = settings.watchdog.stalled_seconds
        self._read_to_the_end: Mapping[TP, int] = {}
        self._last_beat = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(settings.watchdog, time.monotonic())

    def not_ready(self) -> list[str]:
        """Say why the service does not work yet; nothing when it does."""
        if not self.app.started:
            return ["the service is starting"]
        if self.app.should_stop:
            return ["the service is stopping"]
        try:
            assigned = self._assigned()
        except ConsumerNotStarted:
            return ["the service is starting"]
        if not assigned:
            return [f"no partition of {' or '.join(self.watch.agents)} is assigned"]
        return [
            f"the state of {each.topic}/{each.partition} is being restored"
            for each in assigned
            if self.watch.partitions.get(each) is None
        ]

    async def __aenter__(self) -> Self:
        """Connect, start the agents, and begin to tell the sinks."""
        await self.watch.start()
        await self._start()
        self.notify.start()
        self._tasks = [asyncio.create_task(self._keep_checkpointing(), name="checkpoints")]
        if self._early:
            self._tasks.append(asyncio.create_task(self._keep_looking(), name="early looks"))
        if self._heartbeat_seconds is not None:
            self._beating = asyncio.create_task(self._keep_beating(self._heartbeat_seconds), name="heartbeats")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the agents, write what is left to write, commit, and close the sinks."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._stop_tasks()
                await self.app.stop()
                await self.watch.stop()
                await self.notify.stop()
        except TimeoutError as late:
            fail(f"the service did not stop within {STOP_SECONDS:g} s", ServiceError(f"{late!r}"))

    async def _stop_tasks(self) -> None:
        """Stop checkpoints and looks, but none in the middle: what it took, or half wrote, would be missing.

        A heartbeat is nothing to wait for: where the broker is away, it would be written for a minute.
        """
        if self._beating is not None:
            self._last_beat.set()
            await asyncio.wait({self._beating}, timeout=_LAST_BEAT_SECONDS)
            self._beating.cancel()
            await asyncio.wait({self._beating})
        async with self.watch.partitions.quiet():
            for task in self._tasks:
                task.cancel()

    async def track(self) -> None:
        """Bring the gauges that are too dear for every batch up to date, and make sure that all is well.

        Raises
        ------
        streams.errors.ServiceError
            When Faust has given up, for example because Kafka refuses its messages for good, or nothing goes on.
        """
        if self.app.crashed:
            raise ServiceError(f"the service cannot go on: {self.app.crash_reason!r}; start it again")
        # Threads that hang must not keep the watchdog from its round.
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.watch.track(self._read_to_the_end)

    async def retune(self, settings: Settings, sinks: SinkChange) -> None:
        """Apply what of the settings applies to a running service, see `streams.reload`, and change its sinks."""
        try:
            await self.watch.retune(settings)
            await self.notify.change(sinks)
        except Exception as error:  # noqa: BLE001 - some may have been told what others were not
            fail("settings could not be applied", error)

    async def require_progress(self) -> None:
        """End the process when there has been something to read for long, and nothing was read."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                progress, waiting = await self._progress()
        except (KafkaError, TimeoutError):
            progress, waiting = self.watch.progress, None
        wrong = self._watchdog.look(now=time.monotonic(), progress=progress, waiting=waiting)
        if wrong is not None:
            fail("the watchdog found that nothing goes on", ServiceError(wrong))

    async def _start(self) -> None:
        """Start Faust; where its consumer gives up without a word, it would never be done."""
        starting = asyncio.create_task(self.app.start(), name="start")
        while not starting.done():
            await asyncio.wait({starting}, timeout=self._patience_seconds)
            # How long restoring may take is not for the watchdog to say.
            if not starting.done() and not self.watch.partitions.is_taking_over:
                late = f"it did not start within {self._patience_seconds:g} s; see above what Kafka's client says of it"
                fail("the watchdog found that nothing goes on", ServiceError(late))
        try:
            await starting
        except KafkaError as error:
            fail("the service cannot start", ServiceError(f"the broker went away: {error}"))

    async def _progress(self) -> tuple[int, int | None]:
        """Return a number that changes with progress, and how many messages are waiting; None where nobody says."""
        if self.app.rebalancing:
            return self.watch.progress, None
        assigned = self._assigned()
        if not assigned:
            # Somebody else ought to read then, and whoever does commits.
            others = await self._progress_of_the_group(TP(self._flows, 0))
            self._show_lag({})
            return others
        waiting, ends = {}, {}
        for each in assigned:
            # How long restoring may take is not for the watchdog to say.
            if self.watch.partitions.get(each) is not None:
                position = self.watch.partitions.expected(each)
                if position is None:
                    position = await cast("BatchingConsumer", self.app.consumer).committed(each)
                if position is None:
                    position = int((await self.app.consumer.earliest_offsets(each))[each])
                waiting[each] = await self._behind(each, position)
                if waiting[each] <= 0:
                    ends[each] = position
        self._read_to_the_end = ends
        self._show_lag(waiting)
        return self.watch.progress, sum(waiting.values())

    def _show_lag(self, waiting: Mapping[TP, int]) -> None:
        now = time.time()
        self.metrics.beat("read", now)
        self.metrics.lag(
            {
                f"{each.topic}/{each.partition}": (behind, self.watch.caught_up(each) if behind else now)
                for each, behind in waiting.items()
            }
        )

    async def _progress_of_the_group(self, partition: TP) -> tuple[int, int]:
        committed = await cast("BatchingConsumer", self.app.consumer).committed(partition)
        return committed or 0, await self._behind(partition, committed)

    async def _behind(self, partition: TP, position: int | None) -> int:
        begin = position if position is not None else (await self.app.consumer.earliest_offsets(partition))[partition]
        end = int((await self.app.consumer.highwaters(partition))[partition])
        # The log may end with what is no record, as the mark behind a transaction.
        return end - cast("BatchingConsumer", self.app.consumer).behind_gap(partition, int(begin))

    def _assigned(self) -> list[TP]:
        return sorted(each for each in self.app.consumer.assignment() if each.topic in self.watch.agents)

    async def _keep_checkpointing(self) -> None:
        try:
            while True:
                await asyncio.sleep(_CHECKPOINT_SECONDS)
                await self.watch.partitions.checkpoint_if_due()
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, and nothing may be committed any more
            fail("a checkpoint failed", error)

    async def _keep_looking(self) -> None:
        try:
            begun, busy = time.monotonic(), self.watch.busy_seconds
            while True:
                last, before, begun, busy = begun, busy, time.monotonic(), self.watch.busy_seconds
                await self.watch.look()
                idle = 1 - (busy - before) / max(begun - last, self._early_seconds)
                await asyncio.sleep(max(self._early_seconds, looking_pause(time.monotonic() - begun, idle)))
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, and what it said may be lost
            fail("looking at open panes failed", error)

    async def _keep_beating(self, pause_seconds: float) -> None:
        try:
            pause = 0.0
            while not await stopped(self._last_beat, pause):
                sent = await self.watch.beat()
                pause = pause_seconds if sent else min(pause_seconds, _CHECKPOINT_SECONDS)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, and whoever cannot write says nothing else
            fail("a heartbeat could not be written", error)

    async def _last_checkpoint(self, *_: Any, **__: Any) -> None:
        try:
            await self.watch.partitions.checkpoint()
        except FencedError as error:
            # Whoever has taken it over meanwhile goes on from the checkpoint before: nothing is lost by stopping.
            log.info("stopping without a last checkpoint", reason=str(error))
        except Exception as error:  # noqa: BLE001 - Faust would only log it
            fail("the last checkpoint failed", error)

    def _agent(self, topic: str, name: str, run: Callable[[faust.StreamT[Any]], Awaitable[None]]) -> None:
        async def guarded(stream: faust.StreamT[Any]) -> None:
            try:
                await run(stream)
            except _TOLD as error:
                fail(f"the {name} agent cannot go on", error)
            except Exception as error:  # noqa: BLE001 - Faust would acknowledge the event and go on without it
                fail(f"the {name} agent met an error nobody expected", error)

        self.app.agent(self.app.topic(topic), name=name, concurrency=1)(guarded)


def fail(what: str, error: Exception) -> NoReturn:
    """End the process at once, before anything more can be acknowledged; whoever supervises it starts it again.

    Parameters
    ----------
    what
        What happened.
    error
        Why. One that people can do something about is told in a line, any other with its traceback.
    """
    expected = isinstance(error, _TOLD)
    sys.stderr.write(f"flowhawk: {what}{f': {error}' if expected else ''}; stopping, nothing of it was acknowledged\n")
    if not expected:
        traceback.print_exception(error)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(FAILED)


async def stopped(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer; say whether it came."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
