"""The record table: one row per flow record, the same columns whatever dialect the record was written in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import polars as pl

ACTIONS: Final = pl.Enum(["ACCEPT", "REJECT"])
DIRECTIONS: Final = pl.Enum(["ingress", "egress"])
LOG_STATUSES: Final = pl.Enum(["OK", "NODATA", "SKIPDATA"])


@dataclass(frozen=True, slots=True)
class Column:
    """What one column of the table holds.

    Attributes
    ----------
    name
        Its name in the table.
    dtype
        Its type in Polars.
    meaning
        What it says, in a sentence.
    unit
        The unit of its values, or a dash.
    null
        What a missing value means, or "never" where none may be missing.
    aws
        The name of the field in AWS's flow logs, where there is one.
    required
        Whether every table has it. Optional columns are there when the input had the field.
    """

    name: str
    dtype: pl.DataType
    meaning: str
    unit: str = "-"
    null: str = "never"
    aws: str | None = None
    required: bool = True


def _optional(name: str, dtype: pl.DataType, meaning: str, *, null: str = "not logged") -> Column:
    return Column(name, dtype, meaning, null=null, aws=name.replace("_", "-"), required=False)


_COVERAGE: Final = "the row tells of coverage (NODATA, SKIPDATA), not of a flow"

COLUMNS: Final = (
    Column("source_high", pl.UInt64(), "High half of the sender's address", null=_COVERAGE),
    Column("source_low", pl.UInt64(), "Low half of the sender's address", null=_COVERAGE, aws="srcaddr"),
    Column("destination_high", pl.UInt64(), "High half of the receiver's address", null=_COVERAGE),
    Column("destination_low", pl.UInt64(), "Low half of the receiver's address", null=_COVERAGE, aws="dstaddr"),
    Column("source_scope", pl.String(), "Name space of the sender's address; empty for public ones"),
    Column("destination_scope", pl.String(), "Name space of the receiver's address; empty for public ones"),
    Column("source_key", pl.UInt64(), "Stable hash of the sender's scope and address", null=_COVERAGE),
    Column("destination_key", pl.UInt64(), "Stable hash of the receiver's scope and address", null=_COVERAGE),
    Column("source_internal", pl.Boolean(), "Whether the sender lies in the internal networks"),
    Column("destination_internal", pl.Boolean(), "Whether the receiver lies in the internal networks"),
    Column("source_port", pl.UInt16(), "Sender's port; 0 for protocols without", null=_COVERAGE, aws="srcport"),
    Column(
        "destination_port",
        pl.UInt16(),
        "Receiver's port; 0 for protocols without",
        null=_COVERAGE,
        aws="dstport",
    ),
    Column("protocol", pl.UInt8(), "IANA protocol number", null=_COVERAGE, aws="protocol"),
    Column(
        "packets",
        pl.Int64(),
        "Packets from sender to receiver",
        unit="packets",
        null=_COVERAGE,
        aws="packets",
    ),
    Column("bytes", pl.Int64(), "Bytes from sender to receiver", unit="bytes", null=_COVERAGE, aws="bytes"),
    Column("start", pl.Int64(), "First packet in the aggregation interval", unit="epoch seconds", aws="start"),
    Column("end", pl.Int64(), "Last packet in the aggregation interval", unit="epoch seconds", aws="end"),
    Column(
        "action",
        ACTIONS,
        "Whether security groups and network ACLs let it pass",
        null=_COVERAGE,
        aws="action",
    ),
    Column("log_status", LOG_STATUSES, "OK, or what kind of coverage row this is", aws="log-status"),
    Column("tcp_flags", pl.UInt8(), "TCP flags seen, OR-ed over the interval", null="not logged", aws="tcp-flags"),
    Column("direction", DIRECTIONS, "As the reporter saw it", null="not logged", aws="flow-direction"),
    Column("account_id", pl.String(), "Reporter's account", null="not logged", aws="account-id"),
    Column("vpc_id", pl.String(), "Reporter's VPC", null="not logged", aws="vpc-id"),
    Column("interface_id", pl.String(), "Reporter's network interface", null="not logged", aws="interface-id"),
    Column("weight", pl.UInt32(), "How many records this one stands for where the input was sampled"),
    _optional("version", pl.UInt8(), "Version of the flow log format"),
    _optional("subnet_id", pl.String(), "Reporter's subnet"),
    _optional("instance_id", pl.String(), "Reporter's instance"),
    _optional("type", pl.String(), "IPv4, IPv6 or EFA"),
    _optional("pkt_srcaddr", pl.String(), "Sender's address inside the packet, behind translation"),
    _optional("pkt_dstaddr", pl.String(), "Receiver's address inside the packet, behind translation"),
    _optional("region", pl.String(), "Region of the reporter"),
    _optional("az_id", pl.String(), "Availability zone of the reporter"),
    _optional("sublocation_type", pl.String(), "wavelength, outpost or localzone"),
    _optional("sublocation_id", pl.String(), "Identifier of the sublocation"),
    _optional("pkt_src_aws_service", pl.String(), "AWS service the packet came from"),
    _optional("pkt_dst_aws_service", pl.String(), "AWS service the packet went to"),
    _optional("traffic_path", pl.UInt8(), "Way of egress traffic, 1 to 8"),
    _optional("reject_reason", pl.String(), "Why the traffic was refused"),
)
"""Every column there is, in order: the required ones first."""

SCHEMA: Final = pl.Schema({column.name: column.dtype for column in COLUMNS if column.required})
OPTIONAL: Final = pl.Schema({column.name: column.dtype for column in COLUMNS if not column.required})


class Table:
    """Flow records as columns, held to `COLUMNS`.

    Parameters
    ----------
    frame
        All required columns in their order, then any of the optional ones.

    Raises
    ------
    ValueError
        When a column is missing, unknown, out of order or of another type.

    Examples
    --------
    >>> len(Table.empty())
    0
    """

    __slots__ = ("__dict__", "frame")

    def __init__(self, frame: pl.DataFrame) -> None:
        names = frame.columns
        required = SCHEMA.names()
        if names[: len(required)] != required:
            raise ValueError(f"a record table begins with the columns {required}, not {names[: len(required)]}")
        for name, dtype in frame.schema.items():
            expected = SCHEMA.get(name) or OPTIONAL.get(name)
            if expected is None:
                raise ValueError(f"a record table has no column {name!r}")
            if expected != dtype:
                raise ValueError(f"column {name!r} of a record table is {expected}, not {dtype}")
        self.frame = frame

    @classmethod
    def empty(cls) -> Self:
        """Make a table without rows."""
        return cls(pl.DataFrame(schema=SCHEMA))

    @classmethod
    def concatenated(cls, tables: "list[Self]") -> Self:
        """Put tables below each other; a column that only some have is null in the rest."""
        if not tables:
            return cls.empty()
        if len(tables) == 1:
            return tables[0]
        return cls(pl.concat([table.frame for table in tables], how="diagonal"))

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def flows(self) -> pl.DataFrame:
        """The rows that tell of flows: no NODATA, no SKIPDATA."""
        return self.frame.filter(pl.col("log_status") == "OK")

    def rows(self, begin: int, end: int | None = None) -> "Table":
        """Take the rows from `begin` up to `end`, not included."""
        return Table(self.frame[begin:end])
