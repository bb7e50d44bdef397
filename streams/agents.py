"""The agents: they carry messages to the stages and what comes out to the topics, and decide nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, NoReturn

import faust
from faust.types import TP

from detectors.finding import Finding
from detectors.statistics.sizes import Size
from streams.dead_letters import dead_letters, late_blocks
from streams.heartbeat import heartbeat
from streams.metrics import STATE_PARTS, Metrics
from streams.output import ProducerRecord
from streams.partitions import Owned, Partitions
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Decoded, decode_all
from streams.records.message_columns import MessageColumns
from streams.settings import Settings
from streams.traffic import Traffic, measure
from streams.transport import Fetched
from streams.tuning import matched_kinds


class Prepared(NamedTuple):
    """A batch that was decoded ahead.

    Attributes
    ----------
    batch, decoded, traffic
        Its messages, what became of them, and how much traffic they tell of.
    seconds
        How long it took to decode them.
    """

    batch: Batch
    decoded: Decoded
    traffic: Traffic
    seconds: float


class WatchAgent:
    """Reads flows, runs the stages on them, and writes findings, late and refused records.

    Parameters
    ----------
    settings, metrics
        All settings, and where to count.
    consumed
        Called with each batch once all that came of it is on its topics.
    durable
        Whether state outlives the process.
    failed
        Ends the process: called where going on would count something wrongly.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        consumed: Callable[[Batch], None],
        *,
        durable: bool,
        failed: Callable[[str, Exception], NoReturn],
    ) -> None:
        self.published = 0
        self.progress = 0
        self.busy_seconds = 0.0
        self._written: dict[TP, float] = {}
        self._topics = settings.topics
        self._records_settings, self._networks = settings.records, settings.networks
        self._metrics = metrics
        self._consumed = consumed
        # One thread: the stages are not made for two at once, and the event loop stays free meanwhile.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stages")
        # Decoding needs no state, so the next event is decoded while the stages are at this one.
        self._decoders = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")
        self.partitions = Partitions(settings, metrics, self._executor, durable=durable, failed=failed)
        metrics.suppressions(matched_kinds(settings))

    @property
    def agents(self) -> Mapping[str, str]:
        """Names of the agents, by the topic that each reads."""
        return {self._topics.flows.name: "watch"}

    async def start(self) -> None:
        """Nothing is needed before partitions are assigned."""

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Take event after event: each is acknowledged only once its outcome is safe in Kafka."""
        async for event in stream.events():
            async with self.partitions.lock:
                owned = self.partitions.get(event.message.tp)
                # What comes of a partition that was just revoked is for its next owner.
                if owned is not None:
                    await self._take(event.value, owned)

    def prepare(self, fetched: Fetched) -> "Future[Prepared] | None":
        """Begin to decode an event of flows; those of other topics are left alone."""
        if fetched.partition.topic != self._topics.flows.name:
            return None
        return self._decoders.submit(lambda: self._prepared(batch_of(fetched)))

    def _prepared(self, batch: Batch) -> "Prepared":
        begun = time.perf_counter()
        decoded = decode_all(batch.messages, self._records_settings, self._networks)
        seconds = time.perf_counter() - begun
        return Prepared(batch, decoded, measure(decoded.table), seconds)

    async def look(self) -> None:
        """Say early what open panes show, between two batches, unless a backlog is worked off."""
        async with self.partitions.lock:
            for owned in self.partitions:
                if owned.backlog.is_worked_off(owned.pipeline.pipeline.watermarks.current):
                    continue
                findings = await owned.pipeline.look(partial(self._write_findings, owned))
                self._metrics.told(findings)
                self.published += len(findings)

    async def beat(self) -> bool:
        """Send a heartbeat on the way of findings, from the thread of the stages on; say whether there is a way."""
        loop = asyncio.get_running_loop()
        async with self.partitions.lock:
            several = list(self.partitions)
            for owned in several:
                now = await loop.run_in_executor(self._executor, time.time)
                await owned.output.write([heartbeat(self._topics.findings.name, now)])
        return bool(several)

    async def retune(self, settings: Settings) -> None:
        """Take other parameters, modes and suppressions, between two batches."""
        async with self.partitions.lock:
            self.partitions.settings = settings
            self._metrics.suppressions(matched_kinds(settings))
            for owned in self.partitions:
                outcome = await owned.pipeline.retune(settings, partial(self._write_findings, owned))
                self._metrics.told(outcome.findings)
                self._metrics.suppressed(outcome.suppressed)
                self.published += len(outcome.findings)

    async def _write_findings(self, owned: Owned, findings: Sequence[Finding]) -> None:
        await owned.output.write([*self._findings(findings)])

    async def track(self, ends: Mapping[TP, int]) -> None:
        """Say what is kept now, between two batches: the stages change what is counted. Threads say that they live.

        Parameters
        ----------
        ends
            Where the partitions end of which everything is read.
        """
        del ends
        loop = asyncio.get_running_loop()
        pipelines = [owned.pipeline.pipeline for owned in self.partitions]
        kept = await loop.run_in_executor(self._executor, _kept, pipelines)
        self._metrics.tracked(hosts=kept.hosts, open_findings=kept.findings, state=kept.state)
        self._metrics.beat("judge", kept.now)
        self._metrics.beat("decode", await loop.run_in_executor(self._decoders, time.time))

    def caught_up(self, partition: TP) -> float | None:
        """Say when the last message that was processed was written, epoch seconds; None where nobody knows."""
        return self._written.get(partition)

    async def stop(self) -> None:
        """Let go of the partitions and the threads."""
        await self.partitions.close()
        for executor in (self._executor, self._decoders):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _take(self, fetched: Fetched, owned: Owned) -> None:
        prepared: Prepared = await asyncio.wrap_future(fetched.prepared)
        everything = prepared.batch
        batch = everything.since(owned.pipeline.expected or everything.begin)
        self._metrics.replayed(len(everything.messages) - len(batch.messages))
        if batch.begin < batch.end:
            if batch is not everything:
                prepared = await asyncio.get_running_loop().run_in_executor(self._decoders, self._prepared, batch)
            begun = time.perf_counter()
            outcome = await owned.pipeline.process(
                batch,
                lambda outcome: owned.output.write([*self._records(outcome, batch, fetched.partition)]),
                prepared.decoded,
            )
            seconds = time.perf_counter() - begun
            self.busy_seconds += seconds
            outcome.seconds["decode"] = prepared.seconds
            self._metrics.observe(
                outcome,
                messages=len(batch.messages),
                size=batch.bytes,
                seconds=seconds,
                now=time.time(),
            )
            self._metrics.traffic(prepared.traffic)
            self.published += len(outcome.findings)
            self.progress = batch.end
            if fetched.written is not None:
                self._written[fetched.partition] = fetched.written
        self._consumed(everything)
        await owned.pipeline.checkpoint_if_due()

    def _records(self, outcome: Outcome, batch: Batch, partition: TP) -> Iterator[ProducerRecord]:
        topics = self._topics
        yield from self._findings(outcome.findings)
        for value, headers in late_blocks(outcome.late):
            yield ProducerRecord(topics.flows_late.name, value, headers=headers)
        refused = dead_letters(outcome.refused, partition.topic, partition.partition, batch.offsets.tolist())
        for value, headers in refused:
            yield ProducerRecord(topics.flows_dead_letter.name, value, headers=headers)

    def _findings(self, findings: Iterable[Finding]) -> Iterator[ProducerRecord]:
        for finding in findings:
            yield ProducerRecord(self._topics.findings.name, finding.model_dump_json().encode(), finding.id.encode())


def batch_of(fetched: Fetched) -> Batch:
    """Make a batch for the stages of what was fetched."""
    records = fetched.records
    source = f"{fetched.partition.topic}/{fetched.partition.partition}"
    return Batch(source, MessageColumns(records), records.offsets, fetched.begin, fetched.end)


class _Kept(NamedTuple):
    hosts: int
    findings: Mapping[tuple[str, str], int]
    state: Mapping[str, Size]
    now: float


def _kept(pipelines: Sequence[Pipeline]) -> _Kept:
    findings = Counter[tuple[str, str]]()
    for each in pipelines:
        findings += each.incidents.open_by_kind
    state = {part: Size.total(each.watch.parts[part].size for each in pipelines) for part in STATE_PARTS}
    return _Kept(sum(each.watch.hosts for each in pipelines), findings, state, time.time())
