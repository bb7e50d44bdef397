"""What every source must hold to, whatever it reads from."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from kafka.admin import KafkaAdminClient

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.sources import Block, Position, Source, source_at, sources
from streams.sources.cloudwatch_logs import CloudWatchLogsSettings, CloudWatchLogsSource
from streams.sources.endpoint import EndpointSettings, EndpointSource
from streams.sources.files import FileSource
from streams.sources.followed import FollowedSource, FollowSettings
from streams.sources.generated import GeneratedSource
from streams.sources.kafka_topic import KafkaTopicSource
from streams.sources.merged import MergedSource
from streams.sources.posted import blocks_of
from streams.sources.s3 import S3Settings, S3Source
from streams.sources.sqs import SqsSettings, SqsSource
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.sources.aws import BUCKET, REGION, aws, bucket, client, event, key, put, queue, send
from tests.streams.topic_records import write

Maker = Callable[[], Source]


def _file(folder: Path, name: str = "a.log") -> FileSource:
    path = folder / name
    path.write_text("".join(f"{flow(end=NINE + second)}\n" for second in range(3000)))
    return FileSource(str(path), block_bytes=20_000)


@contextmanager
def _files(folder: Path) -> Iterator[Maker]:
    yield lambda: _file(folder)


@contextmanager
def _generated(_: Path) -> Iterator[Maker]:
    yield lambda: GeneratedSource.at("generate://?minutes=3&hosts=40&records_per_minute=900")


@contextmanager
def _merged(folder: Path) -> Iterator[Maker]:
    yield lambda: MergedSource([_file(folder), _file(folder, "b.log")], RecordSettings())


@contextmanager
def _s3(_: Path) -> Iterator[Maker]:
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    with aws():
        s3 = bucket()
        for minutes in (0, 5, 10):
            put(s3, key(start + timedelta(minutes=minutes)), [flow(end=NINE + second) for second in range(1500)])
        settings = S3Settings(region=REGION)
        yield lambda: S3Source(f"s3://{BUCKET}", client("s3"), settings, block_bytes=50_000)


@contextmanager
def _sqs(_: Path) -> Iterator[Maker]:
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    names = [key(start + timedelta(minutes=minutes)) for minutes in (0, 5, 10)]
    with aws():
        s3, url = bucket(), queue()
        lines = [flow(end=NINE + second) for second in range(1500)]
        events = [event(name, put(s3, name, lines)) for name in names]
        settings = SqsSettings(region=REGION, until_empty=True, wait_seconds=0)

        def maker() -> Source:
            for each in events:
                send(url, each)
            return SqsSource("sqs://flow-logs", client("sqs"), client("s3"), settings, block_bytes=50_000)

        yield maker


@contextmanager
def _logs(_: Path) -> Iterator[Maker]:
    start = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
    with aws():
        logs = client("logs")
        logs.create_log_group(logGroupName="flows")
        logs.create_log_stream(logGroupName="flows", logStreamName="eni-1-all")
        events = [
            {"timestamp": round((start.timestamp() + second / 10) * 1000), "message": flow(end=NINE + second)}
            for second in range(1500)
        ]
        logs.put_log_events(logGroupName="flows", logStreamName="eni-1-all", logEvents=events)
        given = {"from": start, "to": start + timedelta(minutes=4)}
        settings = CloudWatchLogsSettings.model_validate(given)
        yield lambda: CloudWatchLogsSource("logs://flows", client("logs"), settings, block_bytes=50_000)


def _topic(request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Maker]]:
    """Give the world of a topic, on the broker that all tests share."""

    @contextmanager
    def world(_: Path) -> Iterator[Maker]:
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        name = f"others-{uuid4().hex}"
        with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
            admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})
            admin.wait_for_topics([name])
        lines = [flow(end=NINE + second).encode() for second in range(30)]
        write(broker.bootstrap, name, [b"\n".join(lines[start : start + 10]) for start in (0, 10, 20)])
        with ExitStack() as opened:

            def maker() -> Source:
                source = source_at(f"kafka://{broker.bootstrap}/{name}?until_end=true")
                assert isinstance(source, KafkaTopicSource)
                opened.callback(source.close)
                return source

            yield maker

    return world


class _Fed(EndpointSource):
    """An endpoint to which three requests have been posted."""

    def blocks(self) -> Iterator[Block]:
        for number in range(3):
            lines = "\n".join(flow(end=NINE + second) for second in range(1500)).encode()
            self.take(f"request-{number}", blocks_of([lines], self.origin(f"request-{number}"), {}, self.cut, 1 << 20))
        self.stop()
        yield from super().blocks()


@contextmanager
def _endpoint(_: Path) -> Iterator[Maker]:
    yield lambda: _Fed("http://127.0.0.1:0/", EndpointSettings(), block_bytes=50_000)


class _Settled(FollowedSource):
    """Files that are followed until there is nothing new."""

    def _look(self, *, skip: bool = False) -> None:
        super()._look(skip=skip)
        # Lines that wait for others come once nothing else did.
        self._idle = self._idle + 1 if self.waits else 0
        if self._idle > 2:
            self.stop()

    _idle = 0


@contextmanager
def _followed(folder: Path) -> Iterator[Maker]:
    _file(folder)

    def maker() -> Source:
        source = _Settled(f"follow://{folder}/*.log", FollowSettings(poll_ms=50))
        source.cut_into(BlockSettings(bytes=20_000, ms=10))
        return source

    yield maker


WORLDS: dict[type[Source], Callable[[Path], AbstractContextManager[Maker]]] = {
    CloudWatchLogsSource: _logs,
    EndpointSource: _endpoint,
    FileSource: _files,
    FollowedSource: _followed,
    GeneratedSource: _generated,
    MergedSource: _merged,
    S3Source: _s3,
    SqsSource: _sqs,
}
"""For each kind of source what it reads from, with a few blocks in it, and a way to open it as often as wanted."""


@pytest.fixture(params=sources(), ids=lambda kind: kind.name)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    world = _topic(request) if request.param is KafkaTopicSource else WORLDS.get(request.param)
    assert world is not None, f"say in WORLDS how to come by a {request.param.__name__}"
    with world(tmp_path) as maker:
        yield maker


@pytest.fixture
def source(opened: Maker) -> Source:
    return opened()


def by_origin(blocks: list[Block]) -> list[list[Block]]:
    return [[block for block in blocks if block.origin == origin] for origin in {block.origin for block in blocks}]


def test_names_are_unique() -> None:
    assert len({kind.name for kind in sources()}) == len(sources())


def test_each_place_is_taken_by_one_kind_at_most() -> None:
    for place in (
        "flows.log",
        "-",
        "generate://",
        "generate://?seed=2",
        "s3://bucket/x",
        "sqs://queue",
        "http://127.0.0.1:0/",
        "https://x/",
        "nowhere://",
    ):
        assert sum(kind.takes(place) for kind in sources()) <= 1


def test_a_place_that_nobody_takes_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^nowhere://x: no source takes this; there are "):
        source_at("nowhere://x")


def test_there_are_blocks_of_whole_lines(source: Source) -> None:
    blocks = list(source.blocks())
    assert len(blocks) > 1
    assert all(block.value and not block.value.endswith(b"\n") for block in blocks)
    assert all(block.lines == block.value.count(b"\n") + 1 for block in blocks)


def test_lines_and_positions_go_on_where_the_block_before_ended(source: Source) -> None:
    for blocks in by_origin(list(source.blocks())):
        assert blocks[0].line == 1
        assert blocks[0].position > 0
        for block, following in pairwise(blocks):
            assert following.line == block.line + block.lines
            assert following.position > block.position


def test_every_block_can_be_decoded_alone(source: Source) -> None:
    for block in source.blocks():
        decoded = decode(Message(block.value, block.headers), RecordSettings(), NetworkSettings())
        assert decoded.refused.is_empty()
        assert len(decoded.table) >= block.lines - 1


def test_what_was_consumed_grows_to_the_size(source: Source) -> None:
    assert source.consumed == 0
    consumed = [source.consumed for _ in source.blocks()]
    assert consumed == sorted(consumed)
    assert source.consumed > 0
    # Nobody knows how much there will be in a queue.
    assert source.size in {0, source.consumed}


def test_blocks_may_be_acknowledged_while_or_after_they_are_read(source: Source) -> None:
    blocks = []
    for block in source.blocks():
        blocks.append(block)
        if len(blocks) == 2:
            source.acknowledge(blocks[0])
    for block in blocks[1:]:
        source.acknowledge(block)


def test_blocks_name_their_content_the_same_each_time(opened: Maker) -> None:
    first, second = list(opened().blocks()), list(opened().blocks())
    assert [(each.origin, each.content, each.position) for each in first] == [
        (each.origin, each.content, each.position) for each in second
    ]


def lines_by_origin(blocks: list[Block]) -> dict[str, list[bytes]]:
    return {some[0].origin: b"\n".join(block.value for block in some).split(b"\n") for some in by_origin(blocks)}


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8, 1.0])
def test_what_kafka_has_is_not_read_again_and_the_rest_is(opened: Maker, share: float) -> None:
    whole = list(opened().blocks())
    count = round(share * len(whole))
    again = opened()
    again.resume({block.origin: Position(block.position, block.content) for block in whole[:count]})
    behind = list(again.blocks())
    assert lines_by_origin(behind) == lines_by_origin(whole[count:])
    assert [block.position for block in behind] == [block.position for block in whole[count:]]


def test_another_content_is_read_from_its_beginning(opened: Maker) -> None:
    whole = list(opened().blocks())
    again = opened()
    again.resume({block.origin: Position(block.position, "another") for block in whole})
    assert lines_by_origin(list(again.blocks())) == lines_by_origin(whole)


def test_positions_to_forget_are_those_of_origins_it_has(source: Source) -> None:
    blocks = list(source.blocks())
    for block in blocks:
        source.acknowledge(block)
    forgotten = list(source.forget())
    assert set(forgotten) <= {block.origin for block in blocks}
    assert list(source.forget()) == []
    source.stop()
