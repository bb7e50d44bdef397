"""A round: two workers on a real Kafka, traffic, faults one after the other, and at the end everything compared."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)

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
from tests.streams.programs import environment_of, every, flowhawk
from tests.streams.topic_records import Record, committed_offset, end_offset, read, write

MINUTES: Final = 25
"""Event time of the traffic: the panes of the last 15 minutes stay open, those before are judged."""

_STOP_SECONDS: Final = 10
_COMPARE_SECONDS: Final = 0.3
_CAUGHT_UP_SECONDS: Final = 120

EXPECTED_STATUSES: Final = {0, 1, 70, -9}
"""In order; no broker to begin with; what cannot be gone on with; killed by a fault."""

Fault = Callable[["Round"], None]


class Round:
    """One round of faults.

    Parameters
    ----------
    broker
        A broker that the round may kill.
    topics
        Names of its own.
    folder
        An empty folder for logs.
    seed
        Decides the traffic and the times.
    """

    def __init__(self, broker: KafkaBroker, topics: TopicSettings, folder: Path, seed: int) -> None:
        self.broker = broker
        self.chance = random.Random(seed)  # noqa: S311 - the same round every time
        self.workers: tuple[Worker, ...] = ()
        self._folder = folder
        self._begun = time.monotonic()
        group = f"group-{topics.flows.name}"
        kafka = KafkaSettings(bootstrap_servers=(broker.bootstrap,), group_id=group)
        self.settings = Settings(kafka=kafka, topics=topics)
        self._environment = environment_of(broker.bootstrap, topics) | {
            "FLOWHAWK__KAFKA__SESSION_TIMEOUT_SECONDS": "6",
            "FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "0.5",
            "FLOWHAWK__RECORDS__FORMAT": oracle.FIELDS,
            "FLOWHAWK__TOPICS__CREATE": "false",
        }
        create_topics(kafka, topics)

    @property
    def flows(self) -> str:
        """Name of the topic of flows."""
        return self.settings.topics.flows.name

    @property
    def owner(self) -> Worker:
        """The worker that has the partition; wait until there is one."""
        for _ in every(0.02, seconds=90):
            for worker in self.workers:
                if worker.has_the_partition:
                    return worker
        raise AssertionError(f"nobody has the partition: {[worker.errors for worker in self.workers]}")

    def wait_for_takeover(self) -> Worker:
        """Wait until a worker begins to take the partition over, and return it."""
        for _ in every(0.005, seconds=90):
            for worker in self.workers:
                said = worker.errors
                if said.count(" taking over ") > said.count(" let go "):
                    return worker
        raise AssertionError(f"nobody takes the partition: {[worker.errors for worker in self.workers]}")

    def wait_until_owned_by(self, successor: Worker) -> None:
        """Wait until another worker has the partition."""
        for _ in every(0.02, seconds=90):
            if successor.has_the_partition:
                return
        raise AssertionError(f"{successor.name} does not take the partition: {successor.errors}")

    def other(self, worker: Worker) -> Worker:
        """Return the other worker."""
        return next(each for each in self.workers if each is not worker)

    def committed(self) -> int:
        """Return the committed offset, 0 where there is none."""
        for _ in every(0.1, seconds=30):
            # A broker that has just started reads its offsets first.
            with suppress(CoordinatorLoadInProgressError, NotCoordinatorError, CoordinatorNotAvailableError):
                return committed_offset(self.broker.bootstrap, self.settings.kafka.group_id, self.flows) or 0
        raise AssertionError("the broker does not say what is committed")

    def wait_for_manifest(self) -> None:
        """Wait until the next checkpoint is durable."""
        partition = TopicPartition(self.settings.topics.state.name, 0)
        with KafkaConsumer(
            bootstrap_servers=self.broker.bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        ) as consumer:
            consumer.assign([partition])
            consumer.seek_to_end()
            for _ in every(0, seconds=30):
                for records in consumer.poll(timeout_ms=20).values():
                    if any(b"/manifest/" in record.key for record in records):
                        return
        raise AssertionError(f"no checkpoint was written: {[worker.errors for worker in self.workers]}")

    def run(self, faults: Sequence[Fault], seconds: float) -> None:
        """Let the faults happen while traffic is published, then compare."""
        lines = good_lines(self.chance, MINUTES)
        values = messages(lines, self.chance)
        # It has chances of its own, as it draws them beside the faults.
        chance = random.Random(self.chance.random())  # noqa: S311 - the same round every time
        publishing = Publishing(self.broker.bootstrap, self.flows, values, seconds=seconds, chance=chance)
        comparing = Comparing(self)
        with ExitStack() as stack:
            self.workers = tuple(
                stack.enter_context(Worker(name, self._environment, self._folder)) for name in ("one", "two")
            )
            with comparing, publishing:
                for number, fault in enumerate(faults, 1):
                    publishing.share = max(publishing.share, 1 / len(faults))
                    self._say(f"{fault.__name__}, {self.owner.name} being at work")
                    publishing.share = number / len(faults)
                    fault(self)
            assert comparing.done > len(faults)
            self._say("catching up")
            self._stop_when_caught_up()
        self._say("comparing")
        in_time, late = oracle.told_apart(self._good(lines))
        self._check_late(late)
        self._check_statistics(in_time)
        write(self.broker.bootstrap, self.flows, [b""], headers={WATERMARK_HEADER: b"end"})
        with Worker("last", self._environment, self._folder) as last:
            self.workers += (last,)
            self._stop_when_caught_up()
        self._check_late(late)
        # `detect` has all of a file before it, and would put in order what was late for the service.
        self._check_findings(in_time)
        self._check_dead_letters(set(lines))
        self._check_ends()

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {what}", flush=True)  # noqa: T201 - long rounds say where they are

    def _stop_when_caught_up(self) -> None:
        end = end_offset(self.broker.bootstrap, self.flows)
        for _ in every(0.2, seconds=_CAUGHT_UP_SECONDS):
            if self.committed() == end:
                break
        else:
            raise AssertionError(f"{self.committed()} of {end} committed: {[each.errors for each in self.workers]}")
        running = [each for each in self.workers if each.is_supervised]
        for worker in running:
            worker.wait_for(" running ")
        assert [each.stop(seconds=_STOP_SECONDS) for each in running] == [0] * len(running)
        assert stored.offset(stored.checkpoint(self.settings), self.settings) == end

    def _good(self, lines: Sequence[str]) -> list[str]:
        """Return the good lines of the log, in its order: the log is what counts, not what was to be published."""
        good = set(lines)
        records = self._read(self.flows)
        counted = stored.offset(stored.checkpoint(self.settings), self.settings)
        assert records[-1].offset + 1 == counted, "the log went on behind what was counted"
        texts = ((record.value or b"").decode(errors="replace") for record in records)
        found = [line for text in texts for line in text.split("\n") if line in good]
        assert len(found) >= len(lines)
        return found

    def _check_statistics(self, lines: Sequence[str]) -> None:
        changes = stored.checkpoint(self.settings)
        contacts, volumes = stored.contacts(changes), stored.volumes(changes)
        begin = min(key.pane for key in (*contacts, *volumes))
        assert len({key.pane for key in contacts}) > MINUTES // 2
        assert not _differences(contacts, _since(begin, oracle.contacts(lines)))
        assert not _differences(volumes, _since(begin, oracle.volumes(lines)))

    def _check_findings(self, lines: Sequence[str]) -> None:
        published = [json.loads(record.value) for record in self._read(self.settings.topics.findings.name)]
        last = {finding["id"]: finding for finding in published}
        standing = [each for each in last.values() if each["status"] not in {"retracted", "superseded"}]
        path = self._folder / "flows.log"
        path.write_text("\n".join(lines) + "\n")
        detected = flowhawk("detect", path, environment=self._environment).stdout.splitlines()
        assert sorted(standing, key=lambda each: (each["first_seen"], each["id"])) == [*map(json.loads, detected)]
        assert len(detected) >= MINUTES
        assert not any(each["provisional"] for each in standing)

    def _check_dead_letters(self, good: set[str]) -> None:
        letters = self._read(self.settings.topics.flows_dead_letter.name)
        assert not [letter for letter in letters if letter.value.decode(errors="replace") in good]
        reasons = {letter.headers["flowhawk-reason"].decode().split(":")[0] for letter in letters}
        assert len(reasons) > 2, reasons

    def _check_late(self, late: Sequence[str]) -> None:
        """Late records are told at least once, and are the same ones whatever broke."""
        told: set[str] = set()
        for record in self._read(self.settings.topics.flows_late.name):
            assert record.headers[FORMAT_HEADER].decode() == LATE_FORMAT
            told.update(record.value.decode().split("\n"))
        assert told == {oracle.fields(line, LATE_FORMAT) for line in late}
        assert told

    def _check_ends(self) -> None:
        ended = [end for worker in self.workers for end in worker.ended]
        assert {end.status for end in ended} <= EXPECTED_STATUSES, ended
        assert [end.errors for end in ended if "Traceback" in end.errors] == []

    def _read(self, topic: str) -> list[Record]:
        return read(self.broker.bootstrap, topic)


class Comparing(Beside):
    """Compares commits with checkpoints all through a round: what is committed is in a checkpoint, always."""

    def __init__(self, round_: Round) -> None:
        super().__init__()
        self.done = 0
        self._address, self._settings = round_.broker.bootstrap, round_.settings

    def run(self) -> None:
        """Compare until the block is left."""
        while not self.over.wait(_COMPARE_SECONDS):
            try:
                self._compare()
                self.done += 1
            # aiokafka drops the cancellation of what it waits for when the broker is away.
            except (KafkaError, CheckpointError, asyncio.CancelledError) as error:
                # Where the broker is away just now, there is nothing to compare.
                if isinstance(error, CheckpointError) and error.__cause__ is None:
                    raise

    def _compare(self) -> None:
        # The committed offset is read first: checkpoints only go forward.
        committed = committed_offset(self._address, self._settings.kafka.group_id, self._settings.topics.flows.name)
        checkpointed = stored.offset(stored.checkpoint(self._settings), self._settings)
        assert (committed or 0) <= checkpointed


def _since(begin: int, found: dict[oracle.Key, oracle.Counts]) -> dict[oracle.Key, oracle.Counts]:
    return {key: counts for key, counts in found.items() if key.pane >= begin}


def _differences(found: dict[oracle.Key, oracle.Counts], expected: dict[oracle.Key, oracle.Counts]) -> list[str]:
    """Say where two counts differ, for people to read: how often, and some examples."""
    different = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    examples = [f"{key}: {found.get(key)} is not {expected.get(key)}" for key in different[:: len(different) // 8 + 1]]
    return [f"{len(different)} of {len(expected)} differ", *examples] if different else []
