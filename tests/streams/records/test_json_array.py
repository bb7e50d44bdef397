import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from streams.records.json_array import JsonArray
from tests.streams.flow_lines import flow
from tests.streams.records import dialects
from tests.streams.records.strategies import records

RECORD = dict(zip(RecordSettings().format.split(), flow().split(), strict=True))
OBJECT = dialects.json_numbers([RECORD]).decode()


def read(value: bytes) -> Decoded:
    return decode(Message(value), RecordSettings(), NetworkSettings())


def array(lines: bytes, indent: int | None = None) -> bytes:
    return json.dumps([json.loads(line) for line in lines.splitlines()], indent=indent).encode()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("write", [dialects.json_numbers, dialects.json_strings, dialects.ecs, dialects.ocsf])
@given(written=st.lists(records().filter(lambda record: record["log-status"] == "OK"), min_size=1, max_size=9))
@settings(max_examples=10, deadline=None)
def test_an_array_is_read_as_its_elements_line_by_line(
    write: Callable[[Sequence[dialects.Record]], bytes], indent: int | None, written: list[dict[str, str]]
) -> None:
    lines = write(written)
    found, expected = read(array(lines, indent)), read(lines)
    assert found.refused.is_empty()
    assert len(found.table) == len(written)
    assert_frame_equal(found.table.frame, expected.table.frame)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("null", "not a JSON object"),
        ('["srcaddr"]', "not a JSON object"),
        (json.dumps(flow()), "not a JSON object"),
        ("5", "not a JSON object"),
        ("{}", "there is no field srcaddr"),
        (OBJECT.replace(RECORD["srcport"], "70000"), "srcport 70000 is not a number"),
        (OBJECT.replace(f": {RECORD['bytes']}", f": {'9' * 5000}"), "bytes 99999"),
    ],
)
def test_an_element_that_is_no_record_costs_only_itself(element: str, reason: str) -> None:
    value = f"[{OBJECT},\n {OBJECT}\r\n, {element},{OBJECT}]".encode()
    found = read(value)
    assert len(found.table) == 3
    ((line, why),) = found.refused.select("line", "reason").iter_rows()
    assert line == 3
    assert why.startswith(reason)


@pytest.mark.parametrize(
    "value",
    [
        f"[{OBJECT}",
        f"[{OBJECT},",
        f"[{OBJECT},]",
        f"[{OBJECT} {OBJECT}]",
        f"[{OBJECT}] {OBJECT}",
        "[{]",
        '[{"a": "b\nc"}]',
        '[{"a":' + "[" * 100_000,
    ],
)
def test_an_array_that_is_broken_is_refused_whole(value: str) -> None:
    messages = [Message(flow().encode()), Message(value.encode()), Message(flow().encode())]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows.tolist() == [1, 0, 1]
    ((message, line, reason, raw),) = found.refused.rows()
    assert (message, line, raw) == (1, 1, value.encode())
    assert reason.startswith("not a JSON array: ")


def test_invalid_utf8_in_an_array_is_refused_whole() -> None:
    found = read(f"[{OBJECT}]".encode().replace(b"ACCEPT", b"\xff"))
    assert [reason[:16] for reason in found.refused["reason"]] == ["not a JSON array"]


@pytest.mark.parametrize("value", [b"[]", b" [ ]\n"])
def test_an_empty_array_is_neither_read_nor_refused(value: bytes) -> None:
    found = decode_all([Message(value), Message(flow().encode())], RecordSettings(), NetworkSettings())
    assert found.refused.is_empty()
    assert found.rows.tolist() == [0, 1]


@pytest.mark.parametrize("value", [b"[INFO] started", b"[1, 2]", b'["a"]', OBJECT.encode(), flow().encode()])
def test_what_does_not_begin_with_an_object_in_an_array_is_left_to_others(value: bytes) -> None:
    assert not JsonArray().recognises(value)


@given(value=st.one_of(st.binary(max_size=80), st.text('[]{},:" \n1a\\', max_size=40).map(str.encode)))
@settings(max_examples=150, deadline=None)
def test_any_bytes_in_an_array_are_read_or_refused(value: bytes) -> None:
    found = decode_all([Message(b"[{" + value), Message(flow().encode())], RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1
    assert set(found.refused["message"]) <= {0}
