"""What is in the golden files, told from the vendors' tables of fields alone: no part of the decoder is used."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

Record = Mapping[str, Any]
Row = dict[str, Any]

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "records"

VERSION_2: Final = """
    version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
"""
TRANSIT_GATEWAY: Final = """
    version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id
    tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id
    tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status
    type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags
    region flow-direction pkt-src-aws-service pkt-dst-aws-service
"""
NUMBERS: Final = {
    "version": "version",
    "srcport": "source_port",
    "dstport": "destination_port",
    "protocol": "protocol",
    "packets": "packets",
    "bytes": "bytes",
    "start": "start",
    "end": "end",
    "tcp-flags": "tcp_flags",
}
WORDS: Final = {
    "action": "action",
    "log-status": "log_status",
    "flow-direction": "direction",
    "account-id": "account_id",
    "interface-id": "interface_id",
    "vpc-id": "vpc_id",
    "subnet-id": "subnet_id",
    "instance-id": "instance_id",
    "type": "type",
    "region": "region",
    "az-id": "az_id",
    "pkt-src-aws-service": "pkt_src_aws_service",
    "pkt-dst-aws-service": "pkt_dst_aws_service",
}
PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


def text(name: str) -> Iterator[Row | None]:
    """Give the row of each line, or None where the line is no record."""
    fields = VERSION_2.split()
    for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("version"):
            fields = line.split()
        elif line.startswith("6 TransitGateway"):
            yield row(gateway(dict(zip(TRANSIT_GATEWAY.split(), line.split(), strict=True))))
        else:
            yield row(dict(zip(fields, line.split(), strict=True)))


def subscription(name: str) -> Iterator[Row | None]:
    for event in json.loads((GOLDEN / name).read_text(encoding="utf-8"))["logEvents"]:
        words = event["message"].split()
        fields = VERSION_2.split()
        yield row(dict(zip(fields, words, strict=True))) if len(words) == len(fields) else None


def objects(name: str, record: Callable[[Any], Record | None]) -> Iterator[Row | None]:
    for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines():
        found = record(json.loads(line))
        yield None if found is None else row(found)


def gateway(record: Record) -> Record:
    """AWS: a gateway logs what it forwards and, by cause, what it loses."""
    causes = ("no-route", "blackhole", "mtu-exceeded", "ttl-expired")
    meant = {**record, "interface-id": record["tgw-attachment-id"]}
    if record["packets"] not in {None, "-"}:
        lost = sum(int(record[f"packets-lost-{cause}"]) for cause in causes)
        meant["action"] = "REJECT" if lost and lost >= int(record["packets"]) else "ACCEPT"
    return {name: value for name, value in meant.items() if not name.startswith(("tgw-", "packets-lost-", "resource-"))}


def elastic(document: Any) -> Record | None:
    """Elastic Common Schema: source, destination, network, event; aws.vpcflow as the AWS integration documents it."""
    event, network = document["event"], document["network"]
    kept = document.get("aws", {}).get("vpcflow", {})
    try:
        start, end = (datetime.fromisoformat(event[name]).timestamp() for name in ("start", "end"))
    except ValueError:
        return None
    return {
        "account-id": document["cloud"]["account"]["id"],
        "srcaddr": document["source"]["ip"],
        "srcport": document["source"]["port"],
        "dstaddr": document["destination"]["ip"],
        "dstport": document["destination"]["port"],
        "protocol": network["iana_number"],
        "packets": document["source"].get("packets", network["packets"]),
        "bytes": document["source"].get("bytes", network["bytes"]),
        "start": start,
        "end": end,
        "action": {"success": "ACCEPT", "failure": "REJECT"}[event["outcome"]],
        "flow-direction": {"inbound": "ingress", "outbound": "egress", None: None}[network.get("direction")],
        **{field: kept.get(field.replace("-", "_")) for field in ("interface-id", "log-status", "version")},
    }


def security_lake(document: Any) -> Record:
    """OCSF Network Activity, class 4001: times in milliseconds, the reporter is the end that has an interface."""
    ends = document["src_endpoint"], document["dst_endpoint"]
    reporter = next(end for end in ends if end["interface_uid"])
    connection, traffic = document["connection_info"], document["traffic"]
    return {
        "account-id": document["cloud"]["account"]["uid"],
        "region": document["cloud"]["region"],
        "az-id": document["cloud"]["zone"],
        **{f"{what}-id": reporter[f"{what}_uid"] for what in ("interface", "vpc", "subnet", "instance")},
        "srcaddr": ends[0]["ip"],
        "srcport": ends[0]["port"],
        "dstaddr": ends[1]["ip"],
        "dstport": ends[1]["port"],
        "protocol": connection["protocol_num"],
        "tcp-flags": connection["tcp_flags"],
        "flow-direction": {1: "ingress", 2: "egress"}[connection["direction_id"]],
        "packets": traffic["packets"],
        "bytes": traffic["bytes"],
        "start": document["start_time"] // 1000,
        "end": document["end_time"] // 1000,
        "action": {1: "ACCEPT", 2: "REJECT"}[document["disposition_id"]],
        "log-status": document["status_code"],
    }


def row(record: Record) -> Row:
    """Give the columns of the record table that a record fills, with the default settings."""
    rest = {name: value for name, value in record.items() if value not in {None, "-"}}
    found: Row = {"weight": 1, "log_status": "OK"}
    reporter = rest.get("vpc-id", rest["account-id"])
    for field, end in (("srcaddr", "source"), ("dstaddr", "destination")):
        address = rest.pop(field, None)
        found |= {f"{end}_scope": "", f"{end}_internal": False}
        if address is not None:
            true = rest.get(f"pkt-{field}", address)
            private = inside(true)
            scope = reporter if private else ""
            high, low = halves(address)
            found |= {f"{end}_high": high, f"{end}_low": low, f"{end}_key": key(scope, *halves(true))}
            found |= {f"{end}_scope": scope, f"{end}_internal": private}
            if true != address and not private:
                found["forwarder_key"] = key(reporter if inside(address) else "", high, low)
    for field, end in (("pkt-srcaddr", "packet_source"), ("pkt-dstaddr", "packet_destination")):
        if field in rest:
            high, low = halves(rest.pop(field))
            found |= {f"{end}_high": high, f"{end}_low": low}
    for field, value in rest.items():
        found |= {NUMBERS[field]: int(value)} if field in NUMBERS else {WORDS[field]: value}
    return found


def inside(address: str) -> bool:
    return any(ip_address(address) in ip_network(network) for network in PRIVATE)


def halves(address: str) -> tuple[int, int]:
    """RFC 4291, section 2.5.5.2: IPv4 is mapped into ::ffff:0:0/96."""
    value = int(ip_address(address)) | (0 if ":" in address else 0xFFFF << 32)
    return value >> 64, value & (2**64 - 1)


def key(scope: str, high: int, low: int) -> int:
    """Hash a host: SplitMix64's finaliser over the scope's digest and both halves of the address."""
    mixed = mix(int.from_bytes(blake2b(scope.encode(), digest_size=8).digest(), "big") if scope else 0)
    return mix(low + mix(high + mixed))


def mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) % 2**64
    return value ^ value >> 31


READERS: Final[Mapping[str, Callable[[str], Iterator[Row | None]]]] = {
    "aws-custom.log": text,
    "aws-default.log": text,
    "transit-gateway.log": text,
    "transit-gateway-objects.json": lambda name: objects(name, gateway),
    "cloudwatch-subscription.json": subscription,
    "ecs.json": lambda name: objects(name, elastic),
    "ocsf.json": lambda name: objects(name, security_lake),
}
"""How each golden file is told."""
