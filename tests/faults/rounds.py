"""A round: workers on a real Kafka, traffic, faults one after the other, and at the end everything compared."""

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from detectors.state import Change
from streams.checkpoint import CheckpointError
from streams.dead_letters import LATE_FORMAT
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.records.contract import FORMAT_HEADER, WATERMARK_HEADER
from streams.settings import Settings
from streams.topics import create_topics
from tests.faults import oracle, stored
from tests.faults.beside import Beside
from tests.faults.supervised import Worker
from tests.faults.traffic import Publishing, good_lines, messages
from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import KafkaCluster
from tests.streams.programs import environment_of, every, flowhawk
from tests.streams.topic_records import Record, committed_offset, end_offset, read, write

MINUTES: Final = 25
"""Event time of the traffic: the panes of the last 15 minutes stay open, those before are judged."""

WORKERS: Final = 2
"""How many run, at least when a fault begins."""

STOP_SECONDS: Final = 10
_COMPARE_SECONDS: Final = 0.3
_CAUGHT_UP_SECONDS: Final = 120
_TAKEN_OVER_SECONDS: Final = 90

EXPECTED_STATUSES: Final = {0, 1, 70, -9}
"""In order; no broker to begin with; what cannot be gone on with; killed by a fault."""

_TRACEBACK: Final = "Traceback"
_BEFORE_IT: Final = 500
"""Characters of the log that lead to a traceback."""

Fault = Callable[["Round"], None]


class Round(ABC):
    """One round of faults.

    Parameters
    ----------
    kafka
        A broker, or a cluster, that the round may kill.
    topics
        Names of its own.
    folder
        An empty folder for logs.
    seed
        Decides the traffic and the times.

    Attributes
    ----------
    aim
        Name of the partition whose owner the present fault strikes.
    """

    topology: ClassVar[str]

    def __init__(self, kafka: KafkaBroker | KafkaCluster, topics: TopicSettings, folder: Path, seed: int) -> None:
        self.kafka = kafka
        self.chance = random.Random(seed)  # noqa: S311 - the same round every time
        self.workers: list[Worker] = []
        self._running = ExitStack()
        self._folder = folder
        self._begun = time.monotonic()
        group = f"group-{topics.flows.name}"
        servers = tuple(kafka.bootstrap.split(","))
        self.settings = Settings(kafka=KafkaSettings(bootstrap_servers=servers, group_id=group), topics=topics)
        self._environment = environment_of(kafka.bootstrap, topics) | {
            "FLOWHAWK__TOPOLOGY": self.topology,
            "FLOWHAWK__KAFKA__SESSION_TIMEOUT_SECONDS": "6",
            "FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "0.5",
            "FLOWHAWK__RECORDS__FORMAT": oracle.FIELDS,
            "FLOWHAWK__TOPICS__CREATE": "false",
            # Traffic pauses while a fault takes its time, and nobody is to go on without those who would be late then.
            "FLOWHAWK__TIME__IDLE_SECONDS": "3600",
            # Who has what is read from the log.
            "FLOWHAWK__LOG__BURST": "1000",
        }
        create_topics(self.settings.kafka, topics, topology=self.topology)
        self.aim = self.owned[0]

    @property
    @abstractmethod
    def owned(self) -> Sequence[str]:
        """Names of the partitions that workers divide among themselves."""

    @property
    @abstractmethod
    def stateful(self) -> Sequence[str]:
        """Names of those whose committed offset is behind a checkpoint."""

    @abstractmethod
    def checkpointed(self, source: str) -> int:
        """Return the offset that the last checkpoint of a partition goes on at."""

    @abstractmethod
    def wait_until_done(self) -> None:
        """Wait until all is done that comes of flows, which are committed up to their ends."""

    @abstractmethod
    def check_checkpoints(self, ends: Sequence[int]) -> None:
        """See to it that what is stored goes on where flows end."""

    @abstractmethod
    def check_statistics(self, lines: Sequence[str]) -> None:
        """Compare what is stored with what the oracle counts."""

    def aim_at(self, topic: str) -> Worker:
        """Let the present fault strike whoever has some partition of a topic, and return it."""
        self.aim = self.chance.choice([each for each in self.owned if each.rpartition("/")[0] == topic])
        self._say(f"aiming at {self.aim}")
        return self.owner

    @property
    def owner(self) -> Worker:
        """The worker that has the partition aimed at; wait until there is one."""
        return self.owner_of(self.aim)

    def owner_of(self, source: str) -> Worker:
        """Return the worker that has a partition; wait until there is one."""
        return self._wait_for_worker(lambda worker: worker.has(source), f"nobody has {source}")

    def wait_for_takeover(self) -> Worker:
        """Wait until a worker begins to take the partition over, and return it."""
        return self._wait_for_worker(lambda worker: worker.takes(self.aim), f"nobody takes {self.aim} over")

    def wait_until_owned_by_another(self, than: Worker) -> None:
        """Wait until another worker than one has the partition."""
        self._wait_for_worker(lambda each: each is not than and each.has(self.aim), f"{than.name} keeps {self.aim}")

    def other(self, worker: Worker) -> Worker:
        """Return another worker."""
        return next(each for each in self.supervised if each is not worker)

    @property
    def supervised(self) -> list[Worker]:
        """The workers that are meant to run."""
        return [each for each in self.workers if each.is_supervised]

    def start_worker(self) -> Worker:
        """Start one more worker."""
        worker = Worker(f"worker-{len(self.workers) + 1}", self._environment, self._folder)
        self.workers.append(self._running.enter_context(worker))
        return worker

    def stop_worker(self, worker: Worker) -> None:
        """Stop a worker in order and for good."""
        worker.wait_for(" running ")
        status = worker.stop(seconds=STOP_SECONDS)
        # The broker may have been away until just now, and a write have failed for that.
        assert status == 0 or "Unable to bootstrap" in worker.ended[-1].errors, worker.ended[-1]

    def committed(self, source: str) -> int:
        """Return the committed offset of a partition, 0 where there is none."""
        topic, _, number = source.rpartition("/")
        refusal: KafkaError | None = None
        for _ in every(0.1, seconds=30):
            # A broker that has just started reads its offsets first, and the dead one of several may be asked.
            try:
                return committed_offset(self.kafka.bootstrap, self.settings.kafka.group_id, topic, int(number)) or 0
            except KafkaError as error:
                refusal = error
        raise AssertionError(f"the broker does not say what is committed: {refusal!r}")

    def wait_for_manifest(self) -> str:
        """Wait until the next checkpoint is durable, and return the name of the partition it is of."""
        state, group = self.settings.topics.state, self.settings.kafka.group_id
        with KafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        ) as consumer:
            consumer.assign([TopicPartition(state.name, number) for number in range(state.partitions)])
            consumer.seek_to_end()
            for _ in every(0, seconds=30):
                for records in consumer.poll(timeout_ms=20).values():
                    for record in records:
                        source, manifest, _ = record.key.decode().removeprefix(f"{group}/").partition("/manifest/")
                        if manifest:
                            return str(source)
        raise AssertionError(f"no checkpoint was written: {[worker.errors for worker in self.workers]}")

    def run(self, faults: Sequence[Fault], seconds: float) -> None:
        """Let the faults happen while traffic is published, then compare."""
        lines = good_lines(self.chance, MINUTES)
        values = messages(lines, self.chance)
        # It has chances of its own, as it draws them beside the faults.
        chance = random.Random(self.chance.random())  # noqa: S311 - the same round every time
        flows = self.settings.topics.flows
        publishing = Publishing(
            self.kafka.bootstrap, flows.name, values, partitions=flows.partitions, seconds=seconds, chance=chance
        )
        comparing = Comparing(self)
        with self._running:
            with comparing, publishing:
                for number, fault in enumerate(faults, 1):
                    while len(self.supervised) < WORKERS:
                        self.start_worker()
                    publishing.share = max(publishing.share, 1 / len(faults))
                    self.aim = self.chance.choice(self.owned)
                    self._say(f"{fault.__name__}, {self.owner.name} having {self.aim}")
                    publishing.share = number / len(faults)
                    fault(self)
            assert comparing.done > len(faults)
            self._say("catching up")
            self._stop_when_caught_up()
        self._say("comparing")
        told = [oracle.told_apart(each) for each in self._good(lines)]
        in_time, late = ([line for each in halves for line in each] for halves in zip(*told, strict=True))
        self._check_late(late)
        self.check_statistics(in_time)
        for number in range(flows.partitions):
            write(self.kafka.bootstrap, flows.name, [b""], headers={WATERMARK_HEADER: b"end"}, partition=number)
        with self._running:
            self.start_worker()
            self._stop_when_caught_up()
        self._check_late(late)
        # `detect` has all of a file before it, and would put in order what was late for the service.
        self._check_findings(in_time)
        self._check_dead_letters(set(lines))
        self._check_ends()

    def _is_committed(self, source: str, end: int) -> bool:
        return self.committed(source) >= end

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}", flush=True)  # noqa: T201 - long rounds say where they are

    def _wait_for_worker(self, holds: Callable[[Worker], bool], otherwise: str) -> Worker:
        for _ in every(0.005, seconds=_TAKEN_OVER_SECONDS):
            for worker in self.workers:
                if holds(worker):
                    return worker
        raise AssertionError(f"{otherwise}: {[worker.errors for worker in self.workers]}")

    def wait_until(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait until something holds that workers are at."""
        for _ in every(0.2, seconds=_CAUGHT_UP_SECONDS):
            if holds():
                return
        raise AssertionError(f"{otherwise}: {[each.errors for each in self.workers]}")

    def wait_until_committed(self, topic: str, ends: Sequence[int]) -> None:
        """Wait until each partition of a topic is committed up to an offset."""
        for number, end in enumerate(ends):
            source = f"{topic}/{number}"
            self.wait_until(partial(self._is_committed, source, end), f"{source} is not committed up to {end}")

    def _stop_when_caught_up(self) -> None:
        flows = self.settings.topics.flows
        ends = [end_offset(self.kafka.bootstrap, flows.name, number) for number in range(flows.partitions)]
        self.wait_until_committed(flows.name, ends)
        self.wait_until_done()
        for worker in self.supervised:
            self.stop_worker(worker)
        self.check_checkpoints(ends)

    def _good(self, lines: Sequence[str]) -> list[list[str]]:
        """Return the good lines of each partition of the log: the log is what counts, not what was to be published."""
        good = set(lines)
        logs: list[list[str]] = []
        for number in range(self.settings.topics.flows.partitions):
            records = read(self.kafka.bootstrap, self.settings.topics.flows.name, number)
            texts = ((record.value or b"").decode(errors="replace") for record in records)
            logs.append([line for text in texts for line in text.split("\n") if line in good])
        assert sum(map(len, logs)) >= len(lines)
        return logs

    def _check_findings(self, lines: Sequence[str]) -> None:
        published = [json.loads(record.value) for record in self.read(self.settings.topics.findings.name)]
        last = {finding["id"]: finding for finding in published}
        standing = [each for each in last.values() if each["status"] not in {"retracted", "superseded"}]
        path = self._folder / "flows.log"
        path.write_text("\n".join(sorted(lines, key=oracle.end)) + "\n")
        detected = flowhawk("detect", path, environment=self._environment).stdout.splitlines()
        assert sorted(standing, key=lambda each: (each["first_seen"], each["id"])) == [*map(json.loads, detected)]
        assert len(detected) >= MINUTES
        assert not any(each["provisional"] for each in standing)

    def _check_dead_letters(self, good: set[str]) -> None:
        letters = self.read(self.settings.topics.flows_dead_letter.name)
        assert not [letter for letter in letters if letter.value.decode(errors="replace") in good]
        reasons = {letter.headers["flowhawk-reason"].decode().split(":")[0] for letter in letters}
        assert len(reasons) > 2, reasons

    def _check_late(self, late: Sequence[str]) -> None:
        """Late records are told at least once, and are the same ones whatever broke."""
        told: set[str] = set()
        for record in self.read(self.settings.topics.flows_late.name):
            assert record.headers[FORMAT_HEADER].decode() == LATE_FORMAT
            told.update(record.value.decode().split("\n"))
        assert told == {oracle.fields(line, LATE_FORMAT) for line in late}
        assert told

    def _check_ends(self) -> None:
        ended = [end for worker in self.workers for end in worker.ended]
        assert {end.status for end in ended} <= EXPECTED_STATUSES, ended
        unexpected = [end.errors for end in ended if _TRACEBACK in end.errors]
        assert not unexpected, unexpected[0][max(0, unexpected[0].index(_TRACEBACK) - _BEFORE_IT) :]

    def read(self, topic: str) -> list[Record]:
        """Read a topic of one partition."""
        return read(self.kafka.bootstrap, topic)


class Comparing(Beside):
    """Compares commits with checkpoints all through a round: what is committed is in a checkpoint, always."""

    def __init__(self, round_: Round) -> None:
        super().__init__()
        self.done = 0
        self._round = round_

    def run(self) -> None:
        """Compare until the block is left, one partition after the other."""
        while not self.over.wait(_COMPARE_SECONDS):
            try:
                self._compare(self._round.stateful[self.done % len(self._round.stateful)])
                self.done += 1
            # aiokafka drops the cancellation of what it waits for when the broker is away.
            except (KafkaError, CheckpointError, asyncio.CancelledError) as error:
                # Where the broker is away just now, there is nothing to compare.
                if isinstance(error, CheckpointError) and error.__cause__ is None:
                    raise

    def _compare(self, source: str) -> None:
        # The committed offset is read first: checkpoints only go forward.
        topic, _, number = source.rpartition("/")
        round_ = self._round
        committed = committed_offset(round_.kafka.bootstrap, round_.settings.kafka.group_id, topic, int(number))
        checkpointed = round_.checkpointed(source)
        assert (committed or 0) <= checkpointed


def check_counts(changes: list[Change], lines: Sequence[str]) -> None:
    """Compare what a checkpoint holds with what the oracle counts of lines; long ago is forgotten."""
    contacts, volumes = stored.contacts(changes), stored.volumes(changes)
    begin = min(key.pane for key in (*contacts, *volumes))
    assert len({key.pane for key in contacts}) > MINUTES // 2
    assert not _differences(contacts, _since(begin, oracle.contacts(lines)))
    assert not _differences(volumes, _since(begin, oracle.volumes(lines)))


def _since(begin: int, found: dict[oracle.Key, oracle.Counts]) -> dict[oracle.Key, oracle.Counts]:
    return {key: counts for key, counts in found.items() if key.pane >= begin}


def _differences(found: dict[oracle.Key, oracle.Counts], expected: dict[oracle.Key, oracle.Counts]) -> list[str]:
    """Say where two counts differ, for people to read: how often, and some examples."""
    different = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    examples = [f"{key}: {found.get(key)} is not {expected.get(key)}" for key in different[:: len(different) // 8 + 1]]
    return [f"{len(different)} of {len(expected)} differ", *examples] if different else []
