"""Checkpoints that are torn, corrupt or of another version, in the hands of a real worker."""

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.settings import Settings
from streams.topics import create_topics
from tests.faults import oracle, stored
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import block, flow, scan
from tests.streams.programs import Program, environment_of, every
from tests.streams.topic_records import committed_offset, end_offset, write

LINES: Final = [[flow(f"10.0.0.{host}") for host in range(9)], scan(), [flow("10.0.1.1")]]
"""What three messages hold; each has a checkpoint of its own."""


class Worker:
    """A worker that reads one message after the other, with a checkpoint behind each."""

    def __init__(self, kafka_broker: KafkaBroker, topics: TopicSettings, folder: Path) -> None:
        self.folder, self.address = folder, kafka_broker.bootstrap
        kafka = KafkaSettings(bootstrap_servers=(self.address,), group_id=f"group-{topics.flows.name}")
        self.settings = Settings(kafka=kafka, topics=topics)
        self.environment = environment_of(self.address, topics) | {"FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "0.01"}
        self.prefix = f"{kafka.group_id}/{topics.flows.name}/0/"
        create_topics(kafka, topics)

    @contextmanager
    def running(self) -> Iterator[Program]:
        with Program("run", environment=self.environment, folder=self.folder) as program:
            program.wait_until(lambda: " running " in program.errors)
            yield program
            assert program.stop(signal.SIGTERM, seconds=10) == 0

    def read(self, program: Program, lines: list[str]) -> None:
        """Publish a message and wait until it is committed."""
        flows = self.settings.topics.flows.name
        write(self.address, flows, [block(lines)])
        end = end_offset(self.address, flows)
        program.wait_until(lambda: self.committed() == end)

    def committed(self) -> int | None:
        return committed_offset(self.address, self.settings.kafka.group_id, self.settings.topics.flows.name)

    def manifests(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the manifests that are stored, the newest one first."""
        bodies = [
            (key, json.loads(json.loads(value)["body"]))
            for key, value in self.values().items()
            if key.startswith("manifest/")
        ]
        return sorted(bodies, key=lambda each: int(each[1]["number"]), reverse=True)

    def values(self) -> Mapping[str, bytes]:
        return stored.values(self.settings)

    def store(self, key: str, value: bytes | None) -> None:
        """Put something into the storage from outside."""
        write(self.address, self.settings.topics.state.name, [value], keys=[f"{self.prefix}{key}".encode()])


@pytest.fixture
def worker(kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path) -> Worker:
    """Give a worker that has read all messages and is stopped."""
    worker = Worker(kafka_broker, topic_settings, tmp_path)
    with worker.running() as program:
        for lines in LINES:
            worker.read(program, lines)
    assert len(worker.manifests()) == 2
    return worker


def assert_everything_is_counted_once(worker: Worker) -> None:
    """Let it read one more message, so that it writes a checkpoint, and compare."""
    more = [flow("10.0.2.1")]
    with worker.running() as program:
        worker.read(program, more)
    lines = [oracle.of_default_format(line) for lines in [*LINES, more] for line in lines]
    changes = stored.checkpoint(worker.settings)
    assert stored.contacts(changes) == oracle.contacts(lines)
    assert stored.volumes(changes) == oracle.volumes(lines)


def assert_is_refused(worker: Worker, *reasons: str) -> None:
    before = worker.values(), worker.committed()
    with Program("run", environment=worker.environment, folder=worker.folder) as program:
        for _ in every(0.1, seconds=30):
            if program.process.poll() is not None:
                break
        assert program.process.returncode == 70
        (line,) = [line for line in program.errors.splitlines() if line.startswith("flowhawk: ")]
    assert f"{worker.settings.topics.flows.name}/0 cannot be taken over: " in line
    assert "begin anew without state (docs/runbooks/FlowhawkRestarting.md)" in line
    assert [reason for reason in reasons if reason not in line] == [], line
    assert (worker.values(), worker.committed()) == before


def test_a_sound_checkpoint_is_taken_up(worker: Worker) -> None:
    assert_everything_is_counted_once(worker)


def test_a_corrupt_manifest_is_passed_over_for_the_one_before_it(worker: Worker) -> None:
    (key, _), _ = worker.manifests()
    value = bytearray(worker.values()[key])
    value[-20] ^= 1
    worker.store(key, bytes(value))
    assert_everything_is_counted_once(worker)
    worker.store(key, None)


def test_a_torn_checkpoint_is_passed_over_for_the_one_before_it(worker: Worker) -> None:
    (_, newest), (_, older) = worker.manifests()
    shared = {piece[0] for piece in older["pieces"].values()}
    key = next(piece[0] for piece in newest["pieces"].values() if piece[0] not in shared)
    worker.store(f"{key}/0", None)
    assert_everything_is_counted_once(worker)


def test_a_torn_checkpoint_with_nothing_behind_it_is_refused(worker: Worker) -> None:
    (_, newest), (key, _) = worker.manifests()
    worker.store(key, None)
    piece = newest["pieces"]["watch/position"][0]
    worker.store(f"{piece}/0", None)
    assert_is_refused(worker, "no checkpoint can be used", f"{piece}/0 is missing")


def test_a_corrupt_piece_that_both_checkpoints_need_makes_both_useless(worker: Worker) -> None:
    (_, newest), (_, older) = worker.manifests()
    shared = {piece[0] for piece in older["pieces"].values()} & {piece[0] for piece in newest["pieces"].values()}
    pieces = shared or {newest["pieces"]["watch/position"][0], older["pieces"]["watch/position"][0]}
    for piece in pieces:
        value = worker.values()[f"{piece}/0"]
        worker.store(f"{piece}/0", value[:-1] + bytes([value[-1] ^ 1]))
    assert_is_refused(worker, "no checkpoint can be used", "checksum", "is wrong")


def test_an_unknown_version_is_refused_though_older_ones_lie_beside_it(worker: Worker) -> None:
    (key, _), _ = worker.manifests()
    worker.store(key, json.dumps({"version": [99, 1], "body": "of another kind"}).encode())
    assert_is_refused(worker, "has version 99.1", "run the Flowhawk that wrote it")


def test_what_others_wrote_is_refused(worker: Worker) -> None:
    worker.store("notes", b"mine")
    assert_is_refused(worker, "holds 'notes', which this Flowhawk does not know")
