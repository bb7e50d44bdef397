import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.errors import InputError
from streams.sources import Block, Position, source_at
from streams.sources.resumed import END
from streams.sources.sqs import SqsSource
from tests.streams.flow_lines import flow
from tests.streams.programs import every
from tests.streams.sources.aws import BUCKET, REGION, aws, bucket, client, event, key, left, put, queue, send

DAY = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = [key(DAY + timedelta(minutes=5 * step)) for step in range(4)]


class World:
    """A bucket and a queue."""

    def __init__(self) -> None:
        self.s3, self.queue = bucket(), queue()
        self.problems: list[str] = []

    def stored(self, name: str, *, port: int = 1, lines: int = 2) -> str:
        """Store an object, tell the queue of it, and return its ETag."""
        etag = put(self.s3, name, [flow(port=port)] * lines)
        send(self.queue, event(name, etag))
        return etag

    def opened(self, query: str = "&until_empty=true") -> SqsSource:
        source = source_at(f"sqs://flow-logs?region={REGION}&wait_seconds=0{query}")
        assert isinstance(source, SqsSource)
        source.on_problem = lambda error: self.problems.append(str(error))
        return source


@pytest.fixture
def world() -> Iterator[World]:
    with aws():
        yield World()


def ports(blocks: list[Block]) -> list[int]:
    return [int(block.value.split()[6]) for block in blocks]


def test_messages_are_deleted_once_kafka_has_their_objects(world: World) -> None:
    for number, name in enumerate(NAMES):
        world.stored(name, port=number + 1)
    source = world.opened()
    blocks = list(source.blocks())
    assert sorted(ports(blocks)) == [1, 2, 3, 4]
    assert left(world.queue) == 4
    for count, block in enumerate(blocks, 1):
        source.acknowledge(block)
        assert left(world.queue) == 4 - count
    assert world.problems == []


def test_objects_of_one_question_come_by_their_times(world: World) -> None:
    etags = [put(world.s3, name, [flow(port=number + 1)]) for number, name in enumerate(NAMES)]
    records = [event(name, etag)["Records"][0] for name, etag in zip(NAMES, etags, strict=True)]
    send(world.queue, {"Records": records[::-1]})
    source = world.opened()
    blocks = list(source.blocks())
    assert ports(blocks) == [1, 2, 3, 4]
    for block in blocks[:-1]:
        source.acknowledge(block)
    assert left(world.queue) == 1
    source.acknowledge(blocks[-1])
    assert left(world.queue) == 0


def test_what_comes_twice_is_read_once_and_both_are_deleted(world: World) -> None:
    etag = world.stored(NAMES[0])
    for _ in range(12):
        send(world.queue, event(NAMES[0], etag))
    source = world.opened()
    blocks = list(source.blocks())
    assert len(blocks) == 1
    assert left(world.queue) == 13
    source.acknowledge(blocks[0])
    assert left(world.queue) == 0
    send(world.queue, event(NAMES[0], etag))
    assert list(source.blocks()) == []
    assert left(world.queue) == 0


def test_what_kafka_has_since_an_earlier_run_is_deleted_unread(world: World) -> None:
    etag = world.stored(NAMES[0])
    source = world.opened()
    source.resume({f"s3://{BUCKET}/{NAMES[0]}": Position(END, etag)})
    assert list(source.blocks()) == []
    assert left(world.queue) == 0


def test_another_content_under_the_same_name_is_read(world: World) -> None:
    world.stored(NAMES[0], port=1)
    source = world.opened()
    for block in source.blocks():
        source.acknowledge(block)
    world.stored(NAMES[0], port=2)
    assert ports(list(source.blocks())) == [2]


def test_an_object_that_is_gone_is_named_and_not_waited_for(world: World) -> None:
    world.stored(NAMES[0])
    world.s3.delete_object(Bucket=BUCKET, Key=NAMES[0])
    assert list(world.opened().blocks()) == []
    assert left(world.queue) == 0
    assert world.problems == [f"sqs://flow-logs: s3://{BUCKET}/{NAMES[0]}: is not there any more"]


def test_what_fails_too_often_is_parked_and_the_rest_goes_on(world: World) -> None:
    parked = queue("parked")
    etag = world.s3.put_object(Bucket=BUCKET, Key=NAMES[0], Body=b"\x1f\x8b\x08\x00 broken")["ETag"].strip('"')
    send(world.queue, event(NAMES[0], etag))
    send(world.queue, "nonsense")
    source = world.opened("&until_empty=true&tries=3&retry_seconds=0&parked=parked")
    assert list(source.blocks()) == []
    assert (left(world.queue), left(parked)) == (0, 2)
    found = client("sqs").receive_message(
        QueueUrl=parked, MaxNumberOfMessages=10, MessageAttributeNames=["flowhawk-reason"]
    )["Messages"]
    reasons = {each["Body"]: each["MessageAttributes"]["flowhawk-reason"]["StringValue"] for each in found}
    assert reasons["nonsense"].startswith("a message that is no event of S3: 'nonsense'")
    assert sum("was parked after 3 tries" in each for each in world.problems) == 2
    world.stored(NAMES[1])
    assert len(list(source.blocks())) == 1


def test_without_a_queue_to_park_in_a_message_is_given_back(world: World) -> None:
    send(world.queue, "nonsense")
    source = world.opened("&until_empty=true&tries=1&retry_seconds=600")
    assert list(source.blocks()) == []
    assert left(world.queue) == 1


def test_a_test_of_the_notifications_is_deleted(world: World) -> None:
    send(world.queue, {"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert list(world.opened().blocks()) == []
    assert (left(world.queue), world.problems) == (0, [])


def test_others_do_not_see_a_message_for_as_long_as_it_is_worked_on(world: World) -> None:
    world.stored(NAMES[0], lines=100_000)
    source = world.opened("&until_empty=true&visibility_seconds=3")
    blocks = source.blocks()
    first = next(blocks)
    renewed = threading.Event()
    renew = source._visible

    def noted(message: Any, seconds: int) -> None:
        renew(message, seconds)
        renewed.set()

    source._visible = noted  # type: ignore[method-assign]  # to see that it is called
    assert renewed.wait(60)
    assert [first, *blocks][-1].position == END


def test_it_ends_when_told_to(world: World) -> None:
    source = world.opened("")
    seen: list[Block] = []
    reading = threading.Thread(target=lambda: seen.extend(source.blocks()))
    reading.start()
    world.stored(NAMES[0])
    assert any(seen for _ in every(0.05, seconds=60))
    source.stop()
    reading.join(60)
    assert not reading.is_alive()


def test_a_queue_that_is_not_there_is_named(world: World) -> None:
    del world
    with pytest.raises(InputError, match=r"^sqs://nowhere: .*NonExistentQueue"):
        source_at(f"sqs://nowhere?region={REGION}")
