"""Flow records in the Elastic Common Schema (https://www.elastic.co/guide/en/ecs/current/), one object to a line."""

import json
from functools import cache
from typing import Final

import polars as pl

from streams.records.contract import Column
from streams.records.fields import KNOWN, written
from streams.records.json_lines import first_known, meaning, strings, words
from streams.records.schema_json import SchemaJson

_FIELDS: Final = {
    "source.ip": "srcaddr",
    "source.port": "srcport",
    "destination.ip": "dstaddr",
    "destination.port": "dstport",
    "network.iana_number": "protocol",
    "network.transport": "transport",
    "source.packets": "packets",
    "source.bytes": "bytes",
    "network.packets": "network_packets",
    "network.bytes": "network_bytes",
    "network.direction": "flow_direction",
    "event.start": "start",
    "event.end": "end",
    "event.action": "event_action",
    "event.type": "event_type",
    "event.outcome": "event_outcome",
    "cloud.account.id": "cloud_account",
    "cloud.region": "region",
    "cloud.availability_zone": "az_id",
    "aws.vpcflow.sublocation.type": "sublocation_type",
    "aws.vpcflow.sublocation.id": "sublocation_id",
    "aws.vpcflow.pkt_src_service": "pkt_src_aws_service",
    "aws.vpcflow.pkt_dst_service": "pkt_dst_aws_service",
}
_SAID: Final = ("action", "event_action", "event_type", "event_outcome")
"""Where it may be said what became of a flow."""

_OTHERS: Final = {"packets": "network_packets", "bytes": "network_bytes", "account_id": "cloud_account"}
"""Fields, and where else they stand. What the network counts may be both directions; what the source sent is one."""

_ACTIONS: Final = {"accept": "ACCEPT", "allow": "ACCEPT", "success": "ACCEPT", "allowed": "ACCEPT"} | {
    "reject": "REJECT",
    "deny": "REJECT",
    "denied": "REJECT",
    "failure": "REJECT",
}
_PROTOCOLS: Final = {"icmp": "1", "igmp": "2", "tcp": "6", "udp": "17", "gre": "47", "esp": "50", "sctp": "132"} | {
    "icmpv6": "58",
    "ipv6-icmp": "58",
}
_DIRECTIONS: Final = {"ingress": "ingress", "inbound": "ingress", "egress": "egress", "outbound": "egress"} | {
    "internal": "-",
    "external": "-",
    "unknown": "-",
}


class EcsJson(SchemaJson):
    """Network flows, with what AWS logged besides under `aws.vpcflow` where an agent has put it there."""

    name = "ecs-json"
    keys = (b'"source"', b'"destination"', b'"network', b'"event')

    @staticmethod
    @cache
    def field(path: tuple[str, ...]) -> str | None:
        """Return the field at a path."""
        if path[:2] == ("aws", "vpcflow") and len(path) == 3 and written(path[2]) in KNOWN:
            return path[2]
        return _FIELDS.get(".".join(path))

    @staticmethod
    def seconds(times: pl.Series) -> pl.Series:
        """Read ISO times."""
        return times.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False, format="%+").dt.epoch("s")

    @staticmethod
    def translate(columns: dict[str, Column]) -> None:
        """Put the common fields under AWS's names."""
        said = [columns.pop(name) for name in _SAID if name in columns]
        if said:
            columns["action"] = meaning([_judged(strings(each)) for each in said], _ACTIONS)
        for name, other in _OTHERS.items():
            found = [columns.pop(each) for each in (name, other) if each in columns]
            if found:
                columns[name] = first_known(found)
        transport = columns.pop("transport", None)
        if transport is not None:
            named = words(strings(transport), _PROTOCOLS)
            columns["protocol"] = first_known([columns["protocol"], named]) if "protocol" in columns else named
        if "flow_direction" in columns:
            columns["flow_direction"] = words(strings(columns["flow_direction"]), _DIRECTIONS)


def _judged(said: pl.Series) -> pl.Series:
    """Turn lists, as ECS writes what kinds of event it was, into the one word of theirs that says what became of it."""
    lists = said.filter(said.str.starts_with("[")).unique()
    return said.replace(lists, [_verdict(text) for text in lists]) if len(lists) else said


def _verdict(text: str) -> str:
    """Return the element that means an action; the list itself where none does, or two contradict each other.

    >>> _verdict('["connection", "denied"]'), _verdict('["allowed", "denied"]')
    ('denied', '["allowed", "denied"]')
    """
    try:
        elements = [str(element).lower() for element in json.loads(text)]
    except (ValueError, RecursionError):
        return text
    found = {_ACTIONS[element]: element for element in elements if element in _ACTIONS}
    return next(iter(found.values())) if len(found) == 1 else text
