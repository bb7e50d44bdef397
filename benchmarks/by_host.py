"""The topology by-host: one worker and two, beside the topology direct and the textbook program."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.contenders import FLINK_HOSTS, TEXTBOOK, alternate, compared, flink, textbook, wants_flink
from benchmarks.measurement import Measurement
from benchmarks.processes import Run
from benchmarks.progress import Sample
from benchmarks.service import kafka
from benchmarks.sizes import size
from benchmarks.traffic import batched, create, fill, joined, lines
from benchmarks.worker import Worker, environment, topic_names
from detectors.route import Part
from detectors.watch import Watch
from streams.by_host.blocks import decode
from streams.by_host.cuts import write
from streams.by_host.shard import Shard
from streams.pipeline import Batch, Pipeline
from streams.records import Message, decode_all
from streams.settings import Settings

DIRECT: Final = "direct, one worker"
ONE: Final = "by-host, one worker"
TWO: Final = "by-host, two workers"
SINGLES: Final = "by-host, one worker, one record a message"
SMALL: Final = "by-host, one worker, small panes"
"""The same number of records, spread over as many minutes as elsewhere: what every pane costs shows."""

PARTITIONS: Final = 4
_MESSAGES: Final = 40
"""Messages of a batch where no broker says how many come at once."""

RECORDS_A_MESSAGE: Final = 1_000

_PATIENCE_SECONDS: Final = 300.0
_QUIET_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.1

_JUDGED: Final = 'flowhawk_stage_seconds_count{stage="judge"}'


def measure() -> list[Measurement]:
    """Measure all in turn, and what a record takes on its way through Kafka."""
    with tempfile.TemporaryDirectory() as name, kafka(Path(name)) as broker:
        contest = _Contest(Path(name), broker.bootstrap)
        runs = alternate(contest.contenders())
        return [
            *compared(runs, [TEXTBOOK, DIRECT, ONE, FLINK_HOSTS]),
            *contest.bytes_of_a_record(),
            *_state(size("STATE_RECORDS")),
        ]


class _Contest:
    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._records = size("RECORDS")
        self._runs = count()
        self._sizes: list[float] = []

    def contenders(self) -> dict[str, Callable[[], Run]]:
        """Publish the records, spread over partitions and on a single one; then say who competes."""
        minutes = size("BY_HOST_MINUTES")
        fill(self._bootstrap, "single", joined(lines(self._records, minutes=minutes), RECORDS_A_MESSAGE))
        for topic, records_a_message, of in (
            ("spread", RECORDS_A_MESSAGE, minutes),
            ("spread-singles", 1, minutes),
            ("spread-small", RECORDS_A_MESSAGE, size("MINUTES")),
        ):
            values = joined(lines(self._records, minutes=of), records_a_message)
            fill(self._bootstrap, topic, values, partitions=PARTITIONS)
        return {
            TEXTBOOK: lambda: textbook(self._bootstrap, f"textbook-{next(self._runs)}"),
            **self._flink(minutes),
            DIRECT: lambda: self._run("single", workers=1, topology="direct"),
            ONE: lambda: self._run("spread", workers=1),
            TWO: lambda: self._run("spread", workers=2),
            SINGLES: lambda: self._run("spread-singles", workers=1),
            SMALL: lambda: self._run("spread-small", workers=1),
        }

    def bytes_of_a_record(self) -> list[Measurement]:
        """Say how large records are on their way between the stages."""
        return [Measurement.median("block bytes of a record", "bytes", self._sizes)]

    def _flink(self, minutes: int) -> dict[str, Callable[[], Run]]:
        if not wants_flink():
            return {}
        fill(self._bootstrap, "single-lines", lines(self._records, minutes=minutes), complete=False)
        return flink(self._folder, self._bootstrap, "single-lines")

    def _run(self, flows: str, *, workers: int, topology: str = "by-host") -> Run:
        name = f"run-{next(self._runs)}"
        topics = topic_names(name, flows=flows)
        settings = environment(self._bootstrap, name, topics, topology=topology)
        if topology == "by-host":
            create(self._bootstrap, topics["flows_by_host"], topics["state"], partitions=PARTITIONS)
        with ExitStack() as stack:
            several = [
                stack.enter_context(Worker(settings, self._folder / f"{name}-{number}.log"))
                for number in range(workers)
            ]
            run = _run(several, topology, self._records)
            totals = [each.metrics() for each in several]
        if topology == "by-host":
            self._sizes.append(sum(each["flowhawk_block_bytes_total"] for each in totals) / self._records)
        return run


def _run(workers: list[Worker], topology: str, records: int) -> Run:
    """Watch workers until they have counted all there is and judged all panes.

    Measured is from when the first records are decoded. What was decoded by then does not count, though the stages
    behind still have to do with it. What judging costs behind the end of counting belongs to the CPU time.
    """
    counted = "flowhawk_records_total" if topology == "direct" else "flowhawk_block_rows_total"
    found: list[tuple[Sample, list[float]]] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        metrics = [each.metrics() for each in workers]
        done = [sum(each[name] for each in metrics) for name in ("flowhawk_records_total", counted, _JUDGED)]
        sample = Sample(time.monotonic(), int(done[0]), sum(each.cpu_seconds for each in workers))
        if not found or found[-1][1] != done:
            found.append((sample, done))
        elif sample.records >= records and done[2] and sample.at - found[-1][0].at > _QUIET_SECONDS:
            break
        time.sleep(_PAUSE_SECONDS)
    begin = next(sample for sample, _ in found if sample.records)
    if begin.records >= records:
        raise ValueError("workers decoded all at once: give them more records")
    last = next(sample for sample, done in found if done[1] == found[-1][1][1])
    return Run(records - begin.records, last.at - begin.at, found[-1][0].cpu_seconds - begin.cpu_seconds)


def _state(records: int) -> list[Measurement]:
    """Say what is kept of the same records in one place, and in all partitions of hosts together."""
    settings = Settings()
    whole = Pipeline(settings)
    shards = [Shard(settings, Part(number, PARTITIONS), ["flows/0"]) for number in range(PARTITIONS)]
    for number, values in enumerate(batched(joined(lines(records), RECORDS_A_MESSAGE), _MESSAGES)):
        messages = [Message(value) for value in values]
        begin = number * _MESSAGES
        batch = Batch("flows/0", messages, np.arange(begin, begin + len(messages)), begin, begin + len(messages))
        decoded = decode_all(messages, settings.records, settings.networks)
        whole.process(batch, decoded)
        for part, value, said in write(batch, decoded, PARTITIONS):
            shards[part].apply([decode(value, said)], number)
    found = []
    for what, of in (("state of open panes", _kept), ("whole checkpoint", _stored)):
        alone, together = of(whole.watch), sum(of(each.watch) for each in shards)
        found.append(Measurement(f"{what}, direct", round(alone / 1e6, 1), "MB"))
        found.append(
            Measurement(f"{what}, by-host", round(together / 1e6, 1), "MB", ratios={DIRECT: round(together / alone, 2)})
        )
    return found


def _kept(watch: Watch) -> int:
    return sum(part.size.bytes for part in watch.parts.values())


def _stored(watch: Watch) -> int:
    return sum(len(change.encoded() or b"") for change in watch.changes(whole=True))
