"""Writers of every dialect, for round trips."""

import base64
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import cramjam
import polars as pl

from tests.streams.records.oracle import HIGHEST

Record = Mapping[str, str]
Write = Callable[[Sequence[Record]], bytes]

_NARROW: Final = {"version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"}


def text(records: Sequence[Record], separator: str = " ") -> bytes:
    header = separator.join(records[0])
    return "\n".join([header, *(separator.join(record.values()) for record in records)]).encode()


def typed(name: str, value: str) -> str | int | None:
    if value == "-":
        return None
    return int(value) if name in HIGHEST else value


def json_numbers(records: Sequence[Record]) -> bytes:
    return b"\n".join(
        json.dumps({name: typed(name, value) for name, value in record.items()}).encode() for record in records
    )


def json_strings(records: Sequence[Record]) -> bytes:
    return b"\n".join(
        json.dumps({name.replace("-", "_"): value for name, value in record.items()}, separators=(",", ":")).encode()
        for record in records
    )


def firehose(records: Sequence[Record]) -> bytes:
    return b"\n".join(json.dumps({"message": line}).encode() for line in text(records).decode().split("\n"))


def subscription(records: Sequence[Record]) -> bytes:
    events = [
        {"id": str(number), "timestamp": 1, "message": line}
        for number, line in enumerate(text(records).decode().split("\n"))
    ]
    return json.dumps({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "flows", "logEvents": events}).encode()


def parquet(records: Sequence[Record]) -> bytes:
    schema = {
        name.replace("-", "_"): pl.Int32() if name in _NARROW else pl.Int64() if name in HIGHEST else pl.String()
        for name in records[0]
    }
    columns = {name.replace("-", "_"): [typed(name, record[name]) for record in records] for name in records[0]}
    file = io.BytesIO()
    pl.DataFrame(columns, schema=schema).write_parquet(file, compression="gzip")
    return file.getvalue()


WRITERS: Final[Mapping[str, Write]] = {
    "tabs": lambda records: text(records, "\t"),
    "commas": lambda records: text(records, ","),
    "gzip": lambda records: gzip.compress(text(records)),
    "zstd": lambda records: bytes(cramjam.zstd.compress(text(records))),
    "several gzip members": lambda records: b"".join(gzip.compress(part) for part in halves(text(records))),
    "json with numbers": json_numbers,
    "json with strings": json_strings,
    "firehose": firehose,
    "subscription": subscription,
    "subscription in gzip": lambda records: gzip.compress(subscription(records)),
    "subscription in gzip in base64": lambda records: base64.encodebytes(gzip.compress(subscription(records))),
    "parquet": parquet,
}
"""Ways to write every field there is."""


def halves(value: bytes) -> tuple[bytes, bytes]:
    return value[: len(value) // 2], value[len(value) // 2 :]


def ecs(records: Sequence[Record]) -> bytes:
    return b"\n".join(
        json.dumps(
            {
                "source": {"ip": record["srcaddr"], "port": int(record["srcport"])},
                "destination": {"ip": record["dstaddr"], "port": int(record["dstport"])},
                "network": {
                    "iana_number": record["protocol"],
                    "packets": int(record["packets"]),
                    "bytes": int(record["bytes"]),
                },
                "event": {
                    "start": iso(record["start"]),
                    "end": iso(record["end"]),
                    "action": record["action"].lower(),
                    "type": ["connection"],
                },
                "cloud": {"account": {"id": record["account-id"]}},
                "aws": {"vpcflow": {"interface_id": record["interface-id"], "version": record["version"]}},
            }
        ).encode()
        for record in records
    )


def ocsf(records: Sequence[Record]) -> bytes:
    return b"\n".join(
        json.dumps(
            {
                "class_uid": 4001,
                "src_endpoint": {"ip": record["srcaddr"], "port": int(record["srcport"]), "interface_uid": "-"},
                "dst_endpoint": {
                    "ip": record["dstaddr"],
                    "port": int(record["dstport"]),
                    "interface_uid": record["interface-id"],
                },
                "connection_info": {"protocol_num": int(record["protocol"]), "direction": "Unknown"},
                "traffic": {"packets": int(record["packets"]), "bytes": int(record["bytes"])},
                "start_time": int(record["start"]) * 1000,
                "end_time": int(record["end"]) * 1000 + 999,
                "status_code": "OK",
                "disposition": {"ACCEPT": "Allowed", "REJECT": "Blocked"}[record["action"]],
                "cloud": {"account": {"uid": record["account-id"]}},
            }
        ).encode()
        for record in records
    )


def iso(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
