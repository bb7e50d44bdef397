"""The agents of the topology by-host: route, watch and judge, each for the partitions that this worker has."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn

import faust
from faust.types import TP

from detectors.statistics.sizes import Size
from streams.by_host.commands import WHO, Command
from streams.by_host.judging import Judging
from streams.by_host.listener import Listener
from streams.by_host.roles import Role, Roles, Worker
from streams.by_host.router import Router, routed
from streams.by_host.watcher import Watcher, read
from streams.heartbeat import heartbeat
from streams.metrics import STATE_PARTS, Metrics
from streams.output import Output
from streams.settings import Settings
from streams.topics import partition_count
from streams.transport import Fetched
from streams.tuning import matched_kinds


class ByHostAgents:
    """Carries messages to the stages of this worker's partitions.

    Parameters
    ----------
    settings, metrics
        All settings, and where to count.
    failed
        Ends the process: called where going on would count something wrongly.
    """

    def __init__(self, settings: Settings, metrics: Metrics, failed: Callable[[str, Exception], NoReturn]) -> None:
        self.progress = 0
        self._settings = settings
        self._metrics = metrics
        self._failed = failed
        self._written: dict[TP, float] = {}
        self._stages = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stages")
        self._decoders = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")
        self._judges = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judging")
        self._worker: Worker | None = None
        self._listener = Listener(settings.kafka, settings.topics.questions.name, self._hear, failed)
        self.partitions = Roles(self._role, failed)
        metrics.suppressions(matched_kinds(settings))

    @property
    def agents(self) -> Mapping[str, str]:
        """Names of the agents, by the topic that each reads."""
        topics = self._settings.topics
        return {topics.flows.name: "route", topics.flows_by_host.name: "watch", topics.partials.name: "judge"}

    @property
    def published(self) -> int:
        """How many findings were published."""
        return sum(each.published for each in self.partitions.of(Judging))

    @property
    def busy_seconds(self) -> float:
        """How long records were counted."""
        return sum(each.busy_seconds for each in self.partitions.of(Watcher))

    async def start(self) -> None:
        """Find out how many partitions there are, and begin to listen."""
        settings = self._settings
        counts = await asyncio.to_thread(_partitions, settings)
        self._worker = worker = Worker(
            settings,
            self._metrics,
            self._stages,
            self._judges,
            # Whoever judges waits for each answer.
            Output(settings.kafka, linger_ms=0),
            parts=counts.hosts,
            state_partitions=counts.state,
            sources=[f"{settings.topics.flows.name}/{each}" for each in range(counts.flows)],
            failed=self._failed,
        )
        await worker.said.start()
        await self._listener.start()

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Take event after event: each is acknowledged only once its outcome is safe in Kafka."""
        async for event in stream.events():
            role = self.partitions.get(event.message.tp)
            # What comes of a partition that was just revoked is for its next owner.
            if role is not None:
                await role.take(event.value)
                self.progress += 1
                if event.value.written is not None:
                    self._written[event.message.tp] = event.value.written

    def prepare(self, fetched: Fetched) -> "Future[Any] | None":
        """Begin to decode an event while the one before it is worked on."""
        topics, topic = self._settings.topics, fetched.partition.topic
        if self._worker is None or topic == topics.partials.name:
            return None
        if topic == topics.flows.name:
            return self._decoders.submit(routed, fetched, self._settings, self._worker.parts)
        return self._decoders.submit(read, fetched)

    async def look(self) -> None:
        """Say early what open panes show."""
        for each in self.partitions.of(Watcher):
            await each.look()

    async def beat(self) -> bool:
        """Send a heartbeat on the way of findings, from the thread of the stages on; say whether there is a way."""
        judging = self.partitions.of(Judging)
        for each in judging:
            now = await asyncio.get_running_loop().run_in_executor(self._stages, time.time)
            await each.beat(heartbeat(self._settings.topics.findings.name, now))
        return bool(judging)

    async def retune(self, settings: Settings) -> None:
        """Take other parameters, modes and suppressions."""
        self._settings = settings
        if self._worker is not None:
            self._worker.settings = settings
        self._metrics.suppressions(matched_kinds(settings))
        for each in self.partitions:
            if isinstance(each, Watcher | Judging):
                await each.retune()

    async def track(self, ends: Mapping[TP, int]) -> None:
        """Say what is kept now, and of which sources nobody need wait any more.

        Parameters
        ----------
        ends
            Where the partitions end of which everything is read.
        """
        loop = asyncio.get_running_loop()
        watchers = self.partitions.of(Watcher)
        hosts, state, now = await loop.run_in_executor(self._stages, _kept, watchers)
        findings = Counter[tuple[str, str]]()
        for each in self.partitions.of(Judging):
            findings += each.verdict.incidents.open_by_kind
        self._metrics.tracked(hosts=hosts, open_findings=findings, state=state)
        self._metrics.beat("judge", now)
        self._metrics.beat("decode", await loop.run_in_executor(self._decoders, time.time))
        for router in self.partitions.of(Router):
            if router.partition in ends:
                await router.say_idle(ends[router.partition])

    def caught_up(self, partition: TP) -> float | None:
        """Say when the last message that was processed was written, epoch seconds; None where nobody knows."""
        return self._written.get(partition)

    async def stop(self) -> None:
        """Let go of the partitions, the broker and the threads."""
        await self._listener.stop()
        await self.partitions.close()
        if self._worker is not None:
            await self._worker.said.close()
        for executor in (self._stages, self._decoders, self._judges):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _hear(self, commands: Sequence[Command]) -> None:
        orders = [each for each in commands if each.kind != WHO]
        watchers = self.partitions.of(Watcher)
        if len(orders) < len(commands):
            await asyncio.gather(*(each.tell() for each in watchers))
        await asyncio.gather(*(each.hear(orders) for each in watchers))

    async def _role(self, partition: TP) -> Role | None:
        if self._worker is None:
            raise RuntimeError("partitions are assigned before anybody listens")
        topics = self._settings.topics
        kinds: Mapping[str, type[Router | Watcher | Judging]] = {
            topics.flows.name: Router,
            topics.flows_by_host.name: Watcher,
            topics.partials.name: Judging,
        }
        kind = kinds.get(partition.topic)
        return None if kind is None else kind(self._worker, partition)


class _Counts(NamedTuple):
    flows: int
    hosts: int
    state: int


def _partitions(settings: Settings) -> _Counts:
    topics = settings.topics
    return _Counts(
        *(partition_count(settings.kafka, each) for each in (topics.flows, topics.flows_by_host, topics.state))
    )


def _kept(watchers: Iterable[Watcher]) -> tuple[int, Mapping[str, Size], float]:
    watches = [each.shard.watch for each in watchers]
    state = {part: Size.total(each.parts[part].size for each in watches) for part in STATE_PARTS}
    return sum(each.hosts for each in watches), state, time.time()
