"""The stages over files, with no Kafka: files are merged by event time, and their end closes everything."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from detectors.finding import Finding
from streams.errors import InputError
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Message
from streams.settings import Settings
from streams.sources.contract import Block, Source


class _Input:
    """One source on its way through the pipeline."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.blocks: Iterator[Block] = source.blocks()
        self.reached = -1
        self.read = 0


def detect(sources: Sequence[Source], settings: Settings) -> Iterator[tuple[Outcome, Block | None]]:
    """Run sources through the stages, always reading on in the one whose event time is furthest behind.

    Yields
    ------
    tuple
        What became of each block, and the block; None when a source ended.

    Raises
    ------
    streams.errors.InputError
        When a source cannot be read to its end. All others have been read, and everything is closed.
    """
    pipeline = Pipeline(settings)
    inputs = [_Input(f"{index}", source) for index, source in enumerate(sources)]
    for each in inputs:
        pipeline.watermarks.add(each.name)
    now = int(time.time() * 1000)
    failures: list[InputError] = []
    while inputs:
        behind = min(inputs, key=lambda each: each.reached)
        try:
            block = next(behind.blocks, None)
        except InputError as error:
            failures.append(error)
            block = None
        if block is None:
            inputs.remove(behind)
            yield pipeline.finish(behind.name), None
            continue
        batch = Batch(
            behind.name,
            [Message(block.value, block.headers, now)],
            np.array([behind.read], np.int64),
            behind.read,
            behind.read + 1,
        )
        behind.read += 1
        outcome = pipeline.process(batch)
        behind.reached = max(behind.reached, pipeline.watermarks.reached(behind.name))
        yield outcome, block
    if failures:
        raise InputError("\n".join(str(failure) for failure in failures))


def last_states(findings: Sequence[Finding]) -> list[Finding]:
    """Keep the last state of each finding that stands, ordered by time, then id."""
    last = {finding.id: finding for finding in findings}
    standing = (each for each in last.values() if each.status not in {"retracted", "superseded"})
    return sorted(standing, key=lambda finding: (finding.first_seen, finding.id))
