"""Several sources into Kafka at once, each record exactly once over any number of crashes."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from streams.errors import InputError
from streams.gathered import Gathered, Item
from streams.ingest_settings import IngestSettings
from streams.pace import Pace
from streams.records import RecordSettings
from streams.selection import Selection
from streams.sources import Block, Position, Source
from streams.transactions import Transactions

_STOP_SECONDS: Final = 2.0
"""How long a source may take to end once it was told to; one that hangs is left behind."""


@dataclass
class Ingested:
    """What was committed.

    Attributes
    ----------
    read
        Records that were read: those that are published, dropped, sampled out, or fit into no message.
    records, bytes, messages
        Records that were published, their bytes before compression, and the Kafka messages they are in.
    too_large
        Records that were left out with a block that fits into no message.
    transactions
        Committed transactions.
    problems
        What could not be read or sent.
    """

    read: int = 0
    records: int = 0
    bytes: int = 0
    messages: int = 0
    too_large: int = 0
    transactions: int = 0
    problems: int = 0

    def add(self, sent: "Ingested") -> None:
        """Add what a transaction has committed."""
        self.read += sent.read
        self.records += sent.records
        self.bytes += sent.bytes
        self.messages += sent.messages
        self.too_large += sent.too_large
        self.transactions += 1


class Ingest:
    """Reads sources in threads of their own and publishes what they yield, until they end or it is told to stop.

    Parameters
    ----------
    transactions
        Takes blocks and positions.
    sources
        What to read. They are resumed here.
    positions
        What Kafka has already.
    settings
        When to commit.
    selection
        Chooses what is published of what is read.
    records
        How lines are written, to publish what ends first before what ends later.
    report
        Is called, in any thread, with one line about each problem.
    progress
        Is called with how many records are committed whenever that has grown.
    records_per_message
        Cut blocks into messages of so many lines; 0 sends each block as one message.
    stopped
        Set by whoever asks it to stop before it can be asked; else one of its own.
    """

    def __init__(
        self,
        transactions: Transactions,
        sources: Sequence[Source],
        positions: Mapping[str, Position],
        settings: IngestSettings,
        selection: Selection,
        *,
        records: RecordSettings,
        report: Callable[[str], None],
        progress: Callable[[int], None] = lambda _: None,
        records_per_message: int = 0,
        stopped: threading.Event | None = None,
    ) -> None:
        self._transactions = transactions
        self._sources = sources
        self._settings = settings
        self._selection = selection
        self._report = report
        self._progress = progress
        self._records_per_message = records_per_message
        self._gathered = Gathered(sources, records)
        self._stopped = stopped or threading.Event()
        self._problems = threading.Lock()
        self._sent = Ingested()
        self._pending: list[tuple[Source, Block]] = []
        self._pending_bytes = 0
        self._due = 0.0
        self._pace = Pace(selection.rate)
        self.ingested = Ingested()
        self.on_commit: Callable[[Mapping[int, Block]], None] = lambda _: None
        """Is called behind each transaction, with the last block of each source in it by the source's identity."""
        self.on_problem: Callable[[Source, int], None] = lambda *_: None
        """Is called, in any thread, with how many problems a source has had at once."""
        for source in sources:
            source.on_problem = partial(self._problem, source)
            source.resume(positions)

    def run(self) -> Ingested:
        """Publish until all sources have ended.

        Raises
        ------
        streams.transactions.TakenOverError
            When another ingest has begun under this name.
        streams.errors.KafkaUnavailable
            When Kafka does not take records any more.
        """
        self._gathered.start()
        if self._stopped.is_set():
            self.stop()
        try:
            while not self._gathered.ended:
                item = self._next()
                if item is not None and item.block is not None:
                    self._send(item.source, item.block)
                elif item is not None:
                    self._ended(item)
                elif self._pending:
                    self._commit()
                elif self._stopped.is_set():
                    break
            self._commit()
        finally:
            self.stop()
        return self.ingested

    def stop(self) -> None:
        """Let it come to an end: what has been read is committed, the rest is left for the next time."""
        self._stopped.set()
        self._gathered.stop()
        for source in self._sources:
            source.stop()

    def _next(self) -> Item | None:
        """Wait for a block; None when it is time to commit first, or when nothing comes."""
        now = time.monotonic()
        left = self._due - now if self._pending else _STOP_SECONDS
        if (pause := self._pace.wait_seconds) > 0:
            self._stopped.wait(max(0.0, min(pause, left)))
            return None
        if self._pending_bytes >= self._settings.transaction_bytes:
            return None
        return self._gathered.next(max(left, 0.0))

    def _send(self, source: Source, block: Block) -> None:
        if not self._pending:
            self._due = time.monotonic() + self._settings.commit_ms / 1000
        chosen = self._selection.apply(block)
        try:
            if chosen is not None:
                sent = self._transactions.send(chosen, self._records_per_message)
        except InputError as error:
            # It would not fit the next time either, so it counts as read.
            self._sent.too_large += block.records
            self._problem(source, error)
        else:
            if chosen is not None:
                self._sent.records += sent.records
                self._sent.bytes += len(chosen.value)
                self._sent.messages += sent.messages
                self._pace.passed(sent.records)
        self._sent.read += block.records
        self._pending.append((source, block))
        self._pending_bytes += len(block.value)

    def _commit(self) -> None:
        forgotten = [origin for source in self._sources for origin in source.forget()]
        if not (self._pending or forgotten):
            return
        positions = {block.origin: Position(block.position, block.content) for _, block in self._pending}
        self._transactions.commit(positions, forgotten)
        self.ingested.add(self._sent)
        self._progress(self.ingested.records)
        self.on_commit({id(source): block for source, block in self._pending})
        self._sent = Ingested()
        for source, block in self._pending:
            source.acknowledge(block)
        self._pending = []
        self._pending_bytes = 0

    def _ended(self, item: Item) -> None:
        if isinstance(item.error, InputError):
            self._problem(item.source, item.error)
        elif item.error is not None:
            raise item.error

    def _problem(self, source: Source, error: InputError) -> None:
        count = len(str(error).splitlines())
        with self._problems:
            self.ingested.problems += count
        self.on_problem(source, count)
        self._report(str(error))
