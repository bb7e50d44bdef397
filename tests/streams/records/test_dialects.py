import base64
import gzip
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from streams.records.contract import DIALECT_HEADER
from tests.streams.records import dialects
from tests.streams.records.dialects import WRITERS, Record
from tests.streams.records.strategies import EVERY_FIELD, records

LINE = b"2 123456789010 eni-1235b8ca123456789 192.0.2.7 10.0.0.5 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
OBJECT = {"srcaddr": "192.0.2.7", "dstaddr": "10.0.0.5", "srcport": 20641, "dstport": 22, "protocol": 6} | {
    "packets": 20,
    "bytes": 4249,
    "start": 1418530010,
    "end": 1418530070,
    "action": "ACCEPT",
}


def read(value: bytes, settings: RecordSettings | None = None) -> Decoded:
    return decode(Message(value), settings or RecordSettings(), NetworkSettings())


def reasons(value: bytes, settings: RecordSettings | None = None) -> list[tuple[int, str]]:
    return list(read(value, settings).refused.select("line", "reason").iter_rows())


def many(value: Record) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_what_is_written_in_one_dialect_is_read_as_from_text(name: str, data: st.DataObject) -> None:
    names = tuple(data.draw(st.permutations(EVERY_FIELD)))
    written = data.draw(st.lists(records(names), min_size=1, max_size=12))
    expected = read(dialects.text(written))
    assert len(expected.table) == len(written)
    found = read(WRITERS[name](written))
    assert found.refused.is_empty()
    assert_frame_equal(found.table.frame, expected.table.frame)


@pytest.mark.parametrize("write", [dialects.ecs, dialects.ocsf])
@given(written=st.lists(records().filter(lambda record: record["log-status"] == "OK"), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_what_is_written_in_a_common_schema_is_read_as_from_text(
    write: dialects.Write, written: list[dict[str, str]]
) -> None:
    written = [record | {"account-id": f"a{record['account-id']}", "interface-id": "eni-1"} for record in written]
    expected = read(dialects.text(written)).table.frame.drop("version", strict=False)
    found = read(write(written))
    assert found.refused.is_empty()
    assert_frame_equal(found.table.frame.drop("version", strict=False), expected)


def test_a_topic_may_mix_all_dialects() -> None:
    record = dict(zip(dialects_default(), LINE.decode().split(), strict=True))
    written = [write([record]) for write in WRITERS.values()]
    values = [value for each in written for value in (LINE, each)]
    found = decode_all([Message(value) for value in values], RecordSettings(), NetworkSettings())
    assert found.refused.is_empty()
    assert found.rows.tolist() == [1] * len(values)
    assert len(set(found.table.frame.rows())) == 1


def dialects_default() -> list[str]:
    return RecordSettings().format.split()


def test_a_header_of_the_message_names_its_dialect() -> None:
    message = Message(LINE, {DIALECT_HEADER: b"aws-json"})
    found = decode(message, RecordSettings(), NetworkSettings())
    assert [reason[:17] for reason in found.refused["reason"]] == ["not a JSON object"]
    unknown = decode(Message(LINE, {DIALECT_HEADER: b"klingon"}), RecordSettings(), NetworkSettings())
    assert unknown.refused["reason"].to_list() == ["written in a dialect that nobody knows"]


def test_objects_of_many_shapes_are_read_in_their_order() -> None:
    shapes = [
        OBJECT,
        dict(reversed(OBJECT.items())),
        OBJECT | {"vpc-id": None},
        OBJECT | {"packets": "20"},
        OBJECT | {"more": {"srcaddr": "203.0.113.1", "list": [1, "two"]}},
        OBJECT | {"vpc-id": 'a "quoted" name'},
    ]
    lines = [json.dumps(shapes[number % 6] | {"srcport": number}) for number in range(600)]
    found = read("\n".join(lines).encode())
    assert found.refused.is_empty()
    assert found.table.frame["source_port"].to_list() == list(range(600))
    assert found.table.frame["vpc_id"].unique().to_list() in ([None, 'a "quoted" name'], ['a "quoted" name', None])


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_byte_in_an_object_is_seen_by_the_comparison_as_by_the_parser(data: st.DataObject) -> None:
    line = json.dumps(OBJECT | {"end": data.draw(st.integers(1418530010, 1418530099))}).encode()
    place = data.draw(st.integers(0, len(line) - 1))
    spoilt = line[:place] + bytes([data.draw(st.integers(32, 126))]) + line[place + 1 :]
    among_others = read(b"\n".join([line] * 5 + [spoilt]))
    alone = decode(Message(spoilt, {DIALECT_HEADER: b"aws-json"}), RecordSettings(), NetworkSettings())
    assert among_others.table.frame[5:].to_dicts() == alone.table.frame.to_dicts()
    assert among_others.refused.height == alone.refused.height


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"srcport": 70000}, "srcport 70000 is not a number from 0 to 65535"),
        ({"srcport": 5.5}, "srcport 5.5 is not a number from 0 to 65535"),
        ({"srcport": True}, "srcport true is not a number from 0 to 65535"),
        ({"bytes": -1}, "bytes -1 is negative"),
        ({"srcaddr": None}, "srcaddr is missing"),
        ({"action": ["ACCEPT"]}, 'action ["ACCEPT"] is not ACCEPT or REJECT'),
    ],
)
def test_a_refused_object_says_why(change: dict[str, object], expected: str) -> None:
    assert reasons(json.dumps(OBJECT | change).encode()) == [(1, expected)]
    lines = [json.dumps(OBJECT).encode()] * 9
    assert reasons(b"\n".join([*lines, json.dumps(OBJECT | change).encode()])) == [(10, expected)]


def test_a_control_message_is_neither_read_nor_refused() -> None:
    value = json.dumps({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "reachable"}]}).encode()
    found = decode_all([Message(value), Message(LINE)], RecordSettings(), NetworkSettings())
    assert found.refused.is_empty()
    assert found.rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (gzip.compress(LINE, mtime=0)[:-9], "gzip cannot be decompressed"),
        (b"\x1f\x8bnonsense", "gzip cannot be decompressed"),
        (b"\x28\xb5\x2f\xfdnonsense", "zstd cannot be decompressed"),
        (b"H4sIA===", "base64 cannot be decoded"),
        (b'{"messageType":"DATA_MESSAGE"}', "a CloudWatch subscription without log events"),
        (b'{"messageType":', "a CloudWatch subscription that is not JSON"),
        (b"PAR1nonsense", "Parquet cannot be read"),
    ],
)
def test_a_broken_envelope_is_refused_whole(value: bytes, expected: str) -> None:
    messages = [Message(LINE), Message(value), Message(LINE)]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows.tolist() == [1, 0, 1]
    ((message, line, reason, raw),) = found.refused.rows()
    assert (message, line, raw) == (1, 1, value)
    assert reason.startswith(expected)


@pytest.mark.parametrize("name", ["gzip", "zstd", "parquet"])
def test_a_bomb_is_refused_at_the_limit(name: str) -> None:
    record = dict(zip(dialects_default(), LINE.decode().split(), strict=True))
    value = WRITERS[name]([record] * 100_000)
    assert len(value) < 100_000
    ((_, reason),) = reasons(value, RecordSettings(decompressed_limit_bytes=1_000_000))
    assert "records.decompressed_limit_bytes (1000000)" in reason
    assert len(read(value).table) == 100_000


def test_envelopes_inside_each_other_come_to_an_end() -> None:
    value = LINE
    for _ in range(3):
        value = gzip.compress(value)
    assert len(read(value).table) == 1
    value = gzip.compress(gzip.compress(value))
    assert reasons(value) == [(1, "more than 4 envelopes inside each other")]


def test_line_ends_inside_an_event_are_no_way_in() -> None:
    event = {
        "messageType": "DATA_MESSAGE",
        "logEvents": [{"message": f"x\n{LINE.decode()}"}, {"message": LINE.decode()}],
    }
    found = read(json.dumps(event).encode())
    assert found.refused.select("line", "reason").rows() == [(1, "control character 0x00")]
    assert len(found.table) == 1


@pytest.mark.parametrize(
    "around", [lambda value: value, gzip.compress, lambda value: base64.b64encode(gzip.compress(value))]
)
def test_a_refused_event_keeps_its_bytes_also_where_they_are_no_text(around: Callable[[bytes], bytes]) -> None:
    spoilt = LINE.replace(b"eni-", b"eni-\xff\xfe\xc3")
    events = b",".join(b'{"message":"%s"}' % line for line in (LINE, spoilt, "é".encode() + LINE, LINE))
    found = read(around(b'{"messageType":"DATA_MESSAGE","logEvents":[%s]}' % events))
    assert found.refused.select("line", "reason", "raw").rows() == [
        (2, "not valid UTF-8", spoilt),
        (3, "version é2 is not a number from 0 to 255", "é".encode() + LINE),
    ]
    assert len(found.table) == 2


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        ({"message": f"x\n{LINE.decode()}\n"}, f"x\n{LINE.decode()}\n"),
        ({"message": "half a pair \ud800"}, "half a pair \ud800"),
        ({"message": 5, "id": "1"}, {"message": 5, "id": "1"}),
        ({"id": "1"}, {"id": "1"}),
        ("no object", "no object"),
        ({"message": "a b\nc"}, "a b\nc"),
    ],
)
@pytest.mark.parametrize("layout", [RecordSettings().format, "srcaddr dstaddr"])
def test_an_event_that_is_no_line_is_refused_with_all_that_was_in_it(event: object, kept: object, layout: str) -> None:
    value = json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [event]}).encode()
    ((_, line, reason, raw),) = decode(Message(value), RecordSettings(format=layout), NetworkSettings()).refused.rows()
    assert (line, reason, raw[:1]) == (1, "control character 0x00", b"\0")
    assert json.loads(raw[1:]) == kept
