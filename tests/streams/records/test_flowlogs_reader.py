from ipaddress import ip_address

from flowlogs_reader import FlowRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Message, NetworkSettings, RecordSettings, decode
from tests.streams.records import dialects
from tests.streams.records.oracle import DEFAULT
from tests.streams.records.strategies import EVERY_FIELD, records

BOTH = (*DEFAULT, "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr", "region")
PLAIN = {
    "protocol": "protocol",
    "packets": "packets",
    "bytes": "bytes",
    "action": "action",
    "log_status": "log_status",
    "account_id": "account_id",
    "interface_id": "interface_id",
    "vpc_id": "vpc_id",
    "subnet_id": "subnet_id",
    "instance_id": "instance_id",
    "tcp_flags": "tcp_flags",
    "type": "type",
    "region": "region",
    "version": "version",
    "srcport": "source_port",
    "dstport": "destination_port",
}
ENDS = {
    "srcaddr": "source",
    "dstaddr": "destination",
    "pkt_srcaddr": "packet_source",
    "pkt_dstaddr": "packet_destination",
}


def address(text: str | None) -> int | None:
    if text is None:
        return None
    found = ip_address(text)
    return int(found) if found.version == 6 else int(found) | 0xFFFF << 32


@given(written=st.lists(records(BOTH), min_size=1, max_size=10))
@settings(max_examples=50, deadline=None)
def test_flowlogs_reader_understands_the_same(written: list[dict[str, str]]) -> None:
    assert set(BOTH) <= set(EVERY_FIELD)
    rows = decode(Message(dialects.text(written)), RecordSettings(), NetworkSettings()).table.frame.to_dicts()
    assert len(rows) == len(written)
    for row, record in zip(rows, written, strict=True):
        other = FlowRecord({name.replace("-", "_"): text for name, text in record.items() if text != "-"})
        assert {name: row[column] for name, column in PLAIN.items()} == {name: getattr(other, name) for name in PLAIN}
        for name, end in ENDS.items():
            high, low = row[f"{end}_high"], row[f"{end}_low"]
            assert (None if high is None else high << 64 | low) == address(getattr(other, name))
        assert row["start"] == int(record["start"])
        assert row["end"] == int(record["end"])
