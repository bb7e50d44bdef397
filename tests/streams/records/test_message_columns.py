import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.fetched_records import Record, Records
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.contract import DIALECT_HEADER, FORMAT_HEADER, SAMPLING_HEADER
from streams.records.message_columns import MessageColumns, with_header
from tests.streams.records.dialects import WRITERS
from tests.streams.records.oracle import DEFAULT
from tests.streams.records.strategies import lines, records

WRITTEN = 1_900_000_000_000
LINE = b"2 123456789010 eni-1 192.0.2.1 10.0.0.5 40000 22 6 3 180 1700000000 1700000050 REJECT OK"

values = st.one_of(
    lines(),
    st.lists(records(), min_size=1, max_size=2).map(WRITERS["json with strings"]),
    st.sampled_from([b"", b"\r\n", LINE + b"\r\n" + LINE + b"\r", b"nonsense", b" " + LINE, b"\xff", b"{}"]),
)
headers = st.sampled_from(
    [
        (),
        ((SAMPLING_HEADER, b"10"),),
        ((DIALECT_HEADER, b"aws-text"), (FORMAT_HEADER, " ".join(DEFAULT).encode())),
        ((DIALECT_HEADER, None),),
    ]
)
written = st.one_of(st.none(), st.sampled_from([WRITTEN, 1_500_000_000_000]))


@given(st.lists(st.tuples(values, written, st.just(()) | headers), max_size=6))
def test_messages_in_columns_are_read_as_single_ones_are(
    several: list[tuple[bytes, int | None, tuple[tuple[str, bytes | None], ...]]],
) -> None:
    each = [Record(offset, timestamp, value, said) for offset, (value, timestamp, said) in enumerate(several)]
    columns = MessageColumns(Records.of(each))
    single = [Message(record.value, record.said, record.timestamp) for record in each]
    found = decode_all(columns, RecordSettings(), NetworkSettings())
    expected = decode_all(single, RecordSettings(), NetworkSettings())
    assert found.table.frame.equals(expected.table.frame)
    assert found.refused.equals(expected.refused)
    assert np.array_equal(found.rows, expected.rows)
    assert list(columns) == single


def test_messages_are_made_when_somebody_asks() -> None:
    columns = MessageColumns(Records.of([Record(7, WRITTEN, LINE, (("a", b"b"), ("c", None))), Record(8, None, b"")]))
    assert len(columns) == 2
    assert columns[0] == Message(LINE, {"a": b"b"}, WRITTEN)
    assert list(columns[1:]) == [Message(b"", {}, None)]
    assert columns.first_bytes() == {b"2", b""}


def test_who_has_a_header_is_known_of_columns_and_of_single_messages() -> None:
    records = [Record(0, None, LINE), Record(1, None, LINE, (("a", b"b"),)), Record(2, None, LINE, (("b", b""),))]
    columns = MessageColumns(Records.of(records))
    assert with_header(columns, "a") == with_header(list(columns), "a") == [1]
    assert with_header(MessageColumns(Records.of(records[:1])), "a") == []
