"""A pipeline whose state outlives the process: restored before the first record, checkpointed in the background."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Final, Generic, Protocol, TypeVar

import structlog

from detectors.finding import Finding
from detectors.state import Change
from streams.checkpoint import Checkpoints
from streams.checkpoint_settings import CheckpointSettings
from streams.metrics import Metrics
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Decoded
from streams.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

NOTHING: Final = 0
"""As an offset to commit: there is nothing before it."""


class Stateful(Protocol):
    """What has a state that can be stored."""

    def expected(self, source: str) -> int | None:
        """Return the offset that must come next from a source; None where nothing came yet."""

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed since the last call, or all there is."""

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned."""


State = TypeVar("State", bound=Stateful)


class Durable(Generic[State]):
    """The stages of one source, together with the checkpoints of their state.

    Call its methods one at a time; a checkpoint is written in between. When one breaks off in the middle of its work
    on the state, by an error or because it is cancelled, no checkpoint is written any more.

    Parameters
    ----------
    source
        Name of the source, as in its batches.
    pipeline
        The stages, without a state.
    checkpoints
        Where its state is kept; None keeps it in memory only.
    settings
        How often.
    metrics
        Where checkpoints are counted.
    executor
        The one thread of the stages.
    """

    def __init__(
        self,
        source: str,
        pipeline: State,
        checkpoints: Checkpoints | None,
        *,
        settings: CheckpointSettings,
        metrics: Metrics,
        executor: Executor,
    ) -> None:
        self.pipeline = pipeline
        self._safe = NOTHING
        self._source = source
        self._checkpoints = checkpoints
        self._settings = settings
        self._metrics = metrics
        self._executor = executor
        self._writing: asyncio.Task[None] | None = None
        self._whole = True
        self._sound = True
        self._begun = time.monotonic()
        self._size = 0

    @property
    def expected(self) -> int | None:
        """The offset that must come next; None where nothing was counted yet."""
        return self.pipeline.expected(self._source)

    @property
    def committable(self) -> int | None:
        """Offset behind the last durable checkpoint; None where there are no checkpoints."""
        return None if self._checkpoints is None else self._safe

    @property
    def generation(self) -> int:
        """Which owner of the source this is; 0 where there are no checkpoints."""
        return 0 if self._checkpoints is None else self._checkpoints.generation

    async def restore(self) -> None:
        """Take up the last checkpoint; without one, begin empty.

        Raises
        ------
        streams.checkpoint.CheckpointError
            When there is one that cannot be used.
        """
        if self._checkpoints is None:
            return
        begun = time.monotonic()
        changes, damages = await self._checkpoints.load()
        for damage in damages:
            log.warning("passed over a damaged checkpoint", source=self._source, damage=damage)
        await self._in_thread(lambda: self.pipeline.restore(changes))
        self._safe = self.expected or NOTHING
        seconds = time.monotonic() - begun
        self._metrics.restored(seconds=seconds, damages=len(damages))
        log.info("restored", source=self._source, offset=self.expected, pieces=len(changes), seconds=round(seconds, 2))

    async def work(self, work: Callable[[], T], write: Callable[[T], Awaitable[None]], *, size: int = 0) -> T:
        """Do something to the state, and write what comes of it.

        When either breaks off, no checkpoint is written any more: the state would know of what nobody was told.

        Parameters
        ----------
        work
            Done in the thread of the stages.
        write
            Writes what it returned.
        size
            Bytes that were read for it.
        """
        sound, self._sound = self._sound, False
        done = await self._in_thread(work)
        await write(done)
        self._sound = sound
        self._size += size
        return done

    async def checkpoint_if_due(self) -> None:
        """Begin a checkpoint when it is time and there is news.

        Raises
        ------
        streams.checkpoint.CheckpointError, streams.output.OutputError
            When the one before it failed.
        """
        if self._writing is not None and self._writing.done():
            await self._written()
        elapsed = time.monotonic() - self._begun
        due = elapsed >= self._settings.interval_seconds or self._size >= self._settings.interval_bytes
        if due and self._writing is None:
            await self._begin()

    async def checkpoint(self) -> None:
        """Write a checkpoint of all there is and wait until it is durable.

        Raises
        ------
        streams.checkpoint.CheckpointError, streams.output.OutputError
            When it, or the one before it, failed.
        """
        await self._written()
        await self._begin()
        await self._written()

    async def abandon(self) -> None:
        """Stop writing: what is half written counts for nothing."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _begin(self) -> None:
        offset = self.expected or NOTHING
        if self._checkpoints is None or offset <= self._safe or not self._sound:
            return
        whole, self._whole = self._whole, False
        # When this breaks off, what was taken is lost, and a later checkpoint would lack it.
        self._sound = False
        # Frames are never changed in place, so what is taken here can be written while the stages go on.
        changes = await self._in_thread(lambda: self.pipeline.changes(whole=whole))
        self._sound = True
        self._begun, self._size = time.monotonic(), 0
        writing = self._write(self._checkpoints, changes, offset)
        self._writing = asyncio.create_task(writing, name=f"checkpoint of {self._source}")

    async def _write(self, checkpoints: Checkpoints, changes: list[Change], offset: int) -> None:
        begun = time.monotonic()
        try:
            written = await checkpoints.save(changes)
        except Exception:
            self._metrics.checkpoint_failed()
            raise
        self._safe = offset
        self._metrics.checkpointed(seconds=time.monotonic() - begun, size=written.bytes, now=time.time())
        log.debug("checkpoint", source=self._source, offset=offset, pieces=written.pieces, bytes=written.bytes)

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class DurablePipeline(Durable[Pipeline]):
    """The pipeline of one source, together with its checkpoints."""

    async def adopt(self, published: Sequence[Finding]) -> None:
        """Take responsibility for provisional findings that are out, also those behind the last checkpoint."""
        await self._in_thread(lambda: self.pipeline.incidents.adopt(published))

    async def process(
        self, batch: Batch, write: Callable[[Outcome], Awaitable[None]], decoded: Decoded | None = None
    ) -> Outcome:
        """Run the stages on a batch, which follows on the one before it, and write what comes of it, see `work`.

        Its messages may have been decoded already.

        Raises
        ------
        detectors.span.GapError
            When the batch does not follow.
        """

        async def timed(outcome: Outcome) -> None:
            with outcome.timed("write"):
                await write(outcome)

        return await self.work(lambda: self.pipeline.process(batch, decoded), timed, size=batch.bytes)

    async def look(self, write: Callable[[Sequence[Finding]], Awaitable[None]]) -> Sequence[Finding]:
        """Look at open panes, and write the provisional findings that are worth publishing, like `process`."""
        return await self.work(self.pipeline.look, write)

    async def retune(self, settings: Settings, write: Callable[[Sequence[Finding]], Awaitable[None]]) -> Outcome:
        """Take other parameters, modes and suppressions, and write what people are told of that, like `process`."""
        return await self.work(lambda: self.pipeline.retune(settings), lambda outcome: write(outcome.findings))
