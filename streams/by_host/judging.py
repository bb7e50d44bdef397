"""The incidents stage as a service: asks all partitions of hosts about panes that close, and publishes findings."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

import polars as pl
import structlog
from faust.types import TP

from detectors.finding import Detection, Finding
from detectors.questions import Question
from streams import published
from streams.by_host.commands import (
    ANSWER,
    CLOSE,
    EARLY,
    REACHED,
    SETTLE,
    WHO,
    Command,
    Pieces,
    Reached,
    apart,
    messages,
    rows,
)
from streams.by_host.roles import Role, Worker
from streams.by_host.verdict import Verdict
from streams.checkpoint import Checkpoints
from streams.degraded import SLOW, Judge
from streams.kafka_storage import KafkaStorage
from streams.output import ProducerRecord, fenced
from streams.partitions import bounds
from streams.transport import Fetched

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 5.0
"""After so long without all answers, a question is asked once more: whoever was to answer may have gone."""


class Judging(Role):
    """Has what partitions of hosts say, and tells them which panes to close."""

    def __init__(self, worker: Worker, partition: TP) -> None:
        super().__init__(worker, partition)
        settings = worker.settings
        self._output = fenced(settings.kafka, self.name)
        self._storage = KafkaStorage(settings.kafka, settings.topics.state.name, 0, self.name, self._output)
        self._checkpoints = Checkpoints(self._storage)
        self._timing = Judge()
        self.verdict = Verdict(settings, worker.parts)
        self.verdict.judge.judge = self._timing
        self._pieces = Pieces()
        self._reached: dict[int, Reached] = {}
        self._news = asyncio.Event()
        self._asked: dict[str, Command] = {}
        self._answers: dict[str, dict[int, pl.DataFrame]] = {}
        self._answered = asyncio.Event()
        self._usual: list[Question] = []
        self._stored = False
        self._is_judging = False
        self._task: asyncio.Task[None] | None = None
        self._waiting: Future[None] | None = None
        self._begin = 0
        self.published = 0

    @property
    def expected(self) -> int | None:
        """Nothing but what the group says: what is left of earlier sessions does no harm."""
        return None

    async def start(self) -> None:
        """Shut out whoever judged before, take up its state, and ask everybody how far they have come."""
        await self._output.start()
        changes, damages = await self._checkpoints.load()
        for damage in damages:
            log.warning("passed over a damaged checkpoint", source=self.name, damage=damage)
        self.verdict.restore(changes)
        settings = self.worker.settings
        self.verdict.incidents.adopt(await published.provisional(settings.kafka, settings.topics.findings.name))
        # What was stored may have been told under other settings.
        await self._publish(self.verdict.retune(settings))
        _, self._begin = await bounds(settings.kafka, self.partition)
        await self._send(Command(WHO, 0, 0, 0))
        self._task = asyncio.create_task(self._run(), name="judging")

    async def take(self, fetched: Fetched) -> None:
        """Listen to what partitions of hosts say."""
        for record in fetched.records:
            whole = self._pieces.add(record.said, record.value)
            # What was said to whoever judged before is said again; what was seen early is not.
            if whole is not None and (record.offset >= self._begin or whole[0] == EARLY):
                await self._hear(*whole)

    async def retune(self) -> None:
        """Take the settings of the worker as they are now."""
        async with self.lock:
            if not self.is_over:
                await self._publish(self.verdict.retune(self.worker.settings))

    async def beat(self, heartbeat: ProducerRecord) -> None:
        """Send a heartbeat on the way of findings."""
        async with self.lock:
            if not self.is_over:
                await self._output.write([heartbeat])

    async def checkpoint(self) -> None:
        """Write a checkpoint and wait until it is durable, but for a pane that is being judged: half of it is known."""
        if self._stored and not self._is_judging:
            await self._save()

    async def close(self) -> None:
        """Let go of the partition."""
        if self._waiting is not None:
            # Else the thread that judges would wait for what nobody says any more.
            self._waiting.cancel()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._storage.close()
        await self._output.close()

    async def _hear(self, kind: str, about: str, body: bytes) -> None:
        if kind == REACHED:
            await self._note(Reached.read(body))
        elif kind == ANSWER:
            _, _, part = about.rpartition("/")
            for name, answer in apart(body).items():
                if name in self._asked:
                    self._answers[name][int(part)] = rows(answer)
            if not self._unanswered():
                self._answered.set()
        elif kind == EARLY:
            detections = [Detection.model_validate(each) for each in json.loads(body)]
            async with self.lock:
                if not self.is_over:
                    await self._publish(self.verdict.early(detections))

    async def _note(self, reached: Reached) -> None:
        """Take note of how far a partition has come; tell it what it missed where it is another one than before.

        Whoever goes on from a checkpoint comes to where the partition was once more, and to the same. Whoever had it
        before, and does not know that it has lost it, tells of what may be forgotten here.
        """
        number = reached.part.number
        before = self._reached.get(number)
        if before is not None and reached.generation < before.generation:
            return
        self._reached[number] = reached
        if before is not None and before.watermark > reached.watermark:
            self._reached[number] = replace(reached, watermark=before.watermark, panes=before.panes)
        if before is None or before.session != reached.session:
            await self._send(*self.verdict.commands(reached.learned), *self._unanswered())
        self._news.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._until_news()
                while (due := self.verdict.due(self._reached)) is not None:
                    await self._close(*due)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, and nothing would be judged any more
            self.worker.failed("panes cannot be judged", error)

    async def _until_news(self) -> None:
        """Wait until a partition has come further; whoever took one over just then may have missed the question."""
        while not self._news.is_set():
            try:
                async with asyncio.timeout(_AGAIN_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                if len(self._reached) < self.worker.parts:
                    await self._send(Command(WHO, 0, 0, 0))
        self._news.clear()

    async def _close(self, watermark: int, panes: Sequence[int]) -> None:
        """Judge panes, and let everybody learn from each once it is sure what was said of it."""
        for pane in panes:
            self._is_judging = True
            detections = await self._judged(pane)
            previous = self.verdict.last
            async with self.lock:
                await self._publish(self.verdict.judged(pane, detections))
                await self._save()
            self._is_judging = False
            self._count(detections)
            await self._send(Command(CLOSE, previous, pane, watermark))
        async with self.lock:
            await self._publish(self.verdict.settle(watermark))
            self.verdict.forget(self._reached)
        await self._send(Command(SETTLE, self.verdict.last, self.verdict.last, watermark))

    async def _judged(self, pane: int) -> list[Detection]:
        loop, begun = asyncio.get_running_loop(), time.perf_counter()
        asked: list[Question] = []

        def ask(question: Question) -> Sequence[pl.DataFrame]:
            asked.append(question)
            name = self.verdict.asking(pane, question).name
            if name not in self._answers:
                self._waiting = asyncio.run_coroutine_threadsafe(self._ask([question], pane), loop)
                self._waiting.result()
            return [self._answers[name][part] for part in range(self.worker.parts)]

        self._asked, self._answers = {}, {}
        # Most of what is asked about a pane is asked about each, and need not be asked one by one.
        await self._ask(self._usual, pane)
        detections = await loop.run_in_executor(self.worker.judges, self.verdict.close, pane, ask)
        self._usual = [each for each in asked if each.hosts.is_empty()]
        self._asked, self._answers = {}, {}
        self.worker.metrics.took("judge", time.perf_counter() - begun)
        return detections

    async def _ask(self, questions: Sequence[Question], pane: int) -> None:
        """Ask all partitions, over and over until all have answered.

        Raises
        ------
        asyncio.CancelledError
            When the partition was let go: the thread that judges must not wait for ever.
        """
        commands = [self.verdict.asking(pane, each) for each in questions]
        self._asked |= {each.name: each for each in commands}
        for name in self._asked:
            self._answers.setdefault(name, {})
        missed: list[Command] = []
        while unanswered := self._unanswered():
            if self.is_over:
                raise asyncio.CancelledError
            self._answered.clear()
            await self._send(*missed, *unanswered)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS):
                    await self._answered.wait()
            # Whoever does not answer may have missed what was said while it took its partition over.
            missed = self.verdict.commands(min(each.learned for each in self._reached.values()))

    def _unanswered(self) -> list[Command]:
        return [each for name, each in self._asked.items() if len(self._answers[name]) < self.worker.parts]

    async def _send(self, *commands: Command) -> None:
        topic = self.worker.settings.topics.questions.name
        await self.worker.said.write(
            [record for each in commands for record in messages(topic, each.kind, each.name, each.body)]
        )

    async def _publish(self, findings: Sequence[Finding]) -> None:
        topic = self.worker.settings.topics.findings.name
        await self._output.write(
            [ProducerRecord(topic, each.model_dump_json().encode(), each.id.encode()) for each in findings]
        )
        self.worker.metrics.told(findings)
        self.worker.metrics.suppressed(self.verdict.incidents.kept_back())
        self.published += len(findings)

    async def _save(self) -> None:
        changes = self.verdict.changes(whole=not self._stored)
        self._stored = True
        await self._checkpoints.save(changes)

    def _count(self, detections: Sequence[Any]) -> None:
        self.worker.metrics.add("flowhawk_detections_total", len(detections))
        judging, slow = self._timing.taken()
        for kind, spent in judging.items():
            self.worker.metrics.add("flowhawk_detector_seconds_total", spent, kind)
        for kind, times in slow.items():
            self.worker.metrics.add("flowhawk_detector_degraded_total", times, kind, SLOW)
