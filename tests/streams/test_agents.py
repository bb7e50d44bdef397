from faust.types import TP

from streams.agents import batch_of
from streams.fetched_records import Record, Records
from streams.transport import Fetched

WRITTEN = 1_767_603_600_000


def test_a_batch_names_its_partition_and_its_range() -> None:
    records = Records.of([Record(7, WRITTEN, b"one", (("a", b"b"),)), Record(9, WRITTEN, b"")])
    batch = batch_of(Fetched(TP("findings", 0), records, 6, 12))
    assert batch.source == "findings/0"
    assert (batch.begin, batch.end, batch.offsets.tolist()) == (6, 12, [7, 9])
    assert [message.value for message in batch.messages] == [b"one", b""]
    assert batch.messages[0].headers == {"a": b"b"}
    assert batch.messages[0].timestamp == WRITTEN
