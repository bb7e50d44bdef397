from aiokafka import ConsumerRecord

from streams.agents import batch_of
from streams.transport import Fetched


def record(value: bytes | None, offset: int = 0) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("findings", 0, offset, 1_767_603_600_000, 0, b"key", value, None, 3, -1, (("a", b"b"),))


def test_a_batch_names_its_partition_and_its_range() -> None:
    batch = batch_of(Fetched([record(b"one", 7), record(None, 9)], 6, 12))
    assert batch.source == "findings/0"
    assert (batch.begin, batch.end, batch.offsets.tolist()) == (6, 12, [7, 9])
    assert [message.value for message in batch.messages] == [b"one", b""]
    assert batch.messages[0].headers == {"a": b"b"}
    assert batch.messages[0].timestamp == 1_767_603_600_000
