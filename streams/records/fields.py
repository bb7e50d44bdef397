"""What kind of value each of AWS's fields holds, taken from the columns of the record table."""

from typing import Final, NamedTuple

import polars as pl

from detectors.table import ACTIONS, COLUMNS, DIRECTIONS, LOG_STATUSES


class Number(NamedTuple):
    """A field of whole numbers from 0 to `highest`."""

    column: str
    dtype: pl.DataType
    highest: int


_LATEST: Final = 2**33
_HIGHEST: Final[dict[pl.DataType, int]] = {pl.UInt8(): 2**8 - 1, pl.UInt16(): 2**16 - 1, pl.Int64(): 2**63 - 1}

ADDRESSES: Final = {
    "srcaddr": "source",
    "dstaddr": "destination",
    "pkt_srcaddr": "packet_source",
    "pkt_dstaddr": "packet_destination",
}
"""Fields of addresses, and how the names of their two columns begin."""

_FIELDS: Final = {column.aws.replace("-", "_"): column for column in COLUMNS if column.aws is not None}

NUMBERS: Final = {
    field: Number(column.name, column.dtype, _LATEST if field in {"start", "end"} else _HIGHEST[column.dtype])
    for field, column in _FIELDS.items()
    if column.dtype.is_integer() and field not in ADDRESSES
}
"""Fields of numbers."""

LABELS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "log_status": ("log_status", tuple(LOG_STATUSES.categories)),
    "action": ("action", tuple(ACTIONS.categories)),
    "flow_direction": ("direction", tuple(DIRECTIONS.categories)),
}
"""Fields that hold one of a few words: name of the column, and the words."""

TEXTS: Final = {field: column.name for field, column in _FIELDS.items() if column.dtype == pl.String()}
"""Fields that hold any text, and the names of their columns."""

NEEDED: Final = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action")
"""Fields without which a record of a flow cannot be used."""

ALWAYS_NEEDED: Final = frozenset({"start", "end"})
"""Those of them that a row about coverage has, too."""

KNOWN: Final = frozenset(field.replace("_", "-") for field in _FIELDS)
"""Every field of a VPC flow log, as AWS writes its name."""

LOSSES: Final = frozenset(
    {"packets_lost_no_route", "packets_lost_blackhole", "packets_lost_mtu_exceeded", "packets_lost_ttl_expired"}
)
"""Fields in which transit gateways count lost packets, by cause."""

_GATEWAY: Final = """
    resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id
    tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id
"""

READABLE: Final = KNOWN | set(_GATEWAY.split()) | {field.replace("_", "-") for field in LOSSES}
"""Those, and the fields that only transit gateways log."""


def written(field: str) -> str:
    """Write the name of a field the way AWS does.

    >>> written("flow_direction")
    'flow-direction'
    """
    return field.replace("_", "-")
