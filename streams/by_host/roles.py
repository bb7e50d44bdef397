"""What a worker does with each partition that it has, from assignment to revocation."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import structlog
from faust.types import TP

from streams.durable import NOTHING
from streams.metrics import Metrics
from streams.output import Output
from streams.settings import Settings
from streams.transport import Fetched, Positions

log = structlog.get_logger(__name__)

SomeRole = TypeVar("SomeRole", bound="Role")


@dataclass(slots=True)
class Worker:
    """What all roles of a worker share.

    Attributes
    ----------
    settings
        All settings, as they are now.
    metrics
        Where to count.
    stages, judges
        Threads: of the stages, and of whoever judges, who waits for what the stages of others say.
    said
        Writes what needs no fence, as whoever reads it sees by itself what is out of date.
    parts, state_partitions
        How many partitions there are of hosts, and of the state topic.
    sources
        Names of the partitions of flows.
    failed
        Ends the process: called where going on would count something wrongly.
    """

    settings: Settings
    metrics: Metrics
    stages: Executor
    judges: Executor
    said: Output
    parts: int
    state_partitions: int
    sources: Sequence[str]
    failed: Callable[[str, Exception], NoReturn]


class Role(ABC):
    """What is done with one partition of a topic.

    Parameters
    ----------
    worker
        What it shares with others.
    partition
        The partition.
    """

    def __init__(self, worker: Worker, partition: TP) -> None:
        self.worker = worker
        self.partition = partition
        self.lock = asyncio.Lock()
        """Held by whoever works with the state of this role."""
        self.is_over = False
        """Whether the partition was let go: whoever waited for the lock meanwhile has nothing to do any more."""

    @property
    def name(self) -> str:
        """Name of the partition, as in the log."""
        return f"{self.partition.topic}/{self.partition.partition}"

    @property
    @abstractmethod
    def expected(self) -> int | None:
        """The offset that must come next; None where the group says."""

    @property
    def committable(self) -> int | None:
        """Offset to commit up to; None for all that is acknowledged."""
        return None

    @abstractmethod
    async def start(self) -> None:
        """Shut out whoever had the partition before, and take up the state it left."""

    @abstractmethod
    async def take(self, fetched: Fetched) -> None:
        """Do what is to be done with messages, which are acknowledged once this returns."""

    async def checkpoint_if_due(self) -> None:
        """Begin a checkpoint when it is time, where there is a state."""
        return

    async def checkpoint(self) -> None:
        """Write a checkpoint and wait until it is durable, where there is a state."""
        return

    @abstractmethod
    async def close(self) -> None:
        """Let go of the partition."""


class Roles(Positions):
    """The roles of a worker: one for each partition that it has.

    Parameters
    ----------
    make
        Makes a role of a partition; None where the topic is none of its.
    failed
        Ends the process when a partition cannot be taken over.
    """

    def __init__(
        self, make: Callable[[TP], Awaitable[Role | None]], failed: Callable[[str, Exception], NoReturn]
    ) -> None:
        self._make = make
        self._failed = failed
        self._owned: dict[TP, Role] = {}
        self._starting: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __iter__(self) -> Iterator[Role]:
        """Go through what is owned now."""
        return iter(list(self._owned.values()))

    def of(self, kind: type[SomeRole]) -> list[SomeRole]:
        """Return the roles of a kind."""
        return [each for each in self if isinstance(each, kind)]

    def get(self, partition: TP) -> Role | None:
        """Return the role of a partition, if it is owned."""
        return self._owned.get(partition)

    def expected(self, partition: TP) -> int | None:
        """Return the offset that must come next in a partition; None where it is not owned, or the group says."""
        return self.position(partition)

    @property
    def is_taking_over(self) -> bool:
        """Whether a partition is being taken over."""
        return bool(self._starting)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """See to it that nobody works with any state meanwhile."""
        async with AsyncExitStack() as stack:
            for role in self:
                await stack.enter_async_context(role.lock)
            yield

    async def assigned(self, partition: TP) -> None:
        """Take a partition over, if it is not owned already."""
        task = asyncio.current_task()
        if partition in self._owned or self._is_closed or task is None:
            return
        self._starting.add(task)
        try:
            role = await self._make(partition)
            if role is None:
                return
            log.info("taking over", source=role.name)
            await self._start(role)
            self._owned[partition] = role
            log.info("took over", source=role.name, offset=role.expected)
        finally:
            self._starting.discard(task)

    async def revoked(self, partition: TP) -> None:
        """Let go of a partition: others go on from the last checkpoint."""
        role = self._owned.pop(partition, None)
        if role is not None:
            async with role.lock:
                role.is_over = True
                await role.close()
            log.info("let go", source=role.name)

    def position(self, partition: TP) -> int | None:
        """Return the offset that the state expects next; offsets of the group are advisory."""
        role = self._owned.get(partition)
        return None if role is None else role.expected

    def committable(self, partition: TP) -> int | None:
        """Return the offset that all before is safe; None for all that is acknowledged.

        What is acknowledged while nobody has the partition came to whoever had it before, and was not worked on.
        """
        role = self._owned.get(partition)
        return NOTHING if role is None else role.committable

    async def checkpoint_if_due(self) -> None:
        """Begin the checkpoints that are due, also while nothing comes in."""
        for role in self:
            async with role.lock:
                if not role.is_over:
                    await role.checkpoint_if_due()

    async def checkpoint(self) -> None:
        """Write a checkpoint of everything and wait until it is durable."""
        for role in self:
            async with role.lock:
                if not role.is_over:
                    await role.checkpoint()

    async def close(self) -> None:
        """Let go of everything, also of what is just being taken over, and take nothing over any more."""
        self._is_closed = True
        starting = [*self._starting]
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for partition in list(self._owned):
            await self.revoked(partition)

    async def _start(self, role: Role) -> None:
        try:
            await role.start()
        except BaseException as error:
            await role.close()
            if isinstance(error, Exception):
                self._failed(f"{role.name} cannot be taken over", error)
            raise


async def prepared(fetched: Fetched) -> Any:
    """Wait for what the transport had prepared of an event."""
    return await asyncio.wrap_future(fetched.prepared)
