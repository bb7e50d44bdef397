"""The life of the service: start, run, stop, and fail loudly."""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

import faust
from faust.exceptions import ConsumerNotStarted

from streams.agents import NotifyAgent, WatchAgent
from streams.app import build
from streams.errors import ServiceError
from streams.metrics import Metrics
from streams.pipeline import Batch
from streams.settings import Settings
from streams.sinks import Sink

FAILED: Final = 70
"""Exit status of a process that met an error nobody expected (`EX_SOFTWARE` of sysexits.h)."""


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
    """

    def __init__(
        self, settings: Settings, sinks: Sequence[Sink], consumed: Callable[[Batch], None] = lambda _: None
    ) -> None:
        self.metrics = Metrics()
        self._sinks = sinks
        topics = settings.topics
        self.app = build(settings.kafka, frozenset({topics.flows.name, topics.findings.name}))
        self.watch = WatchAgent(self.app, settings, self.metrics, consumed)
        self.notify = NotifyAgent(sinks)
        self._agent(topics.flows.name, "watch", self.watch.run)
        self._agent(topics.findings.name, "notify", self.notify.run)
        self._flows = topics.flows.name

    def not_ready(self) -> list[str]:
        """Say why the service does not work yet; nothing when it does."""
        if not self.app.started:
            return ["the service is starting"]
        if self.app.should_stop:
            return ["the service is stopping"]
        try:
            assigned = {partition.topic for partition in self.app.consumer.assignment()}
        except ConsumerNotStarted:
            return ["the service is starting"]
        return [] if self._flows in assigned else [f"no partition of {self._flows} is assigned"]

    async def __aenter__(self) -> Self:
        """Connect and start the agents."""
        await self.app.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the agents, commit, and close the sinks."""
        await self.app.stop()
        self.watch.stop()
        for sink in self._sinks:
            await sink.close()

    async def track(self) -> None:
        """Bring the gauges that are too dear for every batch up to date, and make sure that all is well.

        Raises
        ------
        streams.errors.ServiceError
            When Faust has given up, for example because Kafka refuses its messages for good.
        """
        if self.app.crashed:
            raise ServiceError(f"the service cannot go on: {self.app.crash_reason!r}; start it again")
        self.metrics.tracked(hosts=await self.watch.hosts(), open_findings=self.watch.pipeline.incidents.open)

    def _agent(self, topic: str, name: str, run: Callable[[faust.StreamT[Any]], Awaitable[None]]) -> None:
        async def guarded(stream: faust.StreamT[Any]) -> None:
            try:
                await run(stream)
            except Exception:  # noqa: BLE001 - Faust would acknowledge the event and go on without it
                fail(f"the {name} agent met an error nobody expected")

        self.app.agent(self.app.topic(topic), name=name, concurrency=1)(guarded)


def fail(message: str) -> None:
    """End the process at once, before anything more can be acknowledged; whoever supervises it starts it again."""
    sys.stderr.write(f"flowhawk: {message}; stopping, nothing of it was acknowledged\n")
    traceback.print_exc()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(FAILED)


async def stopped(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer; say whether it came."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
