"""Other ways that the common schemas, gateways and Parquet files say what they say."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from tests.streams.flow_lines import flow
from tests.streams.records.test_schemas import ECS, OCSF, changed, rows
from tests.streams.records.test_transit_gateway import RECORD, line, read

_SAYS_NOTHING: Mapping[str, Any] = {"disposition": ...}

PANICS = base64.b64decode(
    "UEFSMRUEFRoVGkwVAhUAAAAJAAAAMTkyLjAuMi4xFQAVEBUCLBUGFRAVBhUGAAACAAAABgEAAxUMGTUABhAZGAdzcmNhZGRyFQAW"
    "BhZmFmYmPCYIABkcFjwVMhYAAAAVAhksSARyb290FQIAFQwlAhgHc3JjYWRkciUATBwAAAAWBhkcGRwmogEcFQwZNQAGEBkYB3Ny"
    "Y2FkZHIVABYGFmYWZiY8JggAFqoBFRQAFmYWBiYIFmYUAAAZHBgMQVJST1c6c2NoZW1hGKABLy8vLy8zQUFBQUFFQUFBQTh2Ly8v"
    "eFFBQUFBRUFBRUFBQUFLQUFzQUNBQUtBQVFBK1AvLy93d0FBQUFJQUFnQUFBQUVBQUVBQUFBRUFBQUE3UC8vL3l3QUFBQWdBQUFB"
    "R0FBQUFBRVVBQUFRQUJJQUJBQVFBQkVBQ0FBQUFBd0FBQUFBQVB6Ly8vOEVBQVFBQndBQUFITnlZMkZrWkhJQQAYTlBvbGFycyAo"
    "cHl0aG9uKSB2ZXJzaW9uIDIuMS4wIChidWlsZCA3ZjkwMmJkM2ZmZDI3ZmY4MmQxNDI3OGEwOWEyOTVmZjJmN2FlZDkyKRkcHAAA"
    "AGQBAABQQVIx"
)
"""A file of one column whose first page has a wrong byte in its head, over which the reader panics."""


@pytest.mark.parametrize(
    ("document", "changes", "action"),
    [
        (OCSF, {"disposition": ..., "disposition_id": 1}, "ACCEPT"),
        (OCSF, {"disposition": ..., "disposition_id": 2}, "REJECT"),
        (OCSF, {"disposition": "Unknown", "disposition_id": 6}, "REJECT"),
        (OCSF, {"disposition": ..., "action_id": 2}, "REJECT"),
        (OCSF, {"disposition": "Other", "action": "Denied"}, "REJECT"),
        (OCSF, {"disposition": ..., "activity_id": 5}, "REJECT"),
        (OCSF, {"disposition": "Allowed", "activity_id": 5}, "ACCEPT"),
        (ECS, {"event.action": "network_flow"}, "ACCEPT"),
        (ECS, {"event.action": "network_flow", "event.outcome": "failure"}, "REJECT"),
    ],
)
def test_what_became_of_a_flow_is_read_wherever_it_is_said(
    document: Mapping[str, Any], changes: Mapping[str, Any], action: str
) -> None:
    ((row,), refused) = rows(changed(document, changes))
    assert (row["action"], refused) == (action, [])


@pytest.mark.parametrize(
    ("document", "changes"),
    [
        (OCSF, _SAYS_NOTHING),
        (OCSF, {"disposition": "Unknown"}),
        (OCSF, {"disposition": ..., "disposition_id": 99}),
        (ECS, {"event.outcome": "unknown"}),
        (ECS, {"event.outcome": ..., "event.action": "network_flow"}),
    ],
)
def test_a_flow_of_which_nobody_says_what_became_is_refused(
    document: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    accepted, refused = rows(changed(document, changes))
    assert accepted == []
    assert "action" in refused[0][1]


@pytest.mark.parametrize(("number", "direction"), [(1, "ingress"), (2, "egress"), (3, None), (0, None)])
def test_the_direction_may_be_a_number(number: int, direction: str | None) -> None:
    changes = {"connection_info": {"protocol_num": 6, "direction_id": number}}
    ((row,), refused) = rows(changed(OCSF, changes))
    assert (row["direction"], refused) == (direction, [])


@pytest.mark.parametrize(("name", "number"), [("tcp", 6), ("UDP", 17), ("ipv6-icmp", 58)])
def test_the_protocol_may_be_a_name(name: str, number: int) -> None:
    ((row,), refused) = rows(changed(ECS, {"network.iana_number": ..., "network.transport": name}))
    assert (row["protocol"], refused) == (number, [])
    ((row,), refused) = rows(changed(ECS, {"network.transport": name}))
    assert (row["protocol"], refused) == (6, [])


def test_what_the_source_sent_goes_before_what_both_ends_did() -> None:
    sent = {"source.bytes": 60, "source.packets": 2}
    for changes in (sent, sent | {"network.bytes": ..., "network.packets": ...}):
        ((row,), refused) = rows(changed(ECS, changes))
        assert (row["bytes"], row["packets"], refused) == (60, 2, [])


@pytest.mark.parametrize(
    ("lost", "action"),
    [
        ({}, "ACCEPT"),
        ({"packets-lost-no-route": "9"}, "ACCEPT"),
        ({"packets-lost-no-route": "10"}, "REJECT"),
        ({"packets-lost-no-route": "4", "packets-lost-blackhole": "6"}, "REJECT"),
        ({"packets-lost-no-route": "9223372036854775807", "packets-lost-blackhole": "9223372036854775807"}, "REJECT"),
        ({"packets": "0", "packets-lost-no-route": "0"}, "ACCEPT"),
    ],
)
def test_a_gateway_rejects_what_it_loses_whole(lost: dict[str, str], action: str) -> None:
    assert read(line(RECORD | lost)).table.frame["action"].to_list() == [action]


def test_a_gateway_says_nothing_of_what_it_did_not_see() -> None:
    kept = {"version", "resource-type", "account-id", "tgw-id", "tgw-attachment-id", "start", "end"}
    record = {name: value if name in kept else "-" for name, value in RECORD.items()} | {"log-status": "NODATA"}
    assert read(line(record)).table.frame.select("action", "log_status").rows() == [(None, "NODATA")]


def test_gateway_lines_of_a_format_without_the_attachment_are_read() -> None:
    record = {name: value for name, value in RECORD.items() if name != "tgw-attachment-id"}
    found = read(" ".join(record).encode() + b"\n" + line(record))
    assert found.refused.is_empty()
    assert found.table.frame.select("action", "interface_id").rows() == [("ACCEPT", None)]


def test_a_panic_over_a_damaged_file_is_a_refusal() -> None:
    messages = [Message(flow().encode()), Message(PANICS), Message(flow().encode())]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows.tolist() == [1, 0, 1]
    assert [reason[:22] for reason in found.refused["reason"]] == ["Parquet cannot be read"]
