import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.records import RecordSettings
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block
from streams.sources.times import ends_of, text_fields
from tests.streams.flow_lines import NINE, flow

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
NODATA = f"2 123456789012 eni-1 - - - - - - - {NINE} {NINE + 60} - NODATA"
LINES = st.sampled_from(["garbage", "", HEADER, NODATA, flow(end=NINE), flow(end=NINE + 7), "x " * 13 + "x"])


def block(*lines: str, **headers: bytes) -> Block:
    return Block("\n".join(lines).encode(), headers, len(lines), "a.log", 1)


def told(*lines: str, records: RecordSettings | None = None) -> list[int] | None:
    ends = ends_of(block(*lines), records or RecordSettings())
    return None if ends.by_line is None else ends.by_line.tolist()


def test_lines_say_when_they_end() -> None:
    assert told(flow(end=NINE), NODATA, flow(end=NINE + 1)) == [NINE, NINE + 60, NINE + 1]
    assert told(HEADER, flow(end=NINE)) == [0, NINE]
    assert told(HEADER) == [0]


@given(st.lists(LINES, min_size=1, max_size=12))
def test_lines_that_are_no_records_say_nothing_and_take_nothing_from_others(lines: list[str]) -> None:
    ends = ends_of(block(*lines), RecordSettings())
    expected = [int(line.split()[11]) if line.endswith(("OK", "NODATA")) else 0 for line in lines]
    if ends.by_line is not None:
        assert ends.by_line.tolist() == expected
        assert ends.stops is not None
        starts = [0, *(ends.stops[:-1] + 1)]
        text = "\n".join(lines)
        assert [text[start:stop] for start, stop in zip(starts, ends.stops, strict=True)] == lines
    assert ends.latest == max(expected)


def test_a_time_that_has_not_come_yet_is_none() -> None:
    assert told(flow(end=9_999_999_999), flow(end=NINE)) == [0, NINE]


@pytest.mark.parametrize("format", ["end srcaddr", "srcaddr end", "srcaddr dstaddr end start"])
def test_any_format_says_where_the_time_stands(format: str) -> None:  # noqa: A002 - what it is called
    names = format.split()
    line = " ".join(str(NINE) if name == "end" else "7" for name in names)
    assert told(line, line, records=RecordSettings(format=format)) == [NINE, NINE]


def test_a_format_without_a_time_says_nothing() -> None:
    assert told("10.0.0.1 10.0.0.2", records=RecordSettings(format="srcaddr dstaddr")) == [0]


def test_json_tells_its_latest_end_and_cannot_be_cut() -> None:
    record = '{"version":2,"srcaddr":"10.0.0.1","dstaddr":"10.0.0.2","srcport":1,"dstport":2,"protocol":6,"packets":1,'
    record += f'"bytes":40,"start":{NINE - 5},"end":{NINE},"action":"ACCEPT","log-status":"OK"}}'
    ends = ends_of(block(record), RecordSettings())
    assert (ends.latest, ends.by_line) == (NINE, None)


def test_the_fields_of_lines_are_known_where_they_are_certain() -> None:
    assert text_fields(Block(b"a b", {FORMAT_HEADER: b"srcaddr dstaddr"}, 1, "a", 3), RecordSettings()) == [
        "srcaddr",
        "dstaddr",
    ]
    assert text_fields(block("three fields only"), RecordSettings()) is None
    assert text_fields(block("\x1f\x8b"), RecordSettings()) is None
