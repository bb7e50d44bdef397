import random
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.errors import InputError
from streams.ingest import Ingest, Ingested
from streams.ingest_settings import IngestSettings
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.positions import read_positions
from streams.publish import MESSAGE_BYTES
from streams.records import RecordSettings
from streams.selection import Selection
from streams.selection_settings import DropRule, SelectionSettings
from streams.sources import Block, Position, Source
from streams.sources.contract import PlacelessSource
from streams.sources.files import FileSource
from streams.sources.sqs import SqsSettings, SqsSource
from streams.topics import create_topics
from streams.transactions import Transactions
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.sources.aws import REGION, aws, bucket, client, event, key, left, put, queue, send
from tests.streams.topic_records import read

EVERYTHING = Selection(SelectionSettings(), RecordSettings())


class World:
    """A broker with topics of a test's own, and a folder."""

    def __init__(self, broker: KafkaBroker, topics: TopicSettings, folder: Path) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=(broker.bootstrap,), group_id=topics.flows.name)
        self.topics, self.folder = topics, folder
        self.problems: list[str] = []
        create_topics(self.kafka, topics)

    def file(self, name: str, lines: int, *, first: int = 0) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{flow(port=first + index, end=NINE)}\n" for index in range(lines)))
        return path

    def ingest(
        self, *sources: Source, settings: IngestSettings | None = None, selection: Selection | None = None
    ) -> Ingested:
        with Transactions(self.kafka, self.topics, "ingest") as transactions:
            known = read_positions(self.kafka, self.topics.positions, "ingest")
            return Ingest(
                transactions,
                sources,
                known,
                settings or IngestSettings(),
                selection or EVERYTHING,
                records=RecordSettings(),
                report=self.problems.append,
            ).run()

    def lines(self) -> list[str]:
        (server,) = self.kafka.bootstrap_servers
        return [line for record in read(server, self.topics.flows.name) for line in record.value.decode().split("\n")]


@pytest.fixture
def world(kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path) -> World:
    return World(kafka_broker, topic_settings, tmp_path)


class Waiting(PlacelessSource):
    """Yields what it has, then waits to be stopped; fails on the way if it is told to."""

    name = "waiting"
    size = consumed = 0

    def __init__(self, *blocks: Block, failure: Exception | None = None) -> None:
        self._blocks = blocks
        self._failure = failure
        self._stopped = threading.Event()
        self.acknowledged: list[Block] = []
        self.known = threading.Event()

    def blocks(self) -> Iterator[Block]:
        yield from self._blocks
        if self._failure is not None:
            raise self._failure
        self._stopped.wait()

    def resume(self, positions: Mapping[str, Position]) -> None:
        pass

    def acknowledge(self, block: Block) -> None:
        self.acknowledged.append(block)
        if len(self.acknowledged) == len(self._blocks):
            self.known.set()

    def stop(self) -> None:
        self._stopped.set()


def test_several_sources_arrive_and_a_second_run_adds_nothing(world: World) -> None:
    paths = [world.file("a.log", 4000), world.file("b.log", 4000, first=5000)]
    ingested = world.ingest(*(FileSource(str(path), block_bytes=20_000) for path in paths))
    assert sorted(world.lines()) == sorted(line for path in paths for line in path.read_text().splitlines())
    assert (ingested.records, ingested.problems) == (8000, 0)
    again = world.ingest(*(FileSource(str(path), block_bytes=30_000) for path in paths))
    assert again.records == 0
    assert len(world.lines()) == 8000


def test_it_goes_on_where_it_stopped_with_blocks_of_another_size(world: World) -> None:
    path = world.file("a.log", 3000)
    whole = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in whole[:1234]))
    world.ingest(FileSource(str(path), block_bytes=7_000))
    path.write_text("".join(f"{line}\n" for line in whole))
    assert world.ingest(FileSource(str(path), block_bytes=11_000)).records == 3000 - 1234
    assert world.lines() == whole


def test_what_broke_off_in_any_transaction_is_sent_once(world: World) -> None:
    path = world.file("a.log", 5000)
    chance = random.Random(1)  # noqa: S311 - the same every time
    rounds = 0
    while True:
        rounds += 1
        with Transactions(world.kafka, world.topics, "ingest") as transactions:
            known = read_positions(world.kafka, world.topics.positions, "ingest")
            source = FileSource(str(path), block_bytes=20_000)
            source.resume(known)
            left = list(source.blocks())
            if not left:
                break
            for block in left[: chance.randrange(1, 8)]:
                transactions.send(block)
                if chance.random() < 0.4:
                    transactions.commit({block.origin: Position(block.position, block.content)}, [])
            # What is open now is dropped, as in a crash.
    assert rounds > 3
    assert world.lines() == path.read_text().splitlines()


def test_an_idle_source_is_told_soon_that_kafka_has_its_blocks(world: World) -> None:
    source = Waiting(Block(b"one", {}, 1, "x", 4), Block(b"two", {}, 1, "x", 8, 2))
    with Transactions(world.kafka, world.topics, "ingest") as transactions:
        ingest = Ingest(
            transactions,
            [source],
            {},
            IngestSettings(),
            EVERYTHING,
            records=RecordSettings(),
            report=world.problems.append,
        )
        runs = threading.Thread(target=ingest.run)
        runs.start()
        assert source.known.wait(60)
        assert world.lines() == ["one", "two"]
        ingest.stop()
        runs.join(60)
        assert not runs.is_alive()
    assert ingest.ingested.records == 2


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(world: World) -> None:
    broken = Waiting(Block(b"one", {}, 1, "x", 4), failure=InputError("x: stops being readable"))
    too_large = Waiting(Block(b"y" * (MESSAGE_BYTES + 1), {}, 1, "y", 4), failure=InputError("y: ends"))
    path = world.file("a.log", 100)
    ingested = world.ingest(broken, too_large, FileSource(str(path)))
    assert (ingested.records, ingested.problems) == (101, 3)
    assert min(world.problems) == "x: stops being readable"
    assert any(line.startswith("y:1: 4,194,305 bytes of lines do not fit") for line in world.problems)
    assert len(world.lines()) == 101


def test_a_mistake_in_a_source_ends_it_all(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        world.ingest(Waiting(failure=ZeroDivisionError("a mistake")), Waiting())


def test_a_queue_is_emptied_as_kafka_gets_the_objects_and_what_comes_again_is_known(world: World) -> None:
    names = [key(datetime(2026, 1, 5, 9, minute, tzinfo=UTC)) for minute in (0, 5, 10)]
    with aws():
        s3, url = bucket(), queue()
        told = [event(name, put(s3, name, [flow(port=index + 1)])) for index, name in enumerate(names)]
        settings = SqsSettings(region=REGION, until_empty=True, wait_seconds=0)
        for expected in (3, 0):
            for each in told:
                send(url, each)
            ingested = world.ingest(SqsSource("sqs://flow-logs", client("sqs"), s3, settings))
            assert (ingested.records, ingested.problems, left(url)) == (expected, 0, 0)
    assert [int(line.split()[6]) for line in world.lines()] == [1, 2, 3]


def test_what_is_left_out_is_not_read_again_either(world: World) -> None:
    path = world.file("a.log", 2000)
    selection = Selection(SelectionSettings(drop=(DropRule(cidr="0.0.0.0/0"),)), RecordSettings())
    ingested = world.ingest(FileSource(str(path)), selection=selection)
    assert (ingested.records, selection.left.dropped) == (0, 2000)
    assert world.ingest(FileSource(str(path))).records == 0
    assert world.lines() == []


def test_no_more_records_a_second_than_are_allowed(world: World) -> None:
    path = world.file("a.log", 900)
    selection = Selection(SelectionSettings(records_per_second=1000), RecordSettings())
    begin = time.monotonic()
    ingested = world.ingest(FileSource(str(path), block_bytes=10_000), selection=selection)
    # The last block goes out once all before it have had their time.
    assert time.monotonic() - begin > 0.7
    assert ingested.records == 900
