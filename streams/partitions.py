"""The partitions of flows that this worker has: what it takes to work on one, from assignment to revocation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams import published
from streams.checkpoint import CheckpointError, Checkpoints
from streams.connecting import connect
from streams.durable import NOTHING, DurablePipeline
from streams.kafka_settings import KafkaSettings, asyncio_arguments
from streams.kafka_storage import KafkaStorage
from streams.looking import Backlog
from streams.metrics import Metrics
from streams.output import Output, fenced
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.transport import Positions

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Owned:
    """A partition that this worker has.

    Attributes
    ----------
    pipeline
        The stages with their state.
    output
        Where what they say goes.
    storage
        Where the checkpoints are; None where there are none.
    backlog
        Tells whether open panes are worth a look.
    """

    pipeline: DurablePipeline
    output: Output
    storage: KafkaStorage | None = None
    backlog: Backlog = field(default_factory=Backlog)

    async def close(self) -> None:
        """Let go of it."""
        await self.pipeline.abandon()
        if self.storage is not None:
            await self.storage.close()
        await self.output.close()


class Partitions(Positions):
    """Takes partitions over and lets go of them, never while something is done to their state.

    Parameters
    ----------
    settings, metrics
        All settings, and where to count.
    executor
        The one thread of the stages.
    durable
        Whether state is checkpointed and what is written is fenced. An embedded broker can do neither.
    failed
        Ends the process when a partition cannot be taken over.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        executor: Executor,
        *,
        durable: bool,
        failed: Callable[[str, Exception], NoReturn],
    ) -> None:
        self.lock = asyncio.Lock()
        """Held by whoever works with the state of a partition."""
        self.settings = settings
        """What partitions that are taken over from now on go by."""
        self._metrics = metrics
        self._executor = executor
        self._durable = durable
        self._failed = failed
        self._owned: dict[TP, Owned] = {}

    def __iter__(self) -> Iterator[Owned]:
        """Go through what is owned now."""
        return iter(list(self._owned.values()))

    def get(self, partition: TP) -> Owned | None:
        """Return a partition, if it is owned."""
        return self._owned.get(partition)

    def expected(self, partition: TP) -> int | None:
        """Return the offset that must come next in a partition; None where nothing came yet, or it is not owned."""
        return self.position(partition)

    @property
    def is_taking_over(self) -> bool:
        """Whether a partition is being taken over, or worked on."""
        return self.lock.locked()

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """See to it that nobody works with any state meanwhile."""
        async with self.lock:
            yield

    async def assigned(self, partition: TP) -> None:
        """Shut out whoever had the partition before, and take up the state it left."""
        if partition.topic != self.settings.topics.flows.name:
            return
        async with self.lock:
            if partition in self._owned:
                return
            owned = self._make(partition)
            try:
                await self._take_over(partition, owned)
            except BaseException as error:
                await owned.close()
                if isinstance(error, Exception):
                    self._failed(f"{_name(partition)} cannot be taken over", error)
                raise
            self._owned[partition] = owned

    async def revoked(self, partition: TP) -> None:
        """Drop the state: others go on from the last checkpoint. What is in memory only has no others."""
        if self._durable:
            await self._let_go(partition)

    def position(self, partition: TP) -> int | None:
        """Return the offset that the state expects next; offsets of the group are advisory."""
        owned = self._owned.get(partition)
        return None if owned is None else owned.pipeline.expected

    def committable(self, partition: TP) -> int | None:
        """Return the offset behind the last durable checkpoint."""
        if partition.topic != self.settings.topics.flows.name or not self._durable:
            return None
        owned = self._owned.get(partition)
        return NOTHING if owned is None else owned.pipeline.committable

    async def checkpoint_if_due(self) -> None:
        """Begin the checkpoints that are due, also while nothing comes in."""
        async with self.lock:
            for owned in self:
                await owned.pipeline.checkpoint_if_due()

    async def checkpoint(self) -> None:
        """Write a checkpoint of everything and wait until it is durable."""
        async with self.lock:
            for owned in self:
                await owned.pipeline.checkpoint()

    async def close(self) -> None:
        """Let go of everything."""
        for partition in list(self._owned):
            await self._let_go(partition)

    async def _let_go(self, partition: TP) -> None:
        async with self.lock:
            owned = self._owned.pop(partition, None)
            if owned is not None:
                await owned.close()
                log.info("let go", source=_name(partition))

    def _make(self, partition: TP) -> Owned:
        kafka, source = self.settings.kafka, _name(partition)
        output = fenced(kafka, source) if self._durable else Output(kafka)
        storage = checkpoints = None
        if self._durable:
            storage = KafkaStorage(kafka, self.settings.topics.state.name, partition.partition, source, output)
            checkpoints = Checkpoints(storage)
        pipeline = DurablePipeline(
            source,
            Pipeline(self.settings),
            checkpoints,
            settings=self.settings.checkpoints,
            metrics=self._metrics,
            executor=self._executor,
        )
        return Owned(pipeline, output, storage)

    async def _take_over(self, partition: TP, owned: Owned) -> None:
        log.info("taking over", source=_name(partition))
        # The order matters: once others are shut out, what is stored cannot change any more.
        await owned.output.start()
        await owned.pipeline.restore()
        if self._durable:
            settings = self.settings
            await owned.pipeline.adopt(await published.provisional(settings.kafka, settings.topics.findings.name))
        if owned.pipeline.expected is not None:
            await require_in_log(self.settings.kafka, partition, owned.pipeline.expected)
        log.info("took over", source=_name(partition), offset=owned.pipeline.expected)


async def require_in_log(kafka: KafkaSettings, partition: TP, offset: int) -> None:
    """Refuse to go on from an offset that the log does not have: records would be left out, or taken for others.

    Raises
    ------
    streams.checkpoint.CheckpointError
        When it does not, or the broker does not say.
    """
    begin, end = await bounds(kafka, partition)
    if not begin <= offset <= end:
        raise CheckpointError(
            f"the last checkpoint of {_name(partition)} goes on at offset {offset}, and the log holds {begin} to "
            f"{end}: records were deleted before they were counted, or the topic was made anew; "
            "begin anew without state (docs/runbooks/FlowhawkRestarting.md)"
        )


async def bounds(kafka: KafkaSettings, partition: TP) -> tuple[int, int]:
    """Return where the log of a partition begins, and where it ends now.

    Raises
    ------
    streams.checkpoint.CheckpointError
        When the broker does not say.
    """
    consumer = AIOKafkaConsumer(**asyncio_arguments(kafka), enable_auto_commit=False)
    asked = TopicPartition(*partition)
    try:
        await connect(consumer)
        begin = (await consumer.beginning_offsets([asked]))[asked]
        end = (await consumer.end_offsets([asked]))[asked]
    except KafkaError as error:
        raise CheckpointError(f"the broker does not say where {_name(partition)} begins and ends: {error}") from error
    finally:
        await consumer.stop()
    return begin, end


def _name(partition: TP) -> str:
    return f"{partition.topic}/{partition.partition}"
