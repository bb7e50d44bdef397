import io
import json
from collections.abc import Callable, Mapping, Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from streams.records.contract import FORMAT_HEADER
from streams.records.transit_gateway import TRANSIT_GATEWAY_FORMAT
from tests.streams.flow_lines import flow
from tests.streams.records.strategies import addresses, starts

Record = Mapping[str, str]
NUMBERS = {"version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags"}
NAMES = tuple(TRANSIT_GATEWAY_FORMAT.split())
RECORD = dict.fromkeys(NAMES, "-") | {
    "version": "6",
    "resource-type": "TransitGateway",
    "account-id": "123456789012",
    "tgw-id": "tgw-00000000000000001",
    "tgw-attachment-id": "tgw-attach-00000000000000001",
    "tgw-src-vpc-id": "vpc-00000000000000001",
    "tgw-dst-vpc-id": "vpc-00000000000000002",
    "srcaddr": "10.1.0.10",
    "dstaddr": "10.2.0.20",
    "srcport": "40112",
    "dstport": "443",
    "protocol": "6",
    "packets": "10",
    "bytes": "5260",
    "start": "1635593850",
    "end": "1635593910",
    "log-status": "OK",
    "type": "IPv4",
    "packets-lost-no-route": "0",
    "tcp-flags": "2",
    "flow-direction": "ingress",
}


def line(record: Mapping[str, str], separator: str = " ") -> bytes:
    return separator.join(record.values()).encode()


def read(value: bytes, headers: Mapping[str, bytes] | None = None) -> Decoded:
    return decode(Message(value, headers or {}), RecordSettings(), NetworkSettings())


@pytest.mark.parametrize("separator", [" ", "\t", ","])
def test_lines_of_the_default_format_need_no_header_line(separator: str) -> None:
    found = read(line(RECORD, separator) + b"\n" + line(RECORD | {"dstport": "22"}, separator))
    assert found.refused.is_empty()
    assert found.table.frame["destination_port"].to_list() == [443, 22]


def test_the_attachment_stands_for_the_interface_and_what_was_forwarded_was_accepted() -> None:
    ((interface, vpc, action),) = read(line(RECORD)).table.frame.select("interface_id", "vpc_id", "action").rows()
    assert (interface, vpc, action) == ("tgw-attach-00000000000000001", None, "ACCEPT")


@pytest.mark.parametrize("by", ["header line", "header of the message"])
def test_a_custom_order_is_read_as_the_default_one(by: str) -> None:
    names = sorted(NAMES)
    turned, announced = line({name: RECORD[name] for name in names}), " ".join(names).encode()
    found = read(announced + b"\n" + turned) if by == "header line" else read(turned, {FORMAT_HEADER: announced})
    assert found.refused.is_empty()
    assert_frame_equal(found.table.frame, read(line(RECORD)).table.frame)


def test_a_line_that_is_spoilt_costs_only_itself() -> None:
    spoilt = line(RECORD | {"srcport": "99999"})
    found = read(b"\n".join([line(RECORD), spoilt, b"6 TransitGateway", line(RECORD)]))
    assert found.refused.select("line", "reason").rows() == [
        (2, "srcport 99999 is not a number from 0 to 65535"),
        (3, "wrong field count: 2 instead of 36"),
    ]
    assert len(found.table) == 2


def typed(record: Mapping[str, str]) -> dict[str, str | int | None]:
    """Give numbers as AWS documents them for Parquet, and nothing where a line has a minus."""
    numbers = NUMBERS | {name for name in NAMES if name.startswith("packets-lost-")}
    return {name: None if value == "-" else int(value) if name in numbers else value for name, value in record.items()}


def as_objects(records: Sequence[Mapping[str, str]]) -> bytes:
    return b"\n".join(json.dumps(typed(record)).encode() for record in records)


def as_parquet(records: Sequence[Mapping[str, str]]) -> bytes:
    file = io.BytesIO()
    rows = [{name.replace("-", "_"): value for name, value in typed(record).items()} for record in records]
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(file, compression="gzip")
    return file.getvalue()


SILENT = {
    name: value if name.startswith(("version", "resource", "tgw-", "account", "start", "end")) else "-"
    for name, value in RECORD.items()
} | {"log-status": "NODATA"}
LOST = RECORD | {"packets-lost-no-route": "4", "packets-lost-blackhole": "6", "dstport": "22"}


@pytest.mark.parametrize("write", [as_objects, as_parquet])
@pytest.mark.parametrize("times", [1, 10])
def test_objects_and_parquet_say_what_lines_do(write: Callable[[Sequence[Record]], bytes], times: int) -> None:
    records = [RECORD, LOST, SILENT] * times
    expected = read(b"\n".join(map(line, records)))
    assert expected.table.frame["action"].to_list() == ["ACCEPT", "REJECT", None] * times
    found = read(write(records))
    assert found.refused.is_empty()
    named = [name for name in expected.table.frame.columns if name in found.table.frame.columns]
    assert_frame_equal(found.table.frame.select(named), expected.table.frame.select(named))
    assert all(
        expected.table.frame[name].null_count() == 3 * times
        for name in expected.table.frame.columns
        if name not in named
    )


@pytest.mark.parametrize("write", [as_objects, as_parquet])
def test_a_spoilt_row_costs_only_itself(write: Callable[[Sequence[Record]], bytes]) -> None:
    found = read(write([RECORD, RECORD | {"srcport": "99999"}, RECORD | {"packets": "-5"}, RECORD]))
    assert found.refused.select("line", "reason").rows()[0] == (2, "srcport 99999 is not a number from 0 to 65535")
    assert found.refused["line"].to_list() == [2, 3]
    assert len(found.table) == 2


@pytest.mark.parametrize("times", [1, 10])
def test_objects_of_gateways_and_of_vpcs_may_stand_in_one_message(times: int) -> None:
    vpc = {"action": "REJECT", "interface-id": "eni-1", "log-status": "OK"}
    vpc |= {name: RECORD[name] for name in ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets")}
    vpc |= {name: RECORD[name] for name in ("bytes", "start", "end", "account-id")}
    undecided = {name: value for name, value in vpc.items() if name != "action"}
    found = read(as_objects([vpc, LOST, undecided, RECORD] * times))
    assert found.refused["reason"].unique().to_list() in (["action is missing"], ["there is no field action"])
    assert found.refused["line"].to_list() == list(range(3, 4 * times, 4))
    told = [("eni-1", "REJECT"), (RECORD["tgw-attachment-id"], "REJECT"), (RECORD["tgw-attachment-id"], "ACCEPT")]
    assert found.table.frame.select("interface_id", "action").rows() == told * times


@given(
    ends=st.tuples(addresses, addresses),
    ports=st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)),
    counts=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    start=starts,
)
@settings(max_examples=40, deadline=None)
def test_flows_are_read_as_the_same_flows_from_a_vpc(
    ends: tuple[str, str], ports: tuple[int, int], counts: tuple[int, int], start: int
) -> None:
    values = dict(zip(("srcaddr", "dstaddr"), ends, strict=True))
    values |= dict(zip(("srcport", "dstport"), map(str, ports), strict=True))
    values |= dict(zip(("packets", "bytes"), map(str, counts), strict=True))
    values |= {"start": str(start), "end": str(start + 60)}
    found = read(line(RECORD | values))
    shared = {"account-id": "123456789012", "protocol": "6", "action": "ACCEPT", "log-status": "OK"} | values
    expected = read(" ".join(shared).encode() + b"\n" + line(shared)).table.frame
    named = [name for name in expected.columns if name not in {"interface_id", "direction", "tcp_flags"}]
    assert_frame_equal(found.table.frame.select(named), expected.select(named))


@given(rest=st.binary(max_size=120))
@settings(max_examples=60, deadline=None)
def test_any_bytes_behind_the_first_words_are_read_or_refused(rest: bytes) -> None:
    messages = [Message(b"6 TransitGateway " + rest), Message(flow().encode())]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1
    assert set(found.refused["message"]) <= {0}
