import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from streams.records.contract import FORMAT_HEADER, WATERMARK_HEADER
from tests.streams.records import oracle
from tests.streams.records.strategies import EVERY_FIELD, lines

LINE = b"2 123456789010 eni-1235b8ca123456789 192.0.2.7 10.0.0.5 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
SMALL = "srcaddr dstaddr srcport dstport protocol packets bytes start end action"


def decoded(*values: bytes, settings: RecordSettings | None = None) -> Decoded:
    return decode_all([Message(value) for value in values], settings or RecordSettings(), NetworkSettings())


def reason(value: bytes, settings: RecordSettings | None = None) -> str:
    found = decoded(value, settings=settings)
    assert len(found.table) == 0
    assert found.refused.height == 1
    return str(found.refused["reason"][0])


def with_field(name: str, text: str) -> bytes:
    fields = LINE.decode().split()
    fields[oracle.DEFAULT.index(name)] = text
    return " ".join(fields).encode()


def assert_agrees(found: Decoded, raws: list[bytes], names: tuple[str, ...]) -> None:
    expected, refused = [], []
    # A carriage return in front of a line end, or of the message's, belongs to it.
    for number, raw in enumerate((raw.removesuffix(b"\r") for raw in raws), 1):
        try:
            record = oracle.read(raw, names)
        except oracle.RefusedError:
            refused.append((number, raw))
            continue
        if record is not None:
            expected.append(record)
    assert found.refused.select("line", "raw").rows() == refused
    rows = found.table.frame.to_dicts()
    assert len(rows) == len(expected)
    for row, record in zip(rows, expected, strict=True):
        assert [as_oracle(row, name) for name in names] == [record[name] for name in names]


COLUMNS = {
    "srcport": "source_port",
    "dstport": "destination_port",
    "flow-direction": "direction",
}
ENDS = {
    "srcaddr": "source",
    "dstaddr": "destination",
    "pkt-srcaddr": "packet_source",
    "pkt-dstaddr": "packet_destination",
}


def as_oracle(row: dict[str, object], name: str) -> object:
    if name in ENDS:
        high, low = row[f"{ENDS[name]}_high"], row[f"{ENDS[name]}_low"]
        if high is None or low is None:
            assert high is low
            return None
        assert isinstance(high, int)
        assert isinstance(low, int)
        return high << 64 | low
    return row[COLUMNS.get(name, name.replace("-", "_"))]


@pytest.mark.parametrize("others", [0, 1, 5_000, 20_000])
def test_the_first_wrong_field_is_the_reason_however_many_rows_are_read_together(others: int) -> None:
    # Short and long numbers are read apart where rows are few: here a port, a count of bytes and a time are wrong.
    spoilt = LINE.replace(b" 22 ", b" 70000 ").replace(b"4249", b"-1").replace(b"1418530070", b"99999999999")
    found = decoded(b"\n".join([LINE] * others + [spoilt]))
    assert found.rows.tolist() == [others]
    assert found.refused["reason"].to_list() == ["dstport 70000 is not a number from 0 to 65535"]


@given(raws=st.lists(lines(), max_size=12))
@settings(max_examples=200, deadline=None)
def test_lines_in_the_default_format_are_read_as_a_plain_reader_reads_them(raws: list[bytes]) -> None:
    value = b"\n".join([LINE, *raws])
    assert_agrees(decoded(value), [LINE, *raws], oracle.DEFAULT)


@given(data=st.data(), names=st.permutations(EVERY_FIELD))
@settings(max_examples=20, deadline=None)
def test_every_field_in_any_order_is_read_as_a_plain_reader_reads_it(data: st.DataObject, names: list[str]) -> None:
    order = tuple(names)
    raws = data.draw(st.lists(lines(order), min_size=1, max_size=6))
    header = " ".join(order).encode()
    found = decoded(b"\n".join([header, *raws]))
    assert_agrees(found, [b"", *raws], order)


@given(values=st.lists(st.lists(lines(), max_size=4).map(b"\n".join), max_size=6))
@settings(max_examples=50, deadline=None)
def test_messages_at_one_go_are_the_messages_one_by_one(values: list[bytes]) -> None:
    messages = [Message(value, {}, 1_900_000_000_000) for value in values]
    together = decode_all(messages, RecordSettings(), NetworkSettings())
    singly = [decode(message, RecordSettings(), NetworkSettings()) for message in messages]
    assert together.rows.tolist() == [len(each.table) for each in singly]
    assert together.table.frame.to_dicts() == [row for each in singly for row in each.table.frame.to_dicts()]
    assert together.refused.drop("message").rows() == [
        row for each in singly for row in each.refused.drop("message").rows()
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("srcaddr", "300.1.2.3", "srcaddr 300.1.2.3 is not an address"),
        ("dstaddr", "-", "dstaddr is missing"),
        ("srcport", "65536", "srcport 65536 is not a number from 0 to 65535"),
        ("dstport", "+5", "dstport +5 is not a number from 0 to 65535"),
        ("protocol", "5.0", "protocol 5.0 is not a number from 0 to 255"),
        ("packets", "-5", "packets -5 is negative"),
        ("bytes", "0x5", "bytes 0x5 is not a number from 0 to 9223372036854775807"),
        ("bytes", "-", "bytes is missing"),
        ("start", "1418530071", "end 1418530070 before start 1418530071"),
        ("start", "900000000", "impossible time: start 900000000 is before the year 2000"),
        ("end", "99999999999", "end 99999999999 is not a number from 0 to 8589934592"),
        ("action", "DROP", "action DROP is not ACCEPT or REJECT"),
        ("log-status", "FINE", "log-status FINE is not OK, NODATA or SKIPDATA"),
        ("log-status", "-", "log-status - is not OK, NODATA or SKIPDATA"),
        ("action", '"ACCEPT"', 'action "ACCEPT" is not ACCEPT or REJECT'),
        ("interface-id", "eni-\x01", "control character 0x01"),
        ("interface-id", "a,b", "wrong field count: 15 instead of 14"),
        ("interface-id", "a b", "wrong field count: 15 instead of 14"),
    ],
)
def test_a_refused_line_says_why(name: str, text: str, expected: str) -> None:
    assert reason(with_field(name, text)).startswith(expected)


@pytest.mark.parametrize("character", "!\"#$%&'()*+")
def test_characters_that_sort_before_the_comma_separate_nothing(character: str) -> None:
    raws = [with_field("interface-id", f"eni{character}{number}") for number in range(3)]
    found = decoded(b"\n".join([*raws, b"nonsense"]))
    assert found.table.frame["interface_id"].to_list() == [f"eni{character}{number}" for number in range(3)]
    assert found.refused.select("line", "reason").rows() == [(4, "wrong field count: 1 instead of 14")]


def test_a_separator_of_another_kind_is_refused() -> None:
    assert reason(LINE.replace(b" ", b",", 1)) == "fields are separated in more than one way"


def test_a_line_that_is_not_utf8_is_refused_alone() -> None:
    found = decoded(LINE + b"\n" + LINE.replace(b"eni-", b"\xff\xfe") + b"\n" + LINE)
    assert len(found.table) == 2
    assert found.refused.select("line", "reason").rows() == [(2, "not valid UTF-8")]


def test_a_record_that_ends_after_its_message_is_refused() -> None:
    message = Message(LINE, {}, 1_418_530_070_000 - 601_000)
    found = decode(message, RecordSettings(), NetworkSettings())
    assert found.refused["reason"].to_list() == ["impossible time: end 1418530070 is after its message"]
    assert len(decode(message._replace(timestamp=1_418_529_470_000), RecordSettings(), NetworkSettings()).table) == 1


def test_surplus_fields_are_refused_unless_tolerated() -> None:
    assert reason(LINE + b" more") == "wrong field count: 15 instead of 14"
    tolerant = RecordSettings(tolerate_extra_fields=True)
    found = decoded(LINE + b" more and more\n" + LINE, settings=tolerant)
    assert len(found.table) == 2
    assert found.table.frame.row(0) == found.table.frame.row(1)
    assert reason(b" ".join(LINE.split()[:13]), settings=tolerant) == "wrong field count: 13 instead of 14"


def test_refused_lines_are_numbered_within_their_message() -> None:
    found = decoded(LINE + b"\n\nnonsense\n" + LINE, b"rubbish\n" + LINE + b"\n\n\nwaste\n")
    assert found.refused.select("message", "line", "raw").rows() == [
        (0, 3, b"nonsense"),
        (1, 1, b"rubbish"),
        (1, 5, b"waste"),
    ]
    assert found.rows.tolist() == [2, 1]


def test_a_header_line_holds_to_the_end_of_its_message() -> None:
    fields = LINE.decode().split()
    turned = " ".join(reversed(fields)).encode()
    header = " ".join(reversed(oracle.DEFAULT)).encode()
    found = decoded(LINE + b"\n" + header + b"\n" + turned + b"\n" + header + b"\n" + turned, LINE)
    assert found.refused.is_empty()
    assert found.rows.tolist() == [3, 1]
    assert len(set(found.table.frame.rows())) == 1


def test_a_header_line_in_the_middle_changes_the_order_of_fields_of_the_same_kind() -> None:
    swapped = [*oracle.DEFAULT]
    swapped[3], swapped[4] = swapped[4], swapped[3]
    found = decoded(LINE + b"\n" + " ".join(swapped).encode() + b"\n" + LINE)
    frame = found.table.frame
    assert frame["source_low"][0] == frame["destination_low"][1]
    assert frame["destination_low"][0] == frame["source_low"][1]


def test_a_header_line_alone_in_a_message_says_nothing_about_others() -> None:
    found = decoded(b"start end srcaddr", LINE)
    assert found.refused.is_empty()
    assert found.rows.tolist() == [0, 1]


def test_a_header_of_the_message_names_the_fields() -> None:
    turned = " ".join(reversed(LINE.decode().split())).encode()
    header = {FORMAT_HEADER: " ".join(reversed(oracle.DEFAULT)).encode()}
    messages = [Message(turned, header), Message(LINE)] * 2
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows.tolist() == [1, 1, 1, 1]
    assert len(set(found.table.frame.rows())) == 1


def test_lines_without_header_take_the_configured_format_with_their_number_of_fields() -> None:
    settings = RecordSettings(formats=(SMALL, f"{SMALL} vpc-id"))
    small = b"192.0.2.7 10.0.0.5 20641 22 6 20 4249 1418530010 1418530070 ACCEPT"
    found = decoded(LINE + b"\n" + small + b" vpc-1\n" + small, settings=settings)
    assert found.refused.is_empty()
    assert found.table.frame["vpc_id"].to_list() == [None, "vpc-1", None]
    assert found.table.frame["interface_id"].to_list() == ["eni-1235b8ca123456789", None, None]
    assert reason(small[:24], settings).startswith("wrong field count: 3 instead of 10 or 11 or 14")


def test_formats_of_one_length_are_told_apart_by_content() -> None:
    turned = " ".join(reversed(oracle.DEFAULT))
    found = decoded(
        b" ".join(reversed(LINE.split())) + b"\n" + LINE + b"\n" + LINE.replace(b"ACCEPT", b"DROP"),
        settings=RecordSettings(formats=(turned,)),
    )
    assert found.table.frame["source_port"].to_list() == [20641, 20641]
    assert found.refused["reason"].to_list() == ["action DROP is not ACCEPT or REJECT"]


def test_a_line_that_fits_two_formats_is_refused() -> None:
    swapped = "version account-id interface-id dstaddr srcaddr srcport dstport protocol packets bytes start end action"
    assert reason(LINE, RecordSettings(formats=(f"{swapped} log-status",))).startswith("fits several formats")


def test_lines_that_cloudwatch_exported_lose_their_time() -> None:
    found = decoded(b"2026-11-23T20:00:00.000Z " + LINE + b"\n" + LINE + b"\nyesterday-at-noonish " + LINE)
    assert len(found.table) == 2
    assert found.refused["reason"].to_list() == ["wrong field count: 15 instead of 14"]


def test_a_format_that_lacks_a_needed_field_refuses_flows_but_not_coverage() -> None:
    header = b"srcaddr dstaddr start end log-status\n"
    found = decoded(header + b"192.0.2.7 10.0.0.5 1418530010 1418530070 OK\n- - 1418530010 1418530070 NODATA")
    assert found.refused["reason"].to_list() == ["there is no field srcport"]
    assert found.table.frame["log_status"].to_list() == ["NODATA"]


@pytest.mark.parametrize("value", [b"", b"\n", b"\r\n\r\n", b"   \n\t\n", b"\xef\xbb\xbf"])
def test_nothing_is_neither_read_nor_refused(value: bytes) -> None:
    found = decoded(value, LINE)
    assert found.refused.is_empty()
    assert found.rows.tolist() == [0, 1]


def test_a_watermark_is_neither_read_nor_refused() -> None:
    messages = [Message(LINE), Message(b"", {WATERMARK_HEADER: b"1"}), Message(LINE)]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.refused.is_empty()
    assert found.rows.tolist() == [1, 0, 1]


def test_line_ends_of_every_kind_are_taken() -> None:
    found = decoded(b"\xef\xbb\xbf" + LINE + b"\r\n" + LINE + b"\n\r\n" + LINE + b"\r", LINE + b"\r\n")
    assert found.refused.is_empty()
    assert found.rows.tolist() == [3, 1]


def test_coverage_rows_are_kept_without_hosts() -> None:
    found = decoded(b"2 123456789010 eni-1 - - - - - - - 1418530010 1418530070 - SKIPDATA")
    row = found.table.frame.to_dicts()[0]
    assert row["log_status"] == "SKIPDATA"
    assert [row[name] for name in ("source_key", "source_low", "source_port", "bytes", "action")] == [None] * 5
    assert row["source_internal"] is False


def test_a_hundred_thousand_lines_are_read_in_their_order() -> None:
    value = b"\n".join(LINE.replace(b"20641", str(number % 65_536).encode()) for number in range(100_000))
    found = decoded(value, LINE, value + b"\nbad")
    assert found.refused.select("message", "line").rows() == [(2, 100_001)]
    ports = found.table.frame["source_port"].to_list()
    expected = [number % 65_536 for number in range(100_000)]
    assert ports == [*expected, 20641, *expected]
