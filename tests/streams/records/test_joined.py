from hypothesis import given
from hypothesis import strategies as st

from streams.fetched_records import Record, Records
from streams.records import Message
from streams.records.joined import Joined
from streams.records.message_columns import MessageColumns


@given(st.lists(st.text("ab\r\n", max_size=6).map(str.encode), max_size=5))
def test_columns_and_single_messages_are_put_together_alike(values: list[bytes]) -> None:
    expected = [value.replace(b"\r\n", b"\n").removesuffix(b"\r") for value in values]
    columns = MessageColumns(Records.of(Record(offset, None, value) for offset, value in enumerate(values)))
    for messages in (columns, [Message(value) for value in values]):
        joined = Joined.of(messages)
        parts = [joined.buffer.slice(*ends) for ends in zip(joined.begins.tolist(), joined.ends.tolist(), strict=True)]
        assert parts == [value + b"\n" for value in expected]
