"""Network activity in the common schemas, OCSF and ECS."""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Message, NetworkSettings, RecordSettings, decode, decode_all
from tests.streams.flow_lines import flow

OCSF: Mapping[str, Any] = {
    "class_uid": 4001,
    "activity_id": 6,
    "src_endpoint": {"ip": "192.0.2.1", "port": 40112},
    "dst_endpoint": {"ip": "10.0.0.5", "port": 443, "interface_uid": "eni-1", "vpc_uid": "vpc-1"},
    "connection_info": {"protocol_num": 6, "direction": "Inbound"},
    "traffic": {"packets": 10, "bytes": 5260},
    "start_time": 1700000000000,
    "end_time": 1700000059999,
    "status_code": "OK",
    "disposition": "Allowed",
    "cloud": {"account": {"uid": "123456789010"}},
}
ECS: Mapping[str, Any] = {
    "source": {"ip": "192.0.2.1", "port": 40112},
    "destination": {"ip": "10.0.0.5", "port": 443},
    "network": {"iana_number": "6", "packets": 10, "bytes": 5260, "direction": "ingress"},
    "event": {"start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:14:19.999Z", "outcome": "success"},
    "cloud": {"account": {"id": "123456789010"}},
}


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> bytes:
    """Write a document with other values at dotted paths; a value of ... takes the key out."""
    copy = deepcopy(dict(document))
    for path, value in changes.items():
        *above, last = path.split(".")
        inner = copy
        for key in above:
            inner = inner.setdefault(key, {})
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
    return json.dumps(copy).encode()


def rows(value: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    found = decode(Message(value), RecordSettings(), NetworkSettings())
    return found.table.frame.to_dicts(), list(found.refused.select("line", "reason").iter_rows())


@pytest.mark.parametrize("document", [OCSF, ECS], ids=["ocsf", "ecs"])
def test_both_schemas_tell_the_same_flow(document: Mapping[str, Any]) -> None:
    ((row,), refused) = rows(changed(document, {}))
    assert refused == []
    expected: dict[str, object] = {
        "source_port": 40112,
        "destination_port": 443,
        "protocol": 6,
        "packets": 10,
        "bytes": 5260,
    }
    expected |= {"start": 1700000000, "end": 1700000059, "account_id": "123456789010"}
    assert row | expected | {"action": "ACCEPT", "direction": "ingress", "log_status": "OK"} == row


@pytest.mark.parametrize(
    ("document", "changes", "action"),
    [
        (OCSF, {"disposition": "Allowed"}, "ACCEPT"),
        (OCSF, {"disposition": "Blocked"}, "REJECT"),
        (OCSF, {"disposition": "Dropped"}, "REJECT"),
        (OCSF, {"disposition": ..., "action": "Denied"}, "REJECT"),
        (OCSF, {"disposition": ..., "action": "Allowed"}, "ACCEPT"),
        (ECS, {"event.outcome": "failure"}, "REJECT"),
        (ECS, {"event.action": "reject"}, "REJECT"),
        (ECS, {"event.action": "accept", "event.outcome": "unknown"}, "ACCEPT"),
        (ECS, {"aws.vpcflow.action": "REJECT"}, "REJECT"),
        (ECS, {"event.outcome": ..., "event.type": "denied"}, "REJECT"),
        (ECS, {"event.outcome": ..., "event.type": ["denied"]}, "REJECT"),
        (ECS, {"event.outcome": ..., "event.type": ["connection", "allowed"]}, "ACCEPT"),
        (ECS, {"event.outcome": ..., "event.type": ["Connection", "Denied", "end"]}, "REJECT"),
        (ECS, {"event.outcome": ..., "event.action": ["denied"]}, "REJECT"),
        (ECS, {"event.type": ["denied"]}, "REJECT"),
        (ECS, {"event.type": ["allowed", "denied"]}, "ACCEPT"),
        (ECS, {"event.type": ["connection", 5, "[x]"]}, "ACCEPT"),
        (ECS, {"event.type": "[not a list"}, "ACCEPT"),
        (ECS, {"event.type": "[" * 100_000}, "ACCEPT"),
        (ECS, {"event.action": ["network_flow"], "event.type": ["connection", "denied"]}, "REJECT"),
    ],
)
@pytest.mark.parametrize("count", [1, 20])
def test_what_became_of_a_flow_is_read(
    document: Mapping[str, Any], changes: Mapping[str, Any], action: str, count: int
) -> None:
    found, refused = rows(b"\n".join([changed(document, changes)] * count))
    assert ([row["action"] for row in found], refused) == ([action] * count, [])


@pytest.mark.parametrize("count", [1, 20])
def test_kinds_of_events_that_contradict_each_other_are_refused(count: int) -> None:
    spoilt = changed(ECS, {"event.outcome": ..., "event.type": ["allowed", "denied"]})
    found, refused = rows(b"\n".join([spoilt] * count))
    assert found == []
    assert refused == [(line, 'action ["allowed", "denied"] is not ACCEPT or REJECT') for line in range(1, count + 1)]


def test_allowed_and_denied_flows_may_take_turns() -> None:
    kinds = [["allowed"], ["connection", "denied"]] * 20
    found, refused = rows(
        b"\n".join(changed(ECS, {"event.outcome": ..., "event.type": kind, "source.port": 1}) for kind in kinds)
    )
    assert refused == []
    assert [row["action"] for row in found] == ["ACCEPT", "REJECT"] * 20


def test_a_list_where_one_value_belongs_is_refused_as_what_it_is() -> None:
    spoilt = changed(ECS, {"source.ip": ["192.0.2.1"]})
    assert {reason for _, reason in rows(b"\n".join([spoilt] * 20))[1]} == {'srcaddr ["192.0.2.1"] is not an address'}


@pytest.mark.parametrize(("end", "port"), [("src_endpoint", 40112), ("dst_endpoint", 443)])
def test_the_end_that_names_an_interface_is_the_reporter(end: str, port: int) -> None:
    changes = {"dst_endpoint": {"ip": "10.0.0.5", "port": 443}, "src_endpoint": {"ip": "192.0.2.1", "port": 40112}}
    ends = {"ip": "10.0.0.5", "port": port, "interface_uid": "eni-7", "vpc_uid": "vpc-7", "subnet_uid": "subnet-7"}
    ((row,), _) = rows(changed(OCSF, changes | {end: ends}))
    assert [row[name] for name in ("interface_id", "vpc_id", "subnet_id")] == ["eni-7", "vpc-7", "subnet-7"]


def test_what_the_agent_renames_is_read_under_its_names() -> None:
    kept = {"sublocation": {"type": "outpost", "id": "op-1"}, "pkt_src_service": "S3", "pkt_dst_service": "EC2"}
    ((row,), refused) = rows(changed(ECS, {"aws.vpcflow": kept, "cloud.availability_zone": "use1-az5"}))
    assert refused == []
    names = ("sublocation_type", "sublocation_id", "pkt_src_aws_service", "pkt_dst_aws_service", "az_id")
    assert [row[name] for name in names] == ["outpost", "op-1", "S3", "EC2", "use1-az5"]


def test_what_the_agent_kept_of_the_flow_log_is_read() -> None:
    kept = {"vpc_id": "vpc-1", "interface_id": "eni-1", "tcp_flags": "2", "version": "5", "log_status": "OK"}
    ((row,), refused) = rows(changed(ECS, {"aws.vpcflow": kept}))
    assert refused == []
    assert [row[name] for name in ("vpc_id", "interface_id", "tcp_flags", "version")] == ["vpc-1", "eni-1", 2, 5]


@pytest.mark.parametrize("count", [1, 20])
def test_the_account_is_the_agents_or_else_the_clouds_row_by_row(count: int) -> None:
    kept = changed(ECS, {"aws.vpcflow.account_id": "999999999999"})
    found, refused = rows(b"\n".join([changed(ECS, {}), kept] * count))
    assert refused == []
    assert [row["account_id"] for row in found] == ["123456789010", "999999999999"] * count


@pytest.mark.parametrize(
    ("document", "spoilt", "reason"),
    [
        (OCSF, changed(OCSF, {"dst_endpoint.port": 70000}), "dstport 70000 is not a number from 0 to 65535"),
        (OCSF, changed(OCSF, {"end_time": "later"}), "end later is not a number"),
        (OCSF, changed(OCSF, {"disposition": "Quarantined"}), "action Quarantined is not ACCEPT or REJECT"),
        (OCSF, b'{"src_endpoint": {"ip"', "not a JSON object"),
        (ECS, changed(ECS, {"source.ip": "somewhere"}), "srcaddr somewhere is not an address"),
        (ECS, changed(ECS, {"event.end": "2023-11-14"}), "end 2023-11-14 is not a number"),
        (ECS, changed(ECS, {"event.end": "2023-11-14T22:13:19Z"}), "end 1699999999 before start"),
        (ECS, b'{"source": 5', "not a JSON object"),
    ],
)
@pytest.mark.parametrize("around", [1, 20])
def test_a_spoilt_object_costs_only_itself(
    document: Mapping[str, Any], spoilt: bytes, reason: str, around: int
) -> None:
    good = changed(document, {})
    accepted, refused = rows(b"\n".join([*[good] * around, spoilt, good]))
    ((line, why),) = refused
    assert line == around + 1
    assert why.startswith(reason)
    assert len(accepted) == around + 1


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_spoilt_objects_are_read_or_refused(data: st.DataObject) -> None:
    value = changed(data.draw(st.sampled_from([OCSF, ECS])), {})
    place, length = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(0, 40))
    spoilt = value[:place] + data.draw(st.binary(max_size=5)) + value[place + length :]
    messages = [Message(b"\n".join([value] * 4 + [spoilt])), Message(flow().encode())]
    found = decode_all(messages, RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1
    assert found.rows[0] >= 4
