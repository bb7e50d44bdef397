"""Flow records in the Elastic Common Schema (https://www.elastic.co/guide/en/ecs/current/), one object to a line."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import polars as pl

from streams.records.contract import Dialect, Message, Read
from streams.records.fields import KNOWN, written
from streams.records.json_lines import JsonLines, first_known, meaning, strings, words
from streams.records.settings import RecordSettings

_FIELDS: Final = {
    "source.ip": "srcaddr",
    "source.port": "srcport",
    "destination.ip": "dstaddr",
    "destination.port": "dstport",
    "network.iana_number": "protocol",
    "network.transport": "transport",
    "source.packets": "sent_packets",
    "source.bytes": "sent_bytes",
    "network.packets": "packets",
    "network.bytes": "bytes",
    "network.direction": "flow_direction",
    "event.start": "start",
    "event.end": "end",
    "event.action": "event_action",
    "event.outcome": "event_outcome",
    "cloud.account.id": "cloud_account",
    "cloud.region": "region",
}
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


@cache
def _field(path: tuple[str, ...]) -> str | None:
    if path[:2] == ("aws", "vpcflow") and len(path) == 3 and written(path[2]) in KNOWN:
        return path[2]
    return _FIELDS.get(".".join(path))


class EcsJson(Dialect):
    """Network flows, with what AWS logged besides under `aws.vpcflow` where an agent has put it there."""

    name = "ecs-json"
    begins = b"{"

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look for both ends of a connection, and its size, under their names in the schema."""
        del settings
        value = message.value.lstrip()
        first = value.partition(b"\n")[0]
        keys = (b'"source"', b'"destination"', b'"network', b'"event')
        return all(key in first for key in keys)

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read the objects."""
        del layout, settings
        return map(_translated, JsonLines([message.value for message in messages], _field).read())


def _translated(read: Read) -> Read:
    columns = dict(read.columns)
    for name in ("start", "end"):
        if name in columns:
            columns[name] = _seconds(strings(columns[name]))
    actions = [columns.pop(name, None) for name in ("action", "event_action", "event_outcome")]
    known = [strings(each) for each in actions if each is not None]
    if known:
        columns["action"] = meaning(known, _ACTIONS)
    for name in ("packets", "bytes"):
        # What the network counts may be both directions together; what the source sent is one.
        counts = [columns.pop(each, None) for each in (f"sent_{name}", name)]
        found = [each for each in counts if each is not None]
        if found:
            columns[name] = found[0] if len(found) == 1 else first_known([strings(each) for each in found])
    transport = columns.pop("transport", None)
    if transport is not None:
        protocols = [words(strings(transport), _PROTOCOLS)]
        if "protocol" in columns:
            protocols.insert(0, strings(columns["protocol"]))
        columns["protocol"] = first_known(protocols)
    account = columns.pop("cloud_account", None)
    if account is not None:
        columns.setdefault("account_id", account)
    if "flow_direction" in columns:
        columns["flow_direction"] = words(strings(columns["flow_direction"]), _DIRECTIONS)
    return Read(columns, read.messages, read.positions, read.places, read.refused)


def _seconds(times: pl.Series) -> pl.Series:
    """Turn ISO times into epoch seconds; anything else stays, to be refused."""
    read = times.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False, format="%+")
    seconds = (read.dt.epoch("s")).cast(pl.String)
    return seconds.zip_with(seconds.is_not_null(), times)
