"""The agents: they carry messages to the stages and what comes out to the topics, and decide nothing."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
import numpy as np
import structlog
from aiokafka import ConsumerRecord
from pydantic import ValidationError

from detectors.finding import Finding
from streams.dead_letters import Outgoing, dead_letters, late_blocks
from streams.metrics import Metrics
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Message
from streams.settings import Settings
from streams.sinks import Delivery, Sink

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


class WatchAgent:
    """Reads flows, runs the stages on them, and writes findings, late and refused records.

    Parameters
    ----------
    app, settings, metrics
        Where it lives.
    consumed
        Called with each batch once all that came of it is on its topics.
    """

    def __init__(self, app: faust.App, settings: Settings, metrics: Metrics, consumed: Callable[[Batch], None]) -> None:
        self.pipeline = Pipeline(settings)
        self.published = 0
        self._metrics = metrics
        self._consumed = consumed
        self._ends: dict[str, int] = {}
        # One thread: the stages are not made for two at once, and the event loop stays free meanwhile.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stages")
        topics = settings.topics
        self._findings = app.topic(topics.findings.name)
        self._late = app.topic(topics.flows_late.name)
        self._dead_letter = app.topic(topics.flows_dead_letter.name)

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Take event after event: each is acknowledged only once its outcome is safe in Kafka."""
        async for event in stream.events():
            records: list[ConsumerRecord[bytes, bytes]] = event.value
            batch = self._batch(records)
            begun = time.perf_counter()
            outcome = await asyncio.get_running_loop().run_in_executor(self._executor, self.pipeline.process, batch)
            await self._publish(outcome, records)
            self._metrics.observe(
                outcome,
                messages=len(records),
                size=batch.bytes,
                seconds=time.perf_counter() - begun,
                now=time.time(),
            )
            self._consumed(batch)

    async def hosts(self) -> int:
        """Count the hosts that are known now, between two batches: the stages change what is counted."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: self.pipeline.watch.hosts)

    def stop(self) -> None:
        """Let go of the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _batch(self, records: Sequence["ConsumerRecord[bytes, bytes]"]) -> Batch:
        source = f"{records[0].topic}/{records[0].partition}"
        first, end = records[0].offset, records[-1].offset + 1
        # What compaction or a transaction left out does not exist: the range goes on where the last one ended.
        begin = min(self._ends.get(source, first), first)
        self._ends[source] = end
        return Batch(
            source,
            [Message(record.value or b"", dict(record.headers), record.timestamp) for record in records],
            np.array([record.offset for record in records], np.int64),
            begin,
            end,
        )

    async def _publish(self, outcome: Outcome, records: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        sends = [
            await self._findings.send(key=finding.id.encode(), value=finding.model_dump_json().encode())
            for finding in outcome.findings
        ]
        sends += await _send(self._late, late_blocks(outcome.late))
        if outcome.refused.height:
            offsets = [record.offset for record in records]
            sends += await _send(
                self._dead_letter,
                dead_letters(outcome.refused, records[0].topic, records[0].partition, offsets),
            )
        await asyncio.gather(*sends)
        self.published += len(outcome.findings)


async def _send(topic: faust.TopicT, messages: Iterable[Outgoing]) -> list[Any]:
    return [await topic.send(value=value, headers=headers) for value, headers in messages]


class NotifyAgent:
    """Reads findings and hands them to the sinks."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self.notified = 0

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Take findings as they come; a batch that a sink cannot take yet is offered again."""
        async for event in stream.events():
            records: list[ConsumerRecord[bytes, bytes]] = event.value
            findings = list(_findings(records))
            for sink in self._sinks:
                await self._deliver(sink, findings)
            self.notified += len(findings)

    async def _deliver(self, sink: Sink, findings: Sequence[Finding]) -> None:
        while (delivery := await sink.deliver(findings)) is Delivery.RETRY:
            log.warning("a sink does not take findings, trying again", sink=sink.name, seconds=_RETRY_SECONDS)
            await asyncio.sleep(_RETRY_SECONDS)
        if delivery is Delivery.HOPELESS:
            log.error("a sink refused findings for good", sink=sink.name, findings=len(findings))


def _findings(records: Iterable["ConsumerRecord[bytes, bytes]"]) -> Iterator[Finding]:
    for record in records:
        if record.value:
            try:
                yield Finding.model_validate_json(record.value)
            except ValidationError:
                where = f"{record.topic}/{record.partition} at {record.offset}"
                log.error("passed over a message that is no finding of this version", where=where)  # noqa: TRY400 - no bug
