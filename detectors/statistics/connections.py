"""Connections: each TCP connection to a service at which people log in, while it is young; the rest is left out."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.contacts import PANE_SECONDS, answering, contact_keys, refused
from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined

TCP: Final = 6

LOGIN_PORTS: Final = (21, 22, 23, 445, 1433, 1521, 3306, 3389, 5432, 5985, 5986, 6379, 27017)
"""FTP, SSH, Telnet, SMB, SQL Server, Oracle, MySQL, RDP, PostgreSQL, WinRM, Redis and MongoDB."""

_CHATTY_PORTS: Final = (
    25, 53, 80, 81, 88, 110, 111, 123, 135, 139, 143, 179, 389, 443, 465, 514, 587, 593, 636, 853, 873, 989, 990,
    993, 995, 2049, 2181, 2379, 2380, 3000, 3128, 3268, 3269, 3478, 4317, 4318, 4443, 5000, 5044, 5061, 5671, 5672,
    6443, 7000, 8000, 8008, 8080, 8081, 8086, 8088, 8125, 8443, 8500, 8883, 8888, 9000, 9042, 9090, 9092, 9093,
    9094, 9100, 9200, 9300, 9443, 10250, 10256, 11211, 15012, 15017, 50051,
)  # fmt: skip
"""Services whose ordinary use is many short, similar connections: web, mail, directories, metrics, queues."""

Columns = dict[str, npt.NDArray[Any]]

_NEUTRAL, _CHATTY, _LOGIN = range(3)

_MOST_PACKETS: Final = 64
"""Records of more packets are no guess; where people do not usually log in they are not even kept."""

CONNECTIONS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "report": pl.UInt64(),
        "connection": pl.UInt64(),
        "contact": pl.UInt64(),
        "source_key": pl.UInt64(),
        "target_key": pl.UInt64(),
        "port": pl.UInt16(),
        "source_internal": pl.Boolean(),
        "signs": pl.UInt8(),
        "sent_packets": pl.Int64(),
        "sent_bytes": pl.Int64(),
        "received_packets": pl.Int64(),
        "received_bytes": pl.Int64(),
        "weight": pl.Int64(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""One row per pane, connection and reporting interface; `report` is the hash of the last two.

A connection is a 5-tuple, `connection` its hash; `contact` leaves the client's port out. `sent` is what its client
sent. `signs` are those below, seen in any of its records. `weight` is that of its heaviest record.
"""

TARGET_INTERNAL: Final = 1
"""The server is an own host."""
FLAGGED: Final = 2
"""TCP flags were logged."""
OPENED: Final = 4
"""The client's SYN was among them."""
ACCEPTED: Final = 8
"""The server's SYN was among them."""
ENDED: Final = 16
"""A FIN or RST of either end was among them."""
REJECTED: Final = 32
"""A request was refused."""

_SYN, _FIN_OR_RST = 2, 5

_READ: Final = (
    "source_key", "destination_key", "source_internal", "destination_internal", "source_port", "destination_port",
    "protocol", "tcp_flags", "weight", "packets", "bytes", "start", "end", "action", "interface_id",
)  # fmt: skip
_LARGEST: Final = ("source_internal", "weight", "last_seen")
_SIZES: Final = ("sent_packets", "sent_bytes", "received_packets", "received_bytes")

_NOTHING: Final = CONNECTIONS.to_frame()

FOLLOWING_PANES: Final = 2
"""How many panes behind the one it begins in a connection is followed, and in how many before it must be unseen."""


_YOUNG_SECONDS: Final = FOLLOWING_PANES * PANE_SECONDS


def watched(login_ports: Iterable[int]) -> npt.NDArray[np.uint8]:
    """Say of every port what connections to it may be, UInt8, shape (65536,), for `fold`."""
    ports = np.zeros(1 << 16, np.uint8)
    ports[list(_CHATTY_PORTS)] = _CHATTY
    ports[list(login_ports)] = _LOGIN
    return ports


def fold(flows: pl.DataFrame, ports: npt.NDArray[np.uint8]) -> pl.DataFrame:
    """Fold records into connections; those of other protocols and of chatty services are left out.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.
    ports
        See `watched`.

    Returns
    -------
    pl.DataFrame
        Columns of `CONNECTIONS`.
    """
    kind = np.maximum(ports[flows["source_port"].to_numpy()], ports[flows["destination_port"].to_numpy()])
    few = flows["packets"].to_numpy() <= _MOST_PACKETS
    rows = np.flatnonzero((flows["protocol"].to_numpy() == TCP) & ((kind == _LOGIN) | ((kind == _NEUTRAL) & few)))
    if not len(rows):
        return _NOTHING
    flows = flows.select(_READ)[rows]
    flags = flows["tcp_flags"].fill_null(0).to_numpy()
    source_ports, destination_ports = flows["source_port"].to_numpy(), flows["destination_port"].to_numpy()
    back = answering(source_ports, destination_ports, flags)
    ends = flows["source_key"].to_numpy(), flows["destination_key"].to_numpy()
    inside = flows["source_internal"].to_numpy(), flows["destination_internal"].to_numpy()
    source, target = np.where(back, ends[1], ends[0]), np.where(back, ends[0], ends[1])
    port = np.where(back, source_ports, destination_ports)
    contact = contact_keys(source, target, port, flows["protocol"].to_numpy())
    connection = combined(contact, np.where(back, destination_ports, source_ports))
    weight = flows["weight"].to_numpy().astype(np.int64)
    packets, volume = flows["packets"].to_numpy(), flows["bytes"].to_numpy()
    end = flows["end"].to_numpy()
    rejected, syn = refused(flows), flags & _SYN != 0
    columns = {
        "pane": end // PANE_SECONDS * PANE_SECONDS,
        "report": combined(connection, flows["interface_id"].hash().to_numpy()),
        "connection": connection,
        "contact": contact,
        "source_key": source,
        "target_key": target,
        "port": port,
        "source_internal": np.where(back, inside[1], inside[0]),
        "signs": (
            np.where(back, inside[0], inside[1]) * TARGET_INTERNAL
            | flows["tcp_flags"].is_not_null().to_numpy() * FLAGGED
            | (~back & syn) * OPENED
            | (back & syn) * ACCEPTED
            | (flags & _FIN_OR_RST != 0) * ENDED
            | (rejected & ~back) * REJECTED
        ).astype(np.uint8),
        "sent_packets": np.where(back, 0, packets),
        "sent_bytes": np.where(back, 0, volume),
        "received_packets": np.where(back & ~rejected, packets, 0),
        "received_bytes": np.where(back & ~rejected, volume, 0),
        "weight": weight,
        "first_seen": flows["start"].to_numpy(),
        "last_seen": end,
    }
    return _merged(columns)


def merged(parts: pl.DataFrame) -> pl.DataFrame:
    """Sum connections that came in parts; panes stay apart.

    Returns
    -------
    pl.DataFrame
        Columns of `CONNECTIONS`; of one pane, in ascending order of `report`.
    """
    return _merged(_columns(parts))


def _merged(columns: Columns) -> pl.DataFrame:
    panes, reports = columns["pane"], columns["report"]
    several = len(panes) > 0 and bool((panes != panes[0]).any())
    together = _brought_together(columns, combined(reports, panes) if several else reports, Groups.sum)
    return frame({name: together[name] for name in CONNECTIONS})


def _columns(connections: pl.DataFrame) -> Columns:
    return {name: connections[name].to_numpy() for name in CONNECTIONS}


def _brought_together(parts: Columns, keys: UInt64Array, sizes: Callable[..., Int64Array]) -> Columns:
    groups = Groups(keys)
    together = {name: column[groups.some] for name, column in parts.items()}
    if len(groups) == len(keys):
        return together
    together |= {name: groups.max(parts[name]) for name in _LARGEST}
    together |= {name: sizes(groups, parts[name]) for name in _SIZES}
    together["signs"] = groups.any_bits(parts["signs"])
    together["first_seen"] = groups.min(parts["first_seen"])
    return together


def begun(connections: pl.DataFrame, begin: int, end: int) -> Columns:
    """Tell the connections that begin in some panes, each once, with what was exchanged in it while it was young.

    Parameters
    ----------
    connections
        Those of the panes, and of `FOLLOWING_PANES` panes before and behind them; panes in ascending order.
    begin, end
        Begin of the first pane, and end of the last one, epoch seconds.

    Returns
    -------
    Mapping
        Columns of `CONNECTIONS` by name, each of shape (n,), with the larger of what several interfaces reported;
        `pane` is the one in which a connection begins.
    """
    keys, panes = connections["connection"].to_numpy(), connections["pane"].to_numpy()
    order = np.argsort(keys, kind="stable")
    keys, panes = keys[order], panes[order]
    starts = np.ones(len(keys), np.bool_)
    starts[1:] = (keys[1:] != keys[:-1]) | (panes[1:] - panes[:-1] > _YOUNG_SECONDS)
    began = panes[starts][np.cumsum(starts) - 1]
    young = (began >= begin) & (began < end) & (panes - began <= _YOUNG_SECONDS)
    rows = order[young]
    parts = {name: column[rows] for name, column in _columns(connections).items()}
    parts["pane"] = began[young]
    reports = _brought_together(parts, combined(parts["report"], parts["pane"]), Groups.sum)
    return _brought_together(reports, combined(reports["connection"], reports["pane"]), Groups.max)
