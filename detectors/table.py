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


def _packet(name: str, meaning: str, *, aws: str | None = None) -> Column:
    return Column(name, pl.UInt64(), meaning, null="not logged", aws=aws, required=False)


_COVERAGE: Final = "the row tells of coverage (NODATA, SKIPDATA), not of a flow"

COLUMNS: Final = (
    Column("source_high", pl.UInt64(), "High half of the sender's address", null=_COVERAGE),
    Column("source_low", pl.UInt64(), "Low half of the sender's address", null=_COVERAGE, aws="srcaddr"),
    Column("destination_high", pl.UInt64(), "High half of the receiver's address", null=_COVERAGE),
    Column("destination_low", pl.UInt64(), "Low half of the receiver's address", null=_COVERAGE, aws="dstaddr"),
    Column("source_scope", pl.String(), "Name space of the sender's address; empty for public ones"),
    Column("destination_scope", pl.String(), "Name space of the receiver's address; empty for public ones"),
    Column("source_key", pl.UInt64(), "Stable hash of the sender's scope and true address", null=_COVERAGE),
    Column("destination_key", pl.UInt64(), "Stable hash of the receiver's scope and true address", null=_COVERAGE),
    Column("source_internal", pl.Boolean(), "Whether the true sender lies in the internal networks"),
    Column("destination_internal", pl.Boolean(), "Whether the true receiver lies in the internal networks"),
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
    _packet("packet_source_high", "High half of the sender's address inside the packet, behind translation"),
    _packet("packet_source_low", "Low half of the sender's address inside the packet", aws="pkt-srcaddr"),
    _packet("packet_destination_high", "High half of the receiver's address inside the packet, behind translation"),
    _packet("packet_destination_low", "Low half of the receiver's address inside the packet", aws="pkt-dstaddr"),
    Column(
        "forwarder_key",
        pl.UInt64(),
        "Key of the address outside the packet where that is a gateway's, which forwards for an outside host",
        null="nobody forwards",
        required=False,
    ),
    _optional("region", pl.String(), "Region of the reporter"),
    _optional("az_id", pl.String(), "Availability zone of the reporter"),
    _optional("sublocation_type", pl.String(), "wavelength, outpost or localzone"),
    _optional("sublocation_id", pl.String(), "Identifier of the sublocation"),
    _optional("pkt_src_aws_service", pl.String(), "AWS service the packet came from"),
    _optional("pkt_dst_aws_service", pl.String(), "AWS service the packet went to"),
    _optional("traffic_path", pl.UInt8(), "Way of egress traffic, 1 to 8"),
    _optional("ecs_cluster_arn", pl.String(), "ARN of the task's ECS cluster"),
    _optional("ecs_cluster_name", pl.String(), "Name of the task's ECS cluster"),
    _optional("ecs_container_instance_arn", pl.String(), "ARN of the task's container instance"),
    _optional("ecs_container_instance_id", pl.String(), "Identifier of the task's container instance"),
    _optional("ecs_container_id", pl.String(), "Identifier of the first running container"),
    _optional("ecs_second_container_id", pl.String(), "Identifier of the second running container"),
    _optional("ecs_service_name", pl.String(), "Name of the task's ECS service"),
    _optional("ecs_task_definition_arn", pl.String(), "ARN of the task definition"),
    _optional("ecs_task_arn", pl.String(), "ARN of the task"),
    _optional("ecs_task_id", pl.String(), "Identifier of the task"),
    _optional("reject_reason", pl.String(), "Why the traffic was refused"),
    _optional("resource_id", pl.String(), "Resource that the interface belongs to"),
    _optional("encryption_status", pl.UInt8(), "0 clear, 1 Nitro, 2 by the application, 3 both"),
    _optional("instance_tag", pl.String(), "Value of the first chosen tag of the instance, percent-encoded"),
    _optional("instance_tag_2", pl.String(), "Value of the second chosen tag of the instance, percent-encoded"),
    _optional("interface_tag", pl.String(), "Value of the first chosen tag of the interface, percent-encoded"),
    _optional("interface_tag_2", pl.String(), "Value of the second chosen tag of the interface, percent-encoded"),
    _optional("asg_tag", pl.String(), "Value of the first chosen tag of the scaling group, percent-encoded"),
    _optional("asg_tag_2", pl.String(), "Value of the second chosen tag of the scaling group, percent-encoded"),
    _optional("interface_type", pl.String(), "Kind of interface, for example nat_gateway"),
    _optional("next_hop_interface_id", pl.String(), "Interface that the traffic goes to next"),
    _optional("next_hop_subnet_id", pl.String(), "Subnet that the traffic goes to next"),
    _optional("next_hop_az_id", pl.String(), "Availability zone that the traffic goes to next"),
    _optional("next_hop_vpc_id", pl.String(), "VPC that the traffic goes to next"),
    _optional("next_hop_interface_type", pl.String(), "Kind of interface that the traffic goes to next"),
)
"""Every column there is, in order: the required ones first."""

SCHEMA: Final = pl.Schema({column.name: column.dtype for column in COLUMNS if column.required})
OPTIONAL: Final = pl.Schema({column.name: column.dtype for column in COLUMNS if not column.required})
_REQUIRED: Final = SCHEMA.names()
_DTYPES: Final = {column.name: column.dtype for column in COLUMNS}


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
        first = names[: len(_REQUIRED)]
        if first != _REQUIRED:
            raise ValueError(f"a record table begins with the columns {_REQUIRED}, not {first}")
        for name, dtype in zip(names, frame.dtypes, strict=True):
            expected = _DTYPES.get(name)
            if expected is None:
                raise ValueError(f"a record table has no column {name!r}")
            if expected is not dtype and expected != dtype:
                raise ValueError(f"column {name!r} of a record table is {expected}, not {dtype}")
        self.frame = frame

    @classmethod
    def sound(cls, frame: pl.DataFrame) -> Self:
        """Take a frame that holds to `COLUMNS` for certain: to look takes as long as to decode a hundred records."""
        table = cls.__new__(cls)
        table.frame = frame
        return table

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
        frames = [table.frame for table in tables]
        if all(frame.columns == frames[0].columns for frame in frames):
            return cls.sound(pl.concat(frames))
        together = pl.concat(frames, how="diagonal")
        return cls(together.select(column.name for column in COLUMNS if column.name in together.columns))

    def __len__(self) -> int:
        return self.frame.height

    @cached_property
    def flows(self) -> pl.DataFrame:
        """The rows that tell of flows: no NODATA, no SKIPDATA."""
        flowing = self.frame["log_status"] == "OK"
        return self.frame if flowing.all() else self.frame.filter(flowing)

    def rows(self, begin: int, end: int | None = None) -> "Table":
        """Take the rows from `begin` up to `end`, not included."""
        return Table.sound(self.frame[begin:end])
