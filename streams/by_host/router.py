"""The route stage: flows in, blocks for each partition of hosts out. It has no state."""

import time
from typing import NamedTuple

from faust.types import TP

from detectors.span import Position
from streams.agents import batch_of
from streams.by_host.blocks import headers
from streams.by_host.cuts import write
from streams.by_host.roles import Role, Worker, prepared
from streams.dead_letters import dead_letters
from streams.durable import NOTHING
from streams.output import ProducerRecord, fenced
from streams.pipeline import Batch, Outcome
from streams.records import decode_all
from streams.settings import Settings
from streams.traffic import Traffic, measure
from streams.transport import Fetched


class Routed(NamedTuple):
    """What becomes of an event of flows.

    Attributes
    ----------
    batch
        Its messages.
    outcome, traffic
        What they tell of.
    records
        What to write.
    """

    batch: Batch
    outcome: Outcome
    traffic: Traffic
    records: list[ProducerRecord]


def routed(fetched: Fetched, settings: Settings, parts: int) -> Routed:
    """Decode an event of flows and divide it among partitions of hosts: the same event gives the same, always."""
    batch, outcome = batch_of(fetched), Outcome()
    with outcome.timed("decode"):
        decoded = decode_all(batch.messages, settings.records, settings.networks)
    source = fetched.partition
    records = [
        ProducerRecord(settings.topics.flows_by_host.name, value, headers=said, partition=part)
        for part, value, said in write(batch, decoded, parts)
    ]
    refused = dead_letters(decoded.refused, source.topic, source.partition, batch.offsets.tolist())
    records += [ProducerRecord(settings.topics.flows_dead_letter.name, value, headers=said) for value, said in refused]
    statuses = decoded.table.frame["log_status"].value_counts()
    outcome.coverage = {status: count for status, count in statuses.rows() if status != "OK"}
    outcome.records, outcome.refused = len(decoded.table), decoded.refused
    return Routed(batch, outcome, measure(decoded.table), records)


class Router(Role):
    """Writes what comes of one partition of flows, in order, and all of it before anything is acknowledged.

    Whoever has had the partition before and does not know it is shut out by the transactional id; what it wrote in
    time comes once more, and is passed over by whoever counts it.
    """

    def __init__(self, worker: Worker, partition: TP) -> None:
        super().__init__(worker, partition)
        self._output = fenced(worker.settings.kafka, self.name)
        self._end: int | None = None
        self._heard = time.monotonic()
        self._is_idle = False

    @property
    def expected(self) -> int | None:
        """The offset that must come next; None where the group says."""
        return self._end

    @property
    def committable(self) -> int:
        """Offset behind what was written: what is acknowledged may have come to whoever had the partition before."""
        return self._end or NOTHING

    async def start(self) -> None:
        """Shut out whoever had the partition before."""
        await self._output.start()

    async def take(self, fetched: Fetched) -> None:
        """Write the blocks of an event."""
        begun = time.perf_counter()
        done: Routed = await prepared(fetched)
        async with self.lock:
            if self.is_over:
                return
            with done.outcome.timed("write"):
                await self._output.write(done.records)
            self._end, self._heard, self._is_idle = fetched.end, time.monotonic(), False
        self.worker.metrics.observe(
            done.outcome,
            messages=len(done.batch.messages),
            size=done.batch.bytes,
            seconds=time.perf_counter() - begun,
            now=time.time(),
        )
        self.worker.metrics.traffic(done.traffic)
        self.worker.metrics.add("flowhawk_block_bytes_total", sum(len(each.value or b"") for each in done.records))

    async def say_idle(self, end: int) -> None:
        """Let nobody wait for this source, where there has been nothing to read for long.

        Parameters
        ----------
        end
            The end of the partition, all before it being read.
        """
        async with self.lock:
            silent = time.monotonic() - self._heard
            if self.is_over or self._is_idle or silent < self.worker.settings.time.idle_seconds:
                return
            topic = self.worker.settings.topics.flows_by_host.name
            said = headers(self.name, Position(end), Position(end), idle=True)
            parts = range(self.worker.parts)
            await self._output.write([ProducerRecord(topic, b"", headers=said, partition=part) for part in parts])
            self._is_idle = True

    async def close(self) -> None:
        """Let go of the broker."""
        await self._output.close()
