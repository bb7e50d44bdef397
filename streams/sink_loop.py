"""The life of one sink: read, deliver, remember how far; again and again, whatever happens to the sink."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from detectors.finding import Finding
from streams.findings_reader import FindingsReader, Read
from streams.metrics import Metrics
from streams.sinks import Delivery, Sink

log = structlog.get_logger(__name__)

DELIVERY_SECONDS: Final = 60.0
"""How long a delivery may take before it counts as failed."""

FIRST_PAUSE_SECONDS: Final[float] = 0.5
LONGEST_PAUSE_SECONDS: Final[float] = 60.0

_LAG_SECONDS: Final = 5.0
_FINISH_SECONDS: Final = 3.0
"""How long a delivery that is under way may go on when the service stops."""


def pause_seconds(failures: int, chance: float) -> float:
    """Say how long to wait after so many failures in a row: twice as long each time, up to a minute.

    Parameters
    ----------
    failures
        How many there were, at least 1.
    chance
        From 0 to 1; of the pause, a half is fixed and this part of the other half is added, so that many who wait
        for the same do not come back all at once.

    Examples
    --------
    >>> [pause_seconds(failures, 1) for failures in (1, 2, 3, 20)], pause_seconds(1, 0)
    ([0.5, 1.0, 2.0, 60.0], 0.25)
    """
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_SECONDS)
    return longest * (1 + chance) / 2


class SinkLoop:
    """Tells one sink of all findings, in order, each at least once.

    Parameters
    ----------
    sink
        Who is told.
    reader
        Reads the topic for it.
    metrics
        Where to count.
    """

    def __init__(self, sink: Sink, reader: FindingsReader, metrics: Metrics) -> None:
        self.handled = 0
        """Findings that are done with, one way or another."""
        self.sink = sink
        self._reader = reader
        self._metrics = metrics
        self._failures = 0
        self._lag_due = 0.0
        self._busy = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"sink {self.sink.name}")

    async def stop(self) -> None:
        """End, after the delivery that is under way if it takes no longer than a moment, and close the sink."""
        self._stopping = True
        if self._task is not None:
            if self._busy:
                await asyncio.wait({self._task}, timeout=_FINISH_SECONDS)
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._reader.close()
        await self.sink.close()

    async def _run(self) -> None:
        started = False
        while not self._stopping:
            try:
                if not started:
                    await self.sink.start()
                    started = True
                if not self._reader.is_open:
                    await self._reader.open()
                await self._next()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a sink is its own affair
                await self._reader.close()
                await self._failed("findings cannot be read for a sink, trying again", error)

    async def _next(self) -> None:
        read = await self._reader.read()
        if read.anew and self.sink.replays:
            await self.sink.restart()
        if read.ends:
            self._busy = True
            try:
                await self._handle(read)
            finally:
                self._busy = False
        elif self._failures:
            self._recovered()
        if read.caught_up:
            await self.sink.caught_up()
        self._metrics.put("flowhawk_sink_heartbeat_timestamp_seconds", time.time(), self.sink.name)
        if time.monotonic() >= self._lag_due:
            await self._measure_lag()

    async def _handle(self, read: Read) -> None:
        findings = heard(self.sink, read.findings)
        if findings and not await self._deliver(findings, read):
            return
        await self._reader.done(read)
        if read.beat is not None:
            self._metrics.put("flowhawk_sink_arrived_heartbeat_timestamp_seconds", read.beat, self.sink.name)
        self.handled += len(read.findings)

    async def _deliver(self, findings: Sequence[Finding], read: Read) -> bool:
        """Offer findings until they are taken or hopeless; False when they are not this worker's any more."""
        while self._reader.is_current(read):
            delivery = await self._offer(findings)
            if delivery is Delivery.DELIVERED:
                self._delivered(len(findings))
                return True
            if delivery is Delivery.HOPELESS:
                return await self._pass_over(findings, read)
            await self._failed("a sink does not take findings, trying again")
            if self._stopping:
                return False
        return False

    async def _pass_over(self, findings: Sequence[Finding], read: Read) -> bool:
        """Let go of a finding that is hopeless; of several, find out which."""
        if len(findings) > 1:
            half = len(findings) // 2
            return await self._deliver(findings[:half], read) and await self._deliver(findings[half:], read)
        self._metrics.add("flowhawk_sink_hopeless_total", 1, self.sink.name)
        log.error("a sink refused a finding for good", sink=self.sink.name, finding=findings[0].id)
        return True

    async def _offer(self, findings: Sequence[Finding]) -> Delivery:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                return await self.sink.deliver(findings)
        except TimeoutError:
            log.warning("a sink took too long", sink=self.sink.name, seconds=DELIVERY_SECONDS)
        except Exception as error:
            log.exception("a sink met an error nobody expected", sink=self.sink.name, error=repr(error))
        finally:
            self._metrics.timing("flowhawk_sink_delivery_seconds", self.sink.name).observe(time.monotonic() - begun)
        return Delivery.RETRY

    async def _failed(self, event: str, error: Exception | None = None) -> None:
        """Count, say so, and wait; longer each time."""
        self._failures += 1
        self._metrics.add("flowhawk_sink_failures_total", 1, self.sink.name)
        pause = pause_seconds(self._failures, random.random())  # noqa: S311 - no secret
        said = {} if error is None else {"error": repr(error)}
        log.warning(event, sink=self.sink.name, seconds=round(pause, 1), failures=self._failures, **said)
        busy, self._busy = self._busy, False
        await asyncio.sleep(0 if self._stopping else pause)
        self._busy = busy
        with suppress(Exception):
            await self._measure_lag()

    def _delivered(self, count: int) -> None:
        self._metrics.add("flowhawk_sink_delivered_total", count, self.sink.name)
        self._metrics.put("flowhawk_sink_last_success_timestamp_seconds", time.time(), self.sink.name)
        if self._failures:
            self._recovered()

    def _recovered(self) -> None:
        log.info("all is well again with a sink", sink=self.sink.name, failures=self._failures)
        self._failures = 0

    async def _measure_lag(self) -> None:
        self._lag_due = time.monotonic() + _LAG_SECONDS
        try:
            async with asyncio.timeout(_LAG_SECONDS):
                self._metrics.put("flowhawk_sink_lag", await self._reader.lag(), self.sink.name)
        except (KafkaError, TimeoutError):
            # Whoever cannot be asked is noticed when it is read from.
            return


def heard(sink: Sink, findings: Sequence[Finding]) -> Sequence[Finding]:
    """Leave out what a sink is not told: findings of detectors that only observe."""
    return findings if sink.hears_observed else [finding for finding in findings if not finding.observed]
