"""Flow records as OCSF Network Activity (https://schema.ocsf.io, class 4001), one object to a line."""

from collections.abc import Mapping
from functools import cache
from typing import Final

import polars as pl

from streams.records.contract import Column
from streams.records.json_lines import first_known, meaning, strings, words
from streams.records.schema_json import SchemaJson

_FIELDS: Final = {
    "src_endpoint.ip": "srcaddr",
    "src_endpoint.port": "srcport",
    "src_endpoint.interface_uid": "source_interface",
    "src_endpoint.vpc_uid": "source_vpc",
    "src_endpoint.subnet_uid": "source_subnet",
    "src_endpoint.instance_uid": "source_instance",
    "dst_endpoint.ip": "dstaddr",
    "dst_endpoint.port": "dstport",
    "dst_endpoint.interface_uid": "destination_interface",
    "dst_endpoint.vpc_uid": "destination_vpc",
    "dst_endpoint.subnet_uid": "destination_subnet",
    "dst_endpoint.instance_uid": "destination_instance",
    "connection_info.protocol_num": "protocol",
    "connection_info.tcp_flags": "tcp_flags",
    "connection_info.direction": "flow_direction",
    "connection_info.direction_id": "direction_number",
    "traffic.packets": "packets",
    "traffic.bytes": "bytes",
    "start_time": "start",
    "end_time": "end",
    "status_code": "log_status",
    "disposition": "disposition",
    "disposition_id": "disposition_number",
    "action": "action_word",
    "action_id": "action_number",
    "activity_id": "activity_number",
    "cloud.account.uid": "account_id",
    "cloud.account_uid": "account_id",
    "cloud.region": "region",
    "cloud.zone": "az_id",
}
_REPORTER: Final = {
    "interface": "interface_id",
    "vpc": "vpc_id",
    "subnet": "subnet_id",
    "instance": "instance_id",
}
"""What stands at the end that reported, and the field it is."""

_ACTIONS: Final = {
    "allowed": "ACCEPT",
    "blocked": "REJECT",
    "dropped": "REJECT",
    "rejected": "REJECT",
    "denied": "REJECT",
}
_DISPOSITION_NUMBERS: Final = {"1": "ACCEPT", "2": "REJECT", "6": "REJECT"}
"""Allowed; blocked, dropped."""

_ACTION_NUMBERS: Final = {"1": "ACCEPT", "2": "REJECT"}
"""Allowed, denied."""

_REFUSE: Final = {"5": "REJECT"}
"""The activity that says what became of a connection; it counts only where nothing else does."""

_DIRECTION_NUMBERS: Final = {"1": "ingress", "2": "egress"}
_JUDGED: Final[Mapping[str, Mapping[str, str]]] = {
    "disposition": {},
    "action_word": {},
    "disposition_number": _DISPOSITION_NUMBERS,
    "action_number": _ACTION_NUMBERS,
    "activity_number": _REFUSE,
}
_DIRECTIONS: Final = {"inbound": "ingress", "outbound": "egress", "lateral": "-", "unknown": "-", "other": "-"}


class OcsfJson(SchemaJson):
    """Network activity, the way Amazon Security Lake and others write it."""

    name = "ocsf-json"
    keys = (b'"src_endpoint"', b'"dst_endpoint"')

    @staticmethod
    @cache
    def field(path: tuple[str, ...]) -> str | None:
        """Return the field at a path."""
        return _FIELDS.get(".".join(path))

    @staticmethod
    def seconds(times: pl.Series) -> pl.Series:
        """Read epoch milliseconds."""
        return times.cast(pl.Int64, strict=False) // 1000

    @staticmethod
    def translate(columns: dict[str, Column]) -> None:
        """Put the common fields under AWS's names."""
        action = _action(columns)
        if action is not None:
            columns["action"] = action
        for what, name in _REPORTER.items():
            ends = [f"{end}_{what}" for end in ("source", "destination")]
            known = [columns.pop(end) for end in ends if end in columns]
            if known:
                columns[name] = first_known(known)
        number = columns.pop("direction_number", None)
        if "flow_direction" in columns:
            columns["flow_direction"] = words(strings(columns["flow_direction"]), _DIRECTIONS)
        elif number is not None:
            columns["flow_direction"] = _meant(strings(number), _DIRECTION_NUMBERS)


def _action(columns: dict[str, Column]) -> Column | None:
    """Take out what became of the flows: what was decided about them goes before what was seen of them."""
    found = {name: strings(columns.pop(name)) for name in _JUDGED if name in columns}
    said = [found[name] for name in ("disposition", "action_word") if name in found]
    meant = [_meant(found[name], numbers) for name, numbers in _JUDGED.items() if name in found and numbers]
    if said:
        spoken = meaning(said, _ACTIONS)
        known = spoken.is_in(["ACCEPT", "REJECT"])
        return first_known([spoken.zip_with(known, pl.Series([None], dtype=pl.String)), *meant, spoken])
    return first_known(meant) if meant else None


def _meant(numbers: pl.Series, meanings: Mapping[str, str]) -> pl.Series:
    return numbers.replace_strict(meanings, default=None, return_dtype=pl.String)
