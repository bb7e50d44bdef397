"""What the metrics cost: `python -m benchmarks.metrics_cost FLOWS`, CPU time with and without, in turns."""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from prometheus_client import generate_latest

from detectors.verdicts import verdicts
from streams.metrics import STATE_PARTS, Metrics
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Decoded, Message, decode_all
from streams.settings import Settings
from streams.traffic import measure

BLOCK_LINES: Final = 1_000
BATCH_BLOCKS: Final = 20
ROUNDS: Final = 5
TRACKED_RECORDS: Final = 500_000
"""What comes in five seconds at 100,000 records a second: so often it is said what is kept."""
SCRAPED_RECORDS: Final = 1_000_000
"""What comes in ten seconds: more often than Prometheus asks."""


def batches(path: Path) -> Iterator[Batch]:
    """Read a file of flow logs with a header line as the messages of a topic."""
    header, *lines = path.read_bytes().splitlines(keepends=True)
    bounds = range(0, len(lines) + BLOCK_LINES, BLOCK_LINES)
    messages = [Message(header + b"".join(lines[begin:end])) for begin, end in pairwise(bounds)]
    for begin in range(0, len(messages), BATCH_BLOCKS):
        some = messages[begin : begin + BATCH_BLOCKS]
        end = begin + len(some)
        yield Batch("flows/0", some, np.arange(begin, end), begin, end)


class Measured:
    """The metrics as the service keeps them, and the CPU time that they take, seconds by what is done."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.seconds: dict[str, float] = {"sum traffic": 0, "count": 0, "track": 0, "scrape": 0}
        self._since_tracked = self._since_scraped = 0

    def __call__(self, pipeline: Pipeline, batch: Batch, decoded: Decoded, outcome: Outcome) -> None:
        """Count a batch."""
        times = [time.process_time()]
        traffic = measure(decoded.table)
        times.append(time.process_time())
        self.metrics.traffic(traffic)
        self.metrics.observe(outcome, messages=len(batch.messages), size=batch.bytes, seconds=1, now=1)
        times.append(time.process_time())
        self._since_tracked += outcome.records
        self._since_scraped += outcome.records
        if self._since_tracked >= TRACKED_RECORDS:
            self._since_tracked = 0
            state = {part: pipeline.watch.parts[part].size for part in STATE_PARTS}
            findings = pipeline.incidents.open_by_kind
            self.metrics.tracked(hosts=pipeline.watch.hosts, open_findings=findings, state=state)
        times.append(time.process_time())
        if self._since_scraped >= SCRAPED_RECORDS:
            self._since_scraped = 0
            generate_latest(self.metrics.registry)
        times.append(time.process_time())
        for name, (begin, end) in zip(self.seconds, pairwise(times), strict=True):
            self.seconds[name] += end - begin


def run(work: Sequence[Batch], measured: Measured | None) -> float:
    """Run the stages, with metrics or without; return the CPU time, seconds."""
    settings = Settings()
    pipeline = Pipeline(settings)
    if measured is None:
        pipeline.watch.judge = verdicts
    begun = time.process_time()
    for batch in work:
        decoded = decode_all(batch.messages, settings.records, settings.networks)
        outcome = pipeline.process(batch, decoded)
        if measured is not None:
            measured(pipeline, batch, decoded, outcome)
    return time.process_time() - begun


def main(path: str, rounds: str = str(ROUNDS)) -> None:
    """Measure and print."""
    work = list(batches(Path(path)))
    run(work[:10], Measured())
    with_them, without, parts = [], [], []
    for _ in range(int(rounds)):
        measured = Measured()
        with_them.append(run(work, measured))
        without.append(run(work, None))
        parts.append(measured.seconds)
    total = statistics.median(with_them)
    print(
        f"CPU time with {total:.2f} s, without {statistics.median(without):.2f} s, medians of {rounds} rounds in turns"
    )
    alone = {name: statistics.median(each[name] for each in parts) for name in parts[0]}
    print(f"metrics alone: {sum(alone.values()) / total:.2%} of it")
    print(", ".join(f"{name} {seconds / total:.2%}" for name, seconds in alone.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
