"""The watch stage of one partition of hosts as a service: counts, answers, speaks early, and is checkpointed."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace

from faust.types import TP

from detectors.finding import Detection
from detectors.route import Part
from detectors.table import Table
from streams.by_host.blocks import Block, decode
from streams.by_host.commands import ANSWER, EARLY, REACHED, Command, Reached, messages, together
from streams.by_host.roles import Role, Worker, prepared
from streams.by_host.shard import Shard
from streams.checkpoint import Checkpoints
from streams.dead_letters import late_blocks
from streams.durable import Durable
from streams.errors import ServiceError
from streams.kafka_storage import KafkaStorage, state_partition
from streams.looking import Backlog
from streams.output import ProducerRecord, fenced
from streams.partitions import require_in_log
from streams.pipeline import Outcome
from streams.transport import Fetched

Blocks = list[tuple[int, Block]]
"""Blocks with their offsets."""


def read(fetched: Fetched) -> Blocks:
    """Read the blocks of an event."""
    return [(record.offset, decode(record.value, record.said)) for record in fetched.records]


class Watcher(Role):
    """Has one partition of hosts."""

    def __init__(self, worker: Worker, partition: TP) -> None:
        super().__init__(worker, partition)
        settings = worker.settings
        self._output = fenced(settings.kafka, self.name)
        self._storage = KafkaStorage(
            settings.kafka,
            settings.topics.state.name,
            state_partition(partition.partition, worker.state_partitions),
            self.name,
            self._output,
        )
        self.shard = Shard(settings, Part(partition.partition, worker.parts), worker.sources)
        self._durable = Durable(
            self.name,
            self.shard,
            Checkpoints(self._storage),
            settings=settings.checkpoints,
            metrics=worker.metrics,
            executor=worker.stages,
        )
        self._session = uuid.uuid4().hex
        self._told: Reached | None = None
        self._backlog = Backlog()
        self.busy_seconds = 0.0

    @property
    def expected(self) -> int | None:
        """The offset that must come next; None where nothing was counted yet."""
        return self._durable.expected

    @property
    def committable(self) -> int | None:
        """Offset behind the last durable checkpoint."""
        return self._durable.committable

    async def start(self) -> None:
        """Shut out whoever had the partition before, take up its state, and say how far that is."""
        await self._output.start()
        await self._durable.restore()
        if self.expected is not None:
            await require_in_log(self.worker.settings.kafka, self.partition, self.expected)
        async with self.lock:
            await self._tell(anew=True)

    async def take(self, fetched: Fetched) -> None:
        """Count blocks, and say how far that leads."""
        several: Blocks = await prepared(fetched)
        async with self.lock:
            begun = time.perf_counter()
            if self.expected is not None and fetched.begin > self.expected:
                raise ServiceError(f"{self.name}: blocks from {self.expected} up to {fetched.begin} are missing")
            expected = self.expected or 0
            fresh = [block for offset, block in several if offset >= expected]
            self.worker.metrics.replayed(len(several) - len(fresh))
            if fetched.end <= expected:
                return
            size = int(fetched.records.sizes.sum())
            outcome = Outcome()
            with outcome.timed("count"):
                late = await self._durable.work(
                    lambda: self.shard.apply(fresh, fetched.end), self._write_late, size=size
                )
            await self._obey(())
            await self._tell()
            await self._durable.checkpoint_if_due()
        outcome.late, outcome.watermark = late, self.shard.watermarks.current
        outcome.evicted = self.shard.evicted()
        seconds = time.perf_counter() - begun
        self.busy_seconds += seconds
        self.worker.metrics.add("flowhawk_block_rows_total", sum(len(each.table) for each in fresh))
        self.worker.metrics.observe(outcome, messages=0, size=0, seconds=seconds, now=time.time())

    async def hear(self, commands: Sequence[Command]) -> None:
        """Obey whoever judges, now or as soon as event time has come that far."""
        async with self.lock:
            begun = time.perf_counter()
            await self._obey(commands)
            self.busy_seconds += time.perf_counter() - begun

    async def tell(self) -> None:
        """Say how far this partition has come, to whoever has just begun to listen."""
        async with self.lock:
            if not self.is_over:
                await self._tell(anew=True)

    async def look(self) -> None:
        """Say early what open panes show, unless a backlog is worked off."""
        async with self.lock:
            if self.is_over or self._backlog.is_worked_off(self.shard.watermarks.current):
                return
            found = await self._durable.work(self.shard.look, self._write_early)
        self.worker.metrics.add("flowhawk_detections_total", len(found))

    async def retune(self) -> None:
        """Take the settings of the worker as they are now."""
        async with self.lock:
            await self._durable.work(lambda: self.shard.retune(self.worker.settings), _nothing)

    async def checkpoint_if_due(self) -> None:
        """Begin a checkpoint when it is time."""
        await self._durable.checkpoint_if_due()

    async def checkpoint(self) -> None:
        """Write a checkpoint and wait until it is durable."""
        await self._durable.checkpoint()

    async def close(self) -> None:
        """Let go of the partition."""
        await self._durable.abandon()
        await self._storage.close()
        await self._output.close()

    async def _obey(self, commands: Sequence[Command]) -> None:
        topic, about = self.worker.settings.topics.partials.name, f"{self._session}/{self.shard.part.number}"

        def obey() -> list[ProducerRecord]:
            answers = self.shard.obey(commands)
            return messages(topic, ANSWER, about, together(answers)) if answers else []

        await self._durable.work(obey, self.worker.said.write)

    async def _tell(self, *, anew: bool = False) -> None:
        reached = await self._durable.work(lambda: self.shard.reached, _nothing)
        known = self._told
        if not anew and known is not None and reached.watermark == known.watermark:
            return
        safe = self.shard.stored_until(self._durable.committable or 0)
        self._told = reached = replace(reached, session=self._session, safe=safe, generation=self._durable.generation)
        topic = self.worker.settings.topics.partials.name
        await self.worker.said.write(messages(topic, REACHED, str(reached.part.number), reached.body))

    async def _write_late(self, late: Table) -> None:
        topic = self.worker.settings.topics.flows_late.name
        await self._output.write(
            [ProducerRecord(topic, value, headers=headers) for value, headers in late_blocks(late)]
        )

    async def _write_early(self, detections: Sequence[Detection]) -> None:
        if detections:
            body = json.dumps([each.model_dump(mode="json") for each in detections]).encode()
            topic = self.worker.settings.topics.partials.name
            await self.worker.said.write(messages(topic, EARLY, str(self.shard.part.number), body))


async def _nothing(_: object) -> None:
    """Write nothing."""
