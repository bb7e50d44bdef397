"""What the metrics cost: CPU time of the stages with and without, in turns."""

import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from prometheus_client import generate_latest

from benchmarks.hosts import batches
from benchmarks.measurement import Measurement
from benchmarks.sizes import size
from benchmarks.traffic import blocks
from detectors.verdicts import verdicts
from streams import traffic
from streams.metrics import STATE_PARTS, Metrics
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Decoded, decode_all
from streams.settings import Settings

TRACKED_RECORDS: Final = 500_000
"""What comes in five seconds at 100,000 records a second: so often it is said what is kept."""
SCRAPED_RECORDS: Final = 1_000_000
"""What comes in ten seconds: more often than Prometheus asks."""


class Measured:
    """The metrics as the service keeps them, and the CPU time that they take, seconds by what is done."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.seconds: dict[str, float] = {"sum traffic": 0, "count": 0, "track": 0, "scrape": 0}
        self._since_tracked = self._since_scraped = 0

    def __call__(self, pipeline: Pipeline, batch: Batch, decoded: Decoded, outcome: Outcome) -> None:
        """Count a batch."""
        times = [time.process_time()]
        moved = traffic.measure(decoded.table)
        times.append(time.process_time())
        self.metrics.traffic(moved)
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


def measure() -> list[Measurement]:
    """Measure the stages with metrics and without, in turns."""
    work = list(batches(blocks(size("RECORDS"), hosts=size("HOSTS"), minutes=size("MINUTES"))))
    run(work[:10], Measured())
    with_them, without, parts = [], [], []
    for _ in range(size("ROUNDS")):
        measured = Measured()
        with_them.append(run(work, measured))
        without.append(run(work, None))
        parts.append(measured.seconds)
    total = statistics.median(with_them)
    alone = {name: statistics.median(each[name] for each in parts) for name in parts[0]}
    return [
        Measurement.median("CPU time with metrics", "s", with_them, {"CPU time without": without}),
        Measurement.median("CPU time without", "s", without),
        Measurement("metrics alone, part of the CPU time", 100 * sum(alone.values()) / total, "%"),
        *(Measurement(f"metrics alone: {name}", 100 * seconds / total, "%") for name, seconds in alone.items()),
    ]
