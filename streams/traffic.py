"""How much traffic there is, by what it is: summed once a batch, under names of which there are only so many."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.table import ACTIONS, Table

OTHER: Final = "other"
"""What has no name of its own."""

DIRECTIONS: Final = ("transit", "inbound", "outbound", "internal")
"""Seen from one's own networks; transit is between others. In order of: sender inside, twice, and receiver inside."""

PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmpv6", 132: "sctp"}
"""Names of protocols, by their number."""

PORTS: Final = (
    *(21, 22, 23, 25, 53, 80, 123, 143, 389, 443, 445, 465, 587, 636, 993, 1433, 1521, 3306, 3389, 5432),
    *(5900, 6379, 8080, 8443, 9092, 9200, 9300, 11211, 27017),
)
"""Ports of services that are told apart."""

SERVICES: Final = (
    *("AMAZON", "API_GATEWAY", "CLOUDFRONT", "DYNAMODB", "EC2", "EC2_INSTANCE_CONNECT", "GLOBALACCELERATOR", "KINESIS"),
    *("ROUTE53", "ROUTE53_HEALTHCHECKS", "S3", "WORKSPACES_GATEWAYS"),
)
"""AWS services that are told apart."""

MOST_REGIONS: Final = 40
"""So many regions get names; the text comes from the records, and not every one need be a region."""

Float64Array = npt.NDArray[np.float64]

_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}")
_PORT_NAMES: Final = (OTHER, *map(str, PORTS))
_PROTOCOL_NAMES: Final = (OTHER, *PROTOCOLS.values())
_ACTION_NAMES: Final = tuple(ACTIONS.categories)
_SHAPE: Final = len(DIRECTIONS), len(_ACTION_NAMES), len(_PROTOCOL_NAMES), len(_PORT_NAMES)
_CELLS: Final = int(np.prod(_SHAPE))
_TRAFFIC_NAMES: Final = tuple(product(DIRECTIONS, _ACTION_NAMES, _PROTOCOL_NAMES))
_SERVICE_NAMES: Final = tuple((port, action) for action in _ACTION_NAMES for port in _PORT_NAMES)

# What each column adds to the number of a row's cell: looking that up is faster than multiplying.
_PORTS: Final = np.zeros(1 << 16, np.uint16)
_PORTS[list(PORTS)] = np.arange(1, len(PORTS) + 1)
_PROTOCOLS: Final = np.zeros(1 << 8, np.uint16)
_PROTOCOLS[list(PROTOCOLS)] = np.arange(1, len(PROTOCOLS) + 1) * len(_PORT_NAMES)
_WAYS: Final = np.arange(len(DIRECTIONS) * len(_ACTION_NAMES), dtype=np.uint16) * np.uint16(_SHAPE[2] * _SHAPE[3])


class Volume(NamedTuple):
    """How much there was under one set of names.

    Attributes
    ----------
    family
        What the names are of: `traffic`, `port`, `region` or `service`.
    names
        One for each label of the family.
    bytes, records
        How much; records of a sample count for those that they stand for.
    """

    family: str
    names: tuple[str, ...]
    bytes: float
    records: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The sums of one batch.

    Attributes
    ----------
    bytes, records
        By direction, action, protocol and port, each in the order of their names, float64.
    regions, services
        Bytes and records by the text in the records.
    """

    bytes: Float64Array
    records: Float64Array
    regions: dict[str, tuple[float, float]]
    services: dict[str, tuple[float, float]]

    def volumes(self) -> Iterator[Volume]:
        """Yield what there was any of."""
        for family, names, axes in (("traffic", _TRAFFIC_NAMES, 3), ("port", _SERVICE_NAMES, (0, 2))):
            size, records = self.bytes.sum(axis=axes).ravel(), self.records.sum(axis=axes).ravel()
            found = np.flatnonzero(records)
            for number, *sums in zip(found.tolist(), size[found].tolist(), records[found].tolist(), strict=True):
                yield Volume(family, names[number], *sums)
        for family, texts in (("region", self.regions), ("service", self.services)):
            yield from (Volume(family, (name,), *both) for name, both in texts.items())


def known() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every family with every set of names that is known beforehand."""
    yield from (("traffic", names) for names in _TRAFFIC_NAMES)
    yield from (("port", names) for names in _SERVICE_NAMES)
    yield "region", (OTHER,)
    yield from (("service", (service,)) for service in (*SERVICES, OTHER))


class Regions:
    """Gives regions their names, the first so many; all others share one.

    Examples
    --------
    >>> regions = Regions(most=1)
    >>> [regions.name(text) for text in ("eu-north-1", "not a region", "us-east-1", "eu-north-1")]
    ['eu-north-1', 'other', 'other', 'eu-north-1']
    """

    def __init__(self, most: int = MOST_REGIONS) -> None:
        self._most = most
        self._names: set[str] = set()

    def name(self, text: str) -> str:
        """Return the name for the text in a record."""
        if text not in self._names and len(self._names) < self._most and _REGION.fullmatch(text):
            self._names.add(text)
        return text if text in self._names else OTHER


def measure(table: Table) -> Traffic:
    """Sum the traffic of a table; rows that tell of no flow are left out.

    The port is that of the service: the receiver's, or where that has no name, the sender's.

    Parameters
    ----------
    table
        Accepted records.
    """
    flows = table.flows
    weights = flows["weight"].to_numpy()
    size = flows["bytes"].to_numpy()
    sampled = bool(len(weights)) and int(weights.max()) > 1
    counted = weights.astype(np.float64) if sampled else None
    cells = _cells(flows)
    volume = np.bincount(cells, size if counted is None else size * counted, _CELLS).astype(np.float64)
    records = np.bincount(cells, counted, _CELLS).astype(np.float64)
    services = [name for name in ("pkt_src_aws_service", "pkt_dst_aws_service") if name in flows.columns]
    regions = _by_text(flows, pl.col("region")) if "region" in flows.columns else {}
    # Where both ends are services, it is the receiver's traffic.
    by_service = _by_text(flows, pl.coalesce(reversed(services))) if services else {}
    return Traffic(volume.reshape(_SHAPE), records.reshape(_SHAPE), regions, by_service)


def _cells(flows: pl.DataFrame) -> npt.NDArray[np.intp]:
    """Say to which cell of the sums each row belongs, shape (flows,)."""
    port = _PORTS.take(flows["destination_port"].to_numpy())
    cell = _PORTS.take(flows["source_port"].to_numpy())
    np.copyto(cell, port, where=port != 0)
    cell += _PROTOCOLS.take(flows["protocol"].to_numpy())
    way = flows["source_internal"].to_numpy().view(np.uint8) * np.uint8(2)
    way = (way + flows["destination_internal"].to_numpy().view(np.uint8)) * np.uint8(2)
    cell += _WAYS.take(way + flows["action"].to_physical().to_numpy())
    # Counted twice, and each time they would be converted.
    return cell.astype(np.intp)


def _by_text(flows: pl.DataFrame, text: pl.Expr) -> dict[str, tuple[float, float]]:
    """Sum bytes and records by a text, where there is one."""
    weight = pl.col("weight").cast(pl.Int64)
    summed = flows.group_by(text.alias("text")).agg((pl.col("bytes") * weight).sum(), weight.sum().alias("records"))
    return {each: (size, records) for each, size, records in summed.rows() if each is not None}
