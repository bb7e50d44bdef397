"""The stages over files, with no Kafka: files are merged by event time, and their end closes everything."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from detectors.finding import Finding
from detectors.table import Table
from streams.ahead import ahead
from streams.errors import InputError
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Decoded, Message, decode_all
from streams.settings import Settings
from streams.sources.contract import Block, Source

BATCH_BYTES: Final = 8 << 20
"""How much text is decoded at a time: every batch has a cost of its own, and memory holds one."""


_MOST_AHEAD: Final = 4
"""Of so many sources each is read and decoded one batch ahead; of more, all batches together would be too many."""


class _Taken(NamedTuple):
    """A batch, the blocks it was made of, and its records."""

    blocks: list[Block]
    batch: Batch
    decoded: Decoded


class _Input:
    """One source on its way through the pipeline."""

    def __init__(self, name: str, source: Source, settings: Settings, batch_bytes: int) -> None:
        self.name = name
        self._batch_bytes = batch_bytes
        self.failure: InputError | None = None
        self._settings = settings
        self._blocks = source.blocks()
        self._read = 0

    def batches(self, now: int) -> Iterator[_Taken]:
        """Read on, each time for about as much as a batch is to hold."""
        while blocks := self._next():
            begin, self._read = self._read, self._read + len(blocks)
            messages = [Message(block.value, block.headers, now) for block in blocks]
            batch = Batch(self.name, messages, np.arange(begin, self._read), begin, self._read)
            decoded = decode_all(messages, self._settings.records, self._settings.networks)
            yield _Taken(blocks, batch, in_order(decoded, self._settings.time.allowed_lateness_seconds))

    def _next(self) -> list[Block]:
        blocks: list[Block] = []
        size = 0
        try:
            while size < self._batch_bytes and (block := next(self._blocks, None)) is not None:
                blocks.append(block)
                size += len(block.value)
        except InputError as error:
            self.failure = error
        return blocks


def detect(
    sources: Sequence[Source], settings: Settings, pipeline: Pipeline | None = None, batch_bytes: int = BATCH_BYTES
) -> Iterator[tuple[Outcome, list[Block]]]:
    """Run sources through the stages, always reading on in the one whose event time is furthest behind.

    Parameters
    ----------
    sources, settings
        What to read, and how.
    pipeline
        The stages, where they know something already, or are asked for something afterwards.
    batch_bytes
        How much is read at a time, about; one block at least.

    Yields
    ------
    tuple
        What became of a batch, and the blocks that it was made of; none when a source ended.

    Raises
    ------
    streams.errors.InputError
        When a source cannot be read to its end. All others have been read, and everything is closed.
    """
    pipeline = pipeline or Pipeline(settings)
    inputs = [_Input(f"{index}", source, settings, batch_bytes) for index, source in enumerate(sources)]
    for each in inputs:
        pipeline.watermarks.add(each.name)
    now = int(time.time() * 1000)
    under_way = {each.name: each.batches(now) for each in inputs}
    if len(inputs) <= _MOST_AHEAD:
        under_way = {name: ahead(batches) for name, batches in under_way.items()}
    while under_way:
        behind = min(under_way, key=pipeline.watermarks.reached)
        taken = next(under_way[behind], None)
        if taken is not None:
            yield pipeline.process(taken.batch, taken.decoded), taken.blocks
        else:
            del under_way[behind]
            yield pipeline.finish(behind), []
    failures = [each.failure for each in inputs if each.failure is not None]
    if failures:
        raise InputError("\n".join(str(failure) for failure in failures))


def in_order(decoded: Decoded, allowed_lateness_seconds: int) -> Decoded:
    """Put the records of a piece of a file in order of their ends where some would be late otherwise.

    Files are written by interface, or put one behind another; a service has to decide as records come, a file need not.
    """
    ends = decoded.table.frame["end"].to_numpy()
    reached = np.maximum.accumulate(ends) - allowed_lateness_seconds
    if (ends >= reached).all():
        return decoded
    return replace(decoded, table=Table(decoded.table.frame[np.argsort(ends, kind="stable")]))


def last_states(findings: Sequence[Finding]) -> list[Finding]:
    """Keep the last state of each finding that stands, ordered by time, then id."""
    last = {finding.id: finding for finding in findings}
    standing = (each for each in last.values() if each.status not in {"retracted", "superseded"})
    return sorted(standing, key=lambda finding: (finding.first_seen, finding.id))
