import base64
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.table import Table
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.contract import DIALECT_HEADER, FORMAT_HEADER
from streams.records.decode import dialects
from tests.streams.records.dialects import WRITERS, ecs, ocsf
from tests.streams.records.oracle import DEFAULT
from tests.streams.records.strategies import lines, records

LINE = b"2 123456789010 eni-1235b8ca123456789 192.0.2.7 10.0.0.5 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"

CORPUS = {
    "NUL": b"\0",
    "NUL lines": b"\0\n\0\0\n",
    "a long line": b"x" * 10_000_000,
    "a long line of fields": b"1 " * 5_000_000,
    "a long number": LINE.replace(b"4249", b"9" * 1_000_000),
    "invalid UTF-8": b"\xff\xfe\xfd",
    "carriage returns": b"\r\r\r",
    "mixed line ends": LINE + b"\r" + LINE + b"\n\r" + LINE,
    "marks": b"\xef\xbb\xbf" * 9 + LINE,
    "half an object": b'{"srcaddr": "192.0.2.1"',
    "an array": b'[{"srcaddr": "192.0.2.1"}]',
    "a deep object": b'{"srcaddr":' * 100_000,
    "a deep array": b'{"srcaddr":' + b"[" * 100_000,
    "half a header": b"version account-id",
    "only separators": b" , \t , \n,,,,,,,,,,,,,\n",
    "numbers that JSON has not": b'{"srcaddr": NaN, "dstaddr": Infinity}',
    "lone surrogates": b'{"srcaddr": "\\ud800"}',
    "gzip of nothing": gzip.compress(b"", mtime=0),
    "magic words only": b"PAR1PAR1",
}

small_records = st.lists(records(), min_size=1, max_size=3)


@pytest.mark.parametrize("name", CORPUS)
def test_no_bytes_cost_more_than_themselves(name: str) -> None:
    messages = [Message(LINE), Message(CORPUS[name]), Message(LINE + b"\n" + LINE)]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows[[0, 2]].tolist() == [1, 2]
    assert set(found.refused["message"]) <= {1}


@given(
    value=st.binary(max_size=300),
    headers=st.sampled_from([{}, {FORMAT_HEADER: b"srcaddr \xff"}, {DIALECT_HEADER: b"x"}]),
)
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(value: bytes, headers: dict[str, bytes]) -> None:
    messages = [Message(value, headers), Message(LINE)]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1
    assert len(Table(found.table.frame)) == found.rows.sum()


@pytest.mark.parametrize("dialect", [dialect.name for dialect in dialects()])
@given(value=st.binary(max_size=200))
@settings(max_examples=25, deadline=None)
def test_every_dialect_reads_or_refuses_any_bytes(dialect: str, value: bytes) -> None:
    message = Message(value, {DIALECT_HEADER: dialect.encode()})
    found = decode_all([message], RecordSettings(), NetworkSettings())
    assert len(Table(found.table.frame)) == found.rows.sum()


@pytest.mark.parametrize("name", [*WRITERS, "ecs", "ocsf"])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_spoilt_messages_of_every_dialect_are_read_or_refused(name: str, data: st.DataObject) -> None:
    written = data.draw(small_records.filter(lambda some: all(record["log-status"] == "OK" for record in some)))
    value = {**WRITERS, "ecs": ecs, "ocsf": ocsf}[name](written)
    place = data.draw(st.integers(0, len(value) - 1))
    spoilt = value[:place] + data.draw(st.binary(max_size=4)) + value[place + data.draw(st.integers(0, 8)) :]
    found = decode_all([Message(spoilt), Message(LINE)], RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1


@given(raws=st.lists(lines(DEFAULT), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_decoding_twice_gives_the_same(raws: list[bytes]) -> None:
    messages = [Message(b"\n".join(raws)), Message(base64.b64encode(gzip.compress(b"\n".join(raws))))]
    messages += [Message(json.dumps({"message": raw.decode("latin-1")}).encode()) for raw in raws]
    once, twice = (decode_all(messages, RecordSettings(), NetworkSettings()) for _ in range(2))
    assert once.table.frame.equals(twice.table.frame)
    assert once.refused.equals(twice.refused)
