"""A second reader of flow log lines, written plainly and for one line at a time, to hold the fast one against."""

import re
from ipaddress import IPv6Address, ip_address

from streams.records.settings import AWS_DEFAULT_FORMAT

DEFAULT = tuple(AWS_DEFAULT_FORMAT.split())

HIGHEST = {
    "version": 255,
    "srcport": 65_535,
    "dstport": 65_535,
    "protocol": 255,
    "packets": 2**63 - 1,
    "bytes": 2**63 - 1,
    "start": 2**33,
    "end": 2**33,
    "tcp-flags": 255,
    "traffic-path": 255,
    "encryption-status": 255,
}
ADDRESSES = ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")
WORDS = {
    "action": ("ACCEPT", "REJECT"),
    "log-status": ("OK", "NODATA", "SKIPDATA"),
    "flow-direction": ("ingress", "egress"),
}
NEEDED = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action")


class RefusedError(Exception):
    pass


def read(raw: bytes, names: tuple[str, ...] = DEFAULT) -> dict[str, object] | None:
    """Return the fields of a line, or None where it is blank."""
    if any(byte < 32 and byte != 9 for byte in raw):
        raise RefusedError
    try:
        line = raw.decode().rstrip(" \t")
    except UnicodeDecodeError:
        raise RefusedError from None
    if not line:
        return None
    if len(set(re.findall("[ \t,]", line))) > 1:
        raise RefusedError
    fields = re.split("[ \t,]", line)
    if len(fields) != len(names):
        raise RefusedError
    record = {name: value(name, text) for name, text in zip(names, fields, strict=True)}
    if "log-status" in record and record["log-status"] is None:
        raise RefusedError
    covers = record.get("log-status", "OK") != "OK"
    for name in NEEDED:
        if record.get(name) is None and (name in {"start", "end"} or not covers):
            raise RefusedError
    start, end = record["start"], record["end"]
    assert isinstance(start, int)
    assert isinstance(end, int)
    if end < start or start < 946_684_800:
        raise RefusedError
    return record


def value(name: str, text: str) -> object:
    if text in {"", "-"}:
        return None
    if name in HIGHEST:
        if not re.fullmatch("[0-9]+", text) or len(text) > 400 or int(text) > HIGHEST[name]:
            raise RefusedError
        return int(text)
    if name in ADDRESSES:
        return address(text)
    if name in WORDS and text not in WORDS[name]:
        raise RefusedError
    return text


def address(text: str) -> int:
    try:
        found = ip_address(text)
    except ValueError:
        raise RefusedError from None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            raise RefusedError
        return int(found)
    return int(found) | 0xFFFF << 32
