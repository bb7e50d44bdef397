import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.block_settings import of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block, Position, source_at
from streams.sources import cloudwatch_logs as module
from streams.sources.cloudwatch_logs import CloudWatchLogsSource
from tests.streams.programs import every
from tests.streams.sources.aws import REGION, aws, client

GROUP = "/aws/vpc/flow-logs"


class World:
    """A log group whose events begin two hours ago, on the minute."""

    def __init__(self) -> None:
        self.logs = client("logs")
        self.logs.create_log_group(logGroupName=GROUP)
        self.start = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
        self.problems: list[str] = []

    def put(self, stream: str, events: Sequence[tuple[float, str]]) -> None:
        """Put messages into a stream, each so many seconds behind the start."""
        streams = self.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]
        if not streams:
            self.logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        self.logs.put_log_events(
            logGroupName=GROUP,
            logStreamName=stream,
            logEvents=[
                {"timestamp": round((self.start.timestamp() + seconds) * 1000), "message": message}
                for seconds, message in events
            ],
        )

    def opened(self, query: str = "", *, seconds: float | None = 600, block_bytes: int = 1000) -> CloudWatchLogsSource:
        until = "" if seconds is None else f"&to={_written(self.start + timedelta(seconds=seconds))}"
        place = f"logs://{GROUP}?region={REGION}&from={_written(self.start)}{until}{query}"
        source = source_at(place)
        assert isinstance(source, CloudWatchLogsSource)
        source.cut_into(of_bytes(block_bytes))
        source.on_problem = lambda error: self.problems.append(str(error))
        return source


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def world() -> Iterator[World]:
    with aws():
        yield World()


def text(blocks: Sequence[Block]) -> list[str]:
    return [line for block in blocks for line in block.value.decode().split("\n")]


def test_events_of_all_streams_come_in_the_order_of_their_times(world: World) -> None:
    world.put("eni-1-all", [(second, f"a {second}") for second in range(0, 300, 2)])
    world.put("eni-2-all", [(second, f"b {second}") for second in range(1, 300, 2)])
    assert [int(line.split()[1]) for line in text(list(world.opened().blocks()))] == list(range(300))


def test_a_range_ends_before_its_end(world: World) -> None:
    world.put("eni-1-all", [(second, str(second)) for second in range(10)])
    assert text(list(world.opened(seconds=7).blocks())) == ["0", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("count", [1, 7, 50])
def test_it_goes_on_between_events_of_one_millisecond(world: World, count: int) -> None:
    world.put("eni-1-all", [(90, f"message {number:03}") for number in range(60)])
    world.put("eni-2-all", [(90, f"message {number:03}") for number in range(60, 120)])
    whole = list(world.opened(block_bytes=12).blocks())
    assert sorted(text(whole)) == [f"message {number:03}" for number in range(120)]
    again = world.opened(block_bytes=500)
    known = whole[count - 1]
    again.resume({known.origin: Position(known.position)})
    assert text(list(again.blocks())) == text(whole[count:])


def test_a_window_with_too_many_events_is_halved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_EVENTS", 10)
    monkeypatch.setattr(module, "_PAGE_EVENTS", 4)
    world.put("eni-1-all", [(second / 4, str(second)) for second in range(400)])
    assert text(list(world.opened().blocks())) == [str(second) for second in range(400)]


def test_streams_and_patterns_are_asked_for(world: World) -> None:
    world.put("eni-1-all", [(1, "ACCEPT")])
    world.put("eni-2-all", [(2, "REJECT")])
    assert text(list(world.opened("&filter_pattern=ACCEPT").blocks())) == ["ACCEPT"]
    source = world.opened("&stream_prefix=eni-2", seconds=60)
    asked: list[str] = []

    def note(params: Mapping[str, Any], **_: Any) -> None:
        asked.append(params["logStreamNamePrefix"])

    source._logs.meta.events.register("provide-client-params.cloudwatch-logs.FilterLogEvents", note)
    list(source.blocks())
    assert asked == ["eni-2"]


def test_a_format_is_named_by_the_place_and_lines_stay_lines(world: World) -> None:
    world.put("eni-1-all", [(1, "one\ntwo\n")])
    (block,) = world.opened("&format=srcaddr+dstaddr").blocks()
    assert (block.value, block.headers) == (b"one two", {FORMAT_HEADER: b"srcaddr dstaddr"})


def test_events_wait_until_nothing_can_come_before_them(world: World) -> None:
    world.put("eni-1-all", [(0, "old"), (7150, "young")])
    source = world.opened("&delay_seconds=3600&window_seconds=600", seconds=None)
    seen: list[Block] = []
    reading = threading.Thread(target=lambda: seen.extend(source.blocks()))
    reading.start()
    assert any(seen for _ in every(0.05, seconds=60))
    source.stop()
    reading.join(60)
    assert not reading.is_alive()
    assert text(seen) == ["old"]


def test_a_group_that_is_not_there_is_named(world: World) -> None:
    end = _written(world.start + timedelta(minutes=1))
    source = source_at(f"logs://nowhere?region={REGION}&from={_written(world.start)}&to={end}")
    with pytest.raises(InputError, match=r"^logs://nowhere: .*ResourceNotFoundException"):
        list(source.blocks())


def test_without_an_end_a_problem_is_told_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    world.put("eni-1-all", [(1, "one")])
    source = world.opened(seconds=None)
    ask = source._logs.filter_log_events
    failures = iter([InputError("no network"), InputError("no network")])

    def failing(**chosen: Any) -> Any:
        for failure in failures:
            raise failure
        return ask(**chosen)

    monkeypatch.setattr(source._logs, "filter_log_events", failing)
    seen: list[Block] = []
    for block in source.blocks():
        seen.append(block)
        source.stop()
    assert (text(seen), world.problems) == (["one"], ["no network", "no network"])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("logs:///g", "logs:///g: from: Field required"),
        ("logs://?region=x&from=2026-01-05", "logs://: names no log group; write logs:///aws/vpc/flow-logs"),
    ],
)
def test_a_place_that_makes_no_sense_is_named(place: str, message: str) -> None:
    with aws(), pytest.raises(InputError) as caught:
        source_at(place)
    assert str(caught.value) == message
