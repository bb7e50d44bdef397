from collections.abc import Sequence

import numpy as np
import pytest
from aiokafka.errors import UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from streams.fetched_records import Records
from streams.record_batches import Payload, read

Written = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Milliseconds since the first one, key, value and headers."""

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BEGIN = 1_767_603_600_000
LINE = b"2 123456789010 eni-1 192.0.2.1 10.0.0.5 40000 22 6 3 180 1700000000 1700000050 REJECT OK"


def batch(records: Sequence[Written], *, offset: int = 0, codec: str = "none", appended: int | None = None) -> bytes:
    """Write a batch as a producer does, with what a broker puts into its head."""
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 30)
    for number, (milliseconds, key, value, headers) in enumerate(records):
        assert builder.append(number, BEGIN + milliseconds, key, value, headers) is not None
    data = bytearray(builder.build())
    data[:8] = offset.to_bytes(8, "big")
    if appended is not None:
        data[22] |= 0x08
        data[35:43] = appended.to_bytes(8, "big")
    return bytes(data)


def own(batches: Sequence[bytes]) -> Records | None:
    payloads = [Payload.of(memoryview(each)) for each in batches]
    return read([each for each in payloads if each is not None])


def assert_as_aiokafka_reads(found: Records, batches: Sequence[bytes]) -> None:
    expected = Records.of(record for each in batches for record in DefaultRecordBatch(each))
    assert found.values() == expected.values()
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert found.timestamps.tolist() == expected.timestamps.tolist()


def lines(count: int) -> list[Written]:
    return [(number // 3, None, LINE + b" %d" % number, []) for number in range(count)]


anything = st.tuples(
    st.integers(0, 2**33),
    st.none() | st.binary(max_size=200),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=1),
)
usual: st.SearchStrategy[Written] = st.tuples(
    st.integers(0, 300), st.none() | st.binary(min_size=1, max_size=9), st.just(LINE), st.just([])
)


@given(st.lists(st.tuples(st.lists(anything | usual, min_size=1, max_size=9), st.sampled_from(sorted(CODECS)))))
def test_what_is_read_is_what_aiokafka_reads(written: list[tuple[list[Written], str]]) -> None:
    batches = [batch(records, offset=1000 * at, codec=codec) for at, (records, codec) in enumerate(written)]
    found = own(batches)
    if found is not None:
        assert found.headers is None
        assert_as_aiokafka_reads(found, batches)


@pytest.mark.parametrize("codec", CODECS)
def test_lines_are_read_at_one_go(codec: str) -> None:
    batches = [batch(lines(700), offset=5, codec=codec), batch(lines(1), offset=800), batch(lines(300), offset=900)]
    found = own(batches)
    assert found is not None
    assert_as_aiokafka_reads(found, batches)


@pytest.mark.parametrize(
    "records",
    [
        [(0, b"host", LINE, [])] * 50,
        [(0, None, None, [])] * 50,
        [(0, None, b"", [])] * 50,
        [(number, None, b"x" * (number * 977), []) for number in range(200)],
        [(2**32 + number, None, LINE, []) for number in range(50)],
        [(0, None, b"\xff" * 200, [])] * 50,
    ],
    ids=["keys", "deleted", "empty", "sizes", "times", "high bytes"],
)
def test_what_is_usual_is_read_at_one_go(records: list[Written]) -> None:
    found = own([batch(records)])
    assert found is not None
    assert_as_aiokafka_reads(found, [batch(records)])


def test_a_broker_that_sets_the_time_sets_it_for_all() -> None:
    batches = [batch(lines(20)), batch(lines(20), offset=20, appended=BEGIN + 77)]
    found = own(batches)
    assert found is not None
    assert found.timestamps[20:].tolist() == [BEGIN + 77] * 20
    assert_as_aiokafka_reads(found, batches)


def test_records_with_headers_are_left_to_others() -> None:
    assert own([batch([(0, None, LINE, [("flowhawk-dialect", b"aws-text")])])]) is None
    assert own([batch(lines(3)), batch([(0, None, LINE, [("a", None)])], offset=3)]) is None


def test_offsets_that_compaction_left_out_are_missing() -> None:
    whole = bytearray(batch(lines(3)))
    # The second of three is gone: the last one's offset stays.
    begins = [61]
    for _ in range(2):
        begins.append(begins[-1] + 2 + ((whole[begins[-1]] & 0x7F | whole[begins[-1] + 1] << 7) >> 1))
    compacted = whole[: begins[1]] + whole[begins[2] :]
    compacted[57:61] = (2).to_bytes(4, "big")
    found = own([bytes(compacted)])
    assert found is not None
    assert found.offsets.tolist() == [0, 2]
    assert_as_aiokafka_reads(found, [bytes(compacted)])


def test_a_batch_may_have_lost_all_its_records() -> None:
    empty = bytearray(batch(lines(1))[:61])
    empty[57:61] = (0).to_bytes(4, "big")
    found = own([bytes(empty)])
    assert found is not None
    assert len(found) == 0
    found = own([bytes(empty), batch(lines(3), offset=9), bytes(empty)])
    assert found is not None
    assert found.offsets.tolist() == [9, 10, 11]


@pytest.mark.parametrize("count", [2, 4])
def test_a_batch_with_another_number_of_records_than_it_says_is_left_to_others(count: int) -> None:
    wrong = bytearray(batch(lines(3)))
    wrong[57:61] = count.to_bytes(4, "big")
    assert own([bytes(wrong)]) is None
    # Nor may the batch behind it make up for that.
    other = bytearray(batch(lines(3), offset=3))
    other[57:61] = (6 - count).to_bytes(4, "big")
    assert own([bytes(wrong), bytes(other)]) is None


@given(st.integers(61, 1200), st.integers(0, 255))
def test_a_byte_that_is_wrong_never_goes_unseen_by_what_follows(at: int, byte: int) -> None:
    """Checksums find it before; but what is read of it anyway must lie inside."""
    broken = bytearray(batch(lines(15)))
    broken[min(at, len(broken) - 1)] = byte
    found = own([bytes(broken)])
    if found is not None:
        assert (found.begin <= found.end).all()
        assert (found.end[:-1] < found.begin[1:]).all()
        assert found.end[-1] < len(found.buffer)


def test_older_formats_have_no_payload() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    builder.append(0, BEGIN, None, LINE)
    assert Payload.of(memoryview(bytes(builder.build()))) is None


def test_a_compression_that_nobody_knows_is_said() -> None:
    unknown = bytearray(batch(lines(3)))
    unknown[22] |= 0x05
    with pytest.raises(UnsupportedCodecError, match="codec 5"):
        Payload.of(memoryview(bytes(unknown)))


def test_numbers_are_read_to_their_last_bit() -> None:
    records: list[Written] = [(0, None, b"one", []), (2**61, None, b"two", [])]
    found = own([batch(records)])
    assert found is not None
    assert np.diff(found.timestamps).tolist() == [2**61]
