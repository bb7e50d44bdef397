"""Contacts: who opened a conversation with whom, on which port, and what came of it."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, UInt64Array, combined
from detectors.table import ACTIONS

PANE_SECONDS: Final = 60
"""The smallest slice of event time that is kept."""

_TCP: Final = 6

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16

_MOST_SYNS: Final = 7
"""How often Linux asks for a connection before it gives up (tcp_syn_retries, 6, and the first time)."""

_SYN_BYTES: Final = 40, 80
"""Size of a SYN with headers: without options over IPv4, and with all usual ones over IPv6."""

_SERVICE_PORTS: Final = (
    1433, 1521, 2049, 2181, 3128, 3268, 3306, 3389, 4443, 5000, 5432, 5671, 5672, 5900, 5985, 5986, 6379, 6443,
    8000, 8080, 8081, 8443, 8888, 9000, 9042, 9090, 9092, 9200, 9300, 11211, 27017,
)  # fmt: skip
"""Ports above 1023 on which servers are commonly found (IANA service names and vendors' defaults)."""

_EPHEMERAL: Final = 32768
"""First port that clients commonly choose for themselves (Linux, ip_local_port_range)."""

KEYS: Final = ("source_key", "target_key", "port", "protocol")

_SAME: Final = ("contact", *KEYS, "source_internal", "target_internal")
"""Columns that are the same in all rows of a contact."""

CONTACTS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "contact": pl.UInt64(),
        "source_key": pl.UInt64(),
        "target_key": pl.UInt64(),
        "port": pl.UInt16(),
        "protocol": pl.UInt8(),
        "source_internal": pl.Boolean(),
        "target_internal": pl.Boolean(),
        "requests": pl.Int64(),
        "rejected": pl.Int64(),
        "answers": pl.Int64(),
        "lasting": pl.Boolean(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""One row per pane and contact.

`source_key` opened the conversation with `port` of `target_key`; `contact` is the hash of these and the protocol.
`requests` and `answers` count records in the two directions, those that only reset do not count; `rejected`
counts requests that were refused, and `lasting` says that some request had more than two packets, other than a SYN
that was sent again, or went beyond the opening flags.
"""

_SERVICES: Final = np.zeros(1 << 16, np.bool_)
_SERVICES[:1024] = True
_SERVICES[list(_SERVICE_PORTS)] = True

_REFUSED: Final = ACTIONS.categories.to_list().index("REJECT")


def answering(
    source_ports: npt.NDArray[np.uint16], destination_ports: npt.NDArray[np.uint16], flags: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Say of each record whether it goes back to whoever opened the conversation.

    TCP flags decide where they tell; else a service port, then the ephemeral range. Never just the lower port.

    Parameters
    ----------
    source_ports, destination_ports
        Ports of the sender and the receiver, shape (n,).
    flags
        TCP flags, OR-ed over the record's interval; 0 where there are none. Shape (n,).
    """
    handshake = flags & (_SYN | _ACK)
    source, destination = _SERVICES[source_ports], _SERVICES[destination_ports]
    by_range = (source == destination) & (source_ports < _EPHEMERAL) & (destination_ports >= _EPHEMERAL)
    by_port = (source & ~destination) | by_range
    answers: npt.NDArray[np.bool_] = (handshake == (_SYN | _ACK)) | (by_port & (handshake != _SYN))
    return answers


def undecided(source_ports: npt.NDArray[np.uint16], destination_ports: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Say of each record whether its ports leave open who opened the conversation. Portless ones are not meant."""
    alike = _SERVICES[source_ports] == _SERVICES[destination_ports]
    same_range = (source_ports < _EPHEMERAL) == (destination_ports < _EPHEMERAL)
    undecided: npt.NDArray[np.bool_] = alike & same_range & ((source_ports | destination_ports) != 0)
    return undecided


def counting(flags: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Say of each record whether it counts: those that only reset do not."""
    counts: npt.NDArray[np.bool_] = (flags & _RST == 0) | (flags & (_FIN | _SYN) != 0)
    return counts


def refused(flows: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Say of each record whether it was refused."""
    rejected: npt.NDArray[np.bool_] = flows["action"].to_physical().to_numpy() == _REFUSED
    return rejected


def asked_again(flows: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Say of each record whether it tells of nothing but a SYN, and of the same SYN again when nobody answered.

    An open connection may log the same flags, since ACK alone is not logged; its packets differ in size.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows, shape (n, columns).
    """
    packets, volume = flows["packets"].to_numpy(), flows["bytes"].to_numpy()
    flags = flows["tcp_flags"].fill_null(_SYN).to_numpy()
    syns = (flows["protocol"].to_numpy() == _TCP) & (flags & ~np.uint8(_RST) == _SYN)
    few = (packets > 0) & (packets <= _MOST_SYNS * flows["weight"].to_numpy())
    smallest, largest = _SYN_BYTES
    alike: npt.NDArray[np.bool_] = syns & few & (volume >= smallest * packets) & (volume <= largest * packets)
    rows = np.flatnonzero(alike)
    alike[rows] = volume[rows] % packets[rows] == 0
    return alike


def fold(flows: pl.DataFrame) -> pl.DataFrame:
    """Fold records into contacts.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows.

    Returns
    -------
    pl.DataFrame
        Columns of `CONTACTS`, in no particular order.
    """
    flags = flows["tcp_flags"].fill_null(0).to_numpy()
    source_ports, destination_ports = flows["source_port"].to_numpy(), flows["destination_port"].to_numpy()
    back = answering(source_ports, destination_ports, flags)
    source, destination = flows["source_key"].to_numpy(), flows["destination_key"].to_numpy()
    source_internal, destination_internal = (
        flows["source_internal"].to_numpy(),
        flows["destination_internal"].to_numpy(),
    )
    rejected, counts = refused(flows), counting(flags)
    weight = flows["weight"].to_numpy().astype(np.int64)
    request = weight * (~back & counts)
    end = flows["end"].to_numpy()
    columns = {
        "pane": end // PANE_SECONDS * PANE_SECONDS,
        "source_key": np.where(back, destination, source),
        "target_key": np.where(back, source, destination),
        "port": np.where(back, source_ports, destination_ports),
        "protocol": flows["protocol"].to_numpy(),
        "source_internal": np.where(back, destination_internal, source_internal),
        "target_internal": np.where(back, source_internal, destination_internal),
        "requests": request,
        "rejected": request * rejected,
        "answers": weight * (back & counts & ~rejected),
        "lasting": ~back
        & ((flows["packets"].to_numpy() > 2 * weight) | (flags & (_FIN | _ACK) != 0))
        & ~asked_again(flows),
        "first_seen": flows["start"].to_numpy(),
        "last_seen": end,
    }
    columns["contact"] = contact_keys(
        columns["source_key"], columns["target_key"], columns["port"], columns["protocol"]
    )
    return _grouped(columns, by_pane=True)


def contact_keys(
    source_keys: UInt64Array,
    target_keys: UInt64Array,
    ports: npt.NDArray[np.uint16],
    protocols: npt.NDArray[np.uint8],
) -> UInt64Array:
    """Hash contacts, each column of shape (n,)."""
    services = ports.astype(np.uint64) << np.uint64(8) | protocols
    return combined(source_keys, target_keys, services)


def merged(contacts: pl.DataFrame, *, by_pane: bool) -> pl.DataFrame:
    """Sum contacts that came in parts; merging is associative and does not mind the order.

    Parameters
    ----------
    contacts
        Columns of `CONTACTS`.
    by_pane
        Whether panes stay apart; else `pane` becomes the last one.

    Returns
    -------
    pl.DataFrame
        Columns of `CONTACTS`; of one pane or none, in ascending order of `contact`.
    """
    return _grouped({name: contacts[name].to_numpy() for name in CONTACTS}, by_pane=by_pane)


def _grouped(columns: Mapping[str, npt.NDArray[Any]], *, by_pane: bool) -> pl.DataFrame:
    panes = columns["pane"]
    several = by_pane and len(panes) > 0 and bool((panes != panes[0]).any())
    groups = Groups(combined(columns["contact"], panes) if several else columns["contact"])
    grouped = {name: columns[name][groups.some] for name in _SAME}
    grouped |= {name: groups.sum(columns[name]) for name in ("requests", "answers")}
    grouped["rejected"] = groups.sum_of_few(columns["rejected"])
    grouped |= {name: groups.max(columns[name]) for name in ("lasting", "last_seen")}
    grouped["pane"] = panes[groups.some] if by_pane else groups.max(panes)
    grouped["first_seen"] = groups.min(columns["first_seen"])
    return frame({name: grouped[name] for name in CONTACTS})
