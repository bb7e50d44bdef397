"""The service beside its peers: the same records, from a real Kafka, with the same fetch settings."""

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.contenders import (
    FLINK_HOSTS,
    PEERS,
    TEXTBOOK,
    alternate,
    compared,
    flink,
    has,
    program,
    textbook,
    wants_flink,
)
from benchmarks.measurement import Measurement
from benchmarks.processes import FLOWHAWK, Run, run
from benchmarks.progress import stretch
from benchmarks.sizes import size
from benchmarks.traffic import file, fill, joined, lines
from benchmarks.worker import Worker, environment, topic_names
from tests.kafka.broker import KafkaBroker
from tests.kafka.libraries import missing_programs

GETMANY: Final = "aiokafka getmany"
QUIX: Final = "Quix Streams"
SINGLES: Final = "flowhawk run, one record a message"
BLOCKS: Final = "flowhawk run, 1,000 records a message"
EMBEDDED: Final = "flowhawk up, embedded"

RECORDS_A_MESSAGE: Final = 1_000

_PATIENCE_SECONDS: Final = 300.0
_JAVA_OPTIONS: Final = ("-Xmx1g", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


@contextmanager
def kafka(folder: Path) -> Iterator[KafkaBroker]:
    """Run a broker that is fast rather than quick to start.

    Raises
    ------
    RuntimeError
        When a program that it needs is missing.
    """
    if missing := missing_programs():
        raise RuntimeError(f"a real Kafka needs {' and '.join(missing)}; install a Java runtime and Maven")
    data = folder / "kafka"
    data.mkdir()
    with KafkaBroker(data, java_options=_JAVA_OPTIONS) as broker:
        yield broker


def measure() -> list[Measurement]:
    """Measure all that are installed, in turn."""
    with tempfile.TemporaryDirectory() as name, kafka(Path(name)) as broker:
        contest = _Contest(Path(name), broker.bootstrap)
        runs = alternate(contest.contenders())
        measurements = compared(runs, [TEXTBOOK, GETMANY, FLINK_HOSTS])
        return [*measurements, *contest.shares()]


class _Contest:
    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        self._records = size("RECORDS")
        self._runs = count()
        self._shares: dict[str, list[float]] = {}

    def contenders(self) -> dict[str, Callable[[], Run]]:
        """Publish the records in both shapes and write the file; then say who competes."""
        singles = fill(self._bootstrap, "singles", lines(self._records))
        blocks = fill(self._bootstrap, "blocks", joined(lines(self._records), RECORDS_A_MESSAGE))
        path = self._folder / "flows.log"
        file(path, self._records)
        own = Path(sys.executable)
        return {
            GETMANY: lambda: program(own, "aiokafka_getmany", self._bootstrap, "singles", self._records),
            TEXTBOOK: lambda: textbook(self._bootstrap, f"textbook-{next(self._runs)}"),
            **self._quix(size("QUIX_RECORDS")),
            **(flink(self._folder, self._bootstrap, "singles") if wants_flink() else {}),
            SINGLES: lambda: self._worker(SINGLES, "singles", singles),
            BLOCKS: lambda: self._worker(BLOCKS, "blocks", blocks),
            EMBEDDED: lambda: self._up(path),
        }

    def shares(self) -> list[Measurement]:
        """Say how much of the time the workers spent in the stages; the rest is fetching and carrying."""
        return [
            Measurement.median(f"{name}, share of the time in the stages", "%", shares)
            for name, shares in self._shares.items()
        ]

    def _quix(self, limit: int) -> dict[str, Callable[[], Run]]:
        def quix() -> Run:
            topic = f"quix-{next(self._runs)}"
            fill(self._bootstrap, topic, lines(limit), complete=False)
            return program(PEERS, "quix", self._bootstrap, topic, limit)

        return {QUIX: quix} if has("quixstreams") else {}

    def _worker(self, name: str, topic: str, messages: int) -> Run:
        run_name = f"run-{next(self._runs)}"
        settings = environment(self._bootstrap, run_name, topic_names(run_name, flows=topic))
        in_stages: list[float] = []

        def done(metrics: dict[str, float]) -> bool:
            in_stages.append(metrics["flowhawk_batch_seconds_sum"])
            return metrics["flowhawk_messages_total"] >= messages

        with Worker(settings, self._folder / f"{run_name}.log") as worker:
            samples = list(worker.samples(done, _PATIENCE_SECONDS))
        found = Run(*stretch(samples))
        _, seconds, busy = stretch(
            [each._replace(cpu_seconds=stages) for each, stages in zip(samples, in_stages, strict=True)]
        )
        self._shares.setdefault(name, []).append(100 * busy / seconds)
        return found

    def _up(self, path: Path) -> Run:
        # Of the seconds only those that it says itself: the start is not measured with the others either.
        log = self._folder / "up.log"
        done = run([FLOWHAWK, "up", str(path)], self._records, {"FLOWHAWK__HTTP__PORT": "0"}, output=log)
        said = re.search(r"([\d,]+) in ([\d.]+) s", log.read_text())
        if said is None:
            raise RuntimeError(f"flowhawk up did not say how fast it was:\n{log.read_text()[-2000:]}")
        return Run(int(said[1].replace(",", "")), float(said[2]), done.cpu_seconds)
