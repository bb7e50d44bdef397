import polars as pl
import pytest

from detectors.table import Table
from streams.dead_letters import LATE_RECORDS, RAW_BYTES, dead_letters, late_blocks
from streams.records import REFUSED, Message, NetworkSettings, RecordSettings, decode
from tests.streams.flow_lines import block, flow

FULL = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status tcp-flags flow-direction"
)


def table_of(*lines: str, layout: str | None = None) -> Table:
    settings = RecordSettings(format=layout) if layout else RecordSettings()
    decoded = decode(Message(block(lines)), settings, NetworkSettings())
    assert decoded.refused.is_empty()
    return decoded.table


def decoded_again(late: Table) -> list[Table]:
    decoded = [
        decode(Message(value, headers), RecordSettings(), NetworkSettings()) for value, headers in late_blocks(late)
    ]
    assert all(each.refused.is_empty() for each in decoded)
    return [each.table for each in decoded]


def refusals(*raw: bytes) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "message": [number // 2 for number in range(len(raw))],
            "line": [number + 1 for number in range(len(raw))],
            "reason": [f"reason {number}" for number in range(len(raw))],
            "raw": list(raw),
        },
        schema=REFUSED,
    )


class TestDeadLetters:
    def test_hold_the_bytes_and_say_why_and_from_where(self) -> None:
        letters = list(dead_letters(refusals(b"a", b"\xff\x00", b"c"), "flows", 3, [70, 75]))
        assert [value for value, _ in letters] == [b"a", b"\xff\x00", b"c"]
        assert letters[2][1] == {
            "flowhawk-reason": b"reason 2",
            "flowhawk-topic": b"flows",
            "flowhawk-partition": b"3",
            "flowhawk-offset": b"75",
            "flowhawk-line": b"3",
        }

    def test_are_none_where_nothing_was_refused(self) -> None:
        assert list(dead_letters(refusals(), "flows", 0, [])) == []

    def test_of_a_line_too_long_for_a_message_keep_the_beginning_and_its_size(self) -> None:
        long = b"x" * (3 * RAW_BYTES)
        ((value, headers),) = dead_letters(refusals(long), "flows", 0, [1])
        assert value == long[:RAW_BYTES]
        assert headers["flowhawk-bytes"] == str(len(long)).encode()

    def test_have_short_reasons_even_where_a_field_is_long(self) -> None:
        refused = decode(Message(flow("y" * 500_000).encode()), RecordSettings(), NetworkSettings()).refused
        ((_, headers),) = dead_letters(refused, "flows", 0, [1])
        assert headers["flowhawk-reason"].startswith(b"srcaddr yyy")
        assert len(headers["flowhawk-reason"]) <= 1024


class TestLateBlocks:
    @pytest.mark.parametrize(
        "table",
        [
            table_of(flow(), flow("2001:db8::1", "2001:db8::2"), flow(action="REJECT")),
            table_of(f"{flow()} 2 ingress", f"{flow()} - -", f"{flow()} 18 egress", layout=FULL),
            table_of("2 123456789012 eni-1 - - - - - - - 1767603600 1767603660 - NODATA"),
        ],
        ids=["default format", "flags and direction", "coverage"],
    )
    def test_decode_to_the_same_records(self, table: Table) -> None:
        (again,) = decoded_again(table)
        assert again.frame.equals(table.frame.select(again.frame.columns))

    def test_are_cut_before_they_are_too_large_for_a_message(self) -> None:
        table = table_of(*(flow(end=1_767_603_600 + second) for second in range(2 * LATE_RECORDS + 1)))
        again = decoded_again(table)
        assert [len(each) for each in again] == [LATE_RECORDS, LATE_RECORDS, 1]
        assert Table.concatenated(again).frame["end"].equals(table.frame["end"])
        assert max(len(value) for value, _ in late_blocks(table)) < 500_000
