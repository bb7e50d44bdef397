"""Conversations: what hosts say to each other, before anything is logged of it."""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.int64]

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17

_SEGMENT: Final = 1400
"""Bytes of payload in a full packet."""


class Outcome(IntEnum):
    """What becomes of an attempt to talk."""

    ANSWERED = 0
    REFUSED = 1
    """A security group or network ACL of the server refuses it; the client hears nothing."""
    SILENT = 2
    """It is let through, and nobody answers."""
    RESET = 3
    """It is let through, and the server's port is closed."""
    UNASKED = 4
    """The client never spoke, somebody forged its address: the server answers, and the client refuses that."""


CONVERSATIONS: Final = pl.Schema(
    {
        "client": pl.UInt32(),
        "server": pl.UInt32(),
        "translator": pl.UInt32(),
        "client_port": pl.UInt16(),
        "server_port": pl.UInt16(),
        "protocol": pl.UInt8(),
        "begin": pl.Int64(),
        "seconds": pl.Int64(),
        "sent_packets": pl.Int64(),
        "sent_bytes": pl.Int64(),
        "received_packets": pl.Int64(),
        "received_bytes": pl.Int64(),
        "outcome": pl.UInt8(),
        "opened": pl.Boolean(),
        "closed": pl.Boolean(),
    }
)
"""One row per conversation: who, from when (epoch seconds), how long, how much each way, and how it went.

`translator` is the NAT gateway on the way, null for none. `opened` and `closed` say whether its first and its
last packet are part of it.
"""


def conversations(
    generator: np.random.Generator,
    *,
    client: Numbers,
    server: Numbers,
    server_port: Numbers | int,
    begin: Numbers,
    seconds: Numbers | int = 0,
    sent: Numbers | int = 0,
    received: Numbers | int = 0,
    protocol: Numbers | int = TCP,
    outcome: Numbers | int = Outcome.ANSWERED,
    translator: int | None = None,
    standing: bool = False,
    segment: int = _SEGMENT,
) -> pl.DataFrame:
    """Make conversations from what was said in them.

    Parameters
    ----------
    generator
        Draws the clients' ports and the number of attempts without an answer.
    client, server
        Addresses, shape (n,).
    server_port, begin, seconds, protocol, outcome
        Columns of `CONVERSATIONS`; `seconds` counts only where there is an answer.
    sent, received
        Payload of the client and of the server, bytes; counts only where there is an answer.
    translator
        Address of the NAT gateway that all of them pass.
    standing
        Whether they were open before and stay open after.
    segment
        Bytes of payload in a packet; few where people or programs take turns.

    Returns
    -------
    pl.DataFrame
        The columns of `CONVERSATIONS`, shape (n, 15).
    """
    count = len(client)
    sent, received, server_port, protocol, outcome = (
        np.broadcast_to(values, count) for values in (sent, received, server_port, protocol, outcome)
    )
    tcp, answered, reset = protocol == TCP, outcome == Outcome.ANSWERED, outcome == Outcome.RESET
    unasked = outcome == Outcome.UNASKED
    # A client that hears nothing asks again after one second, then after two more.
    attempts = np.where(tcp & ~reset, generator.choice([1, 1, 1, 2, 3], count), 1)
    up, down = -(-sent // segment), -(-received // segment)
    sent_packets = np.where(answered, np.where(tcp, 4 + up + down // 2, np.maximum(up, 1)), attempts * ~unasked)
    received_packets = np.where(answered, np.where(tcp, 3 + down + up // 2, down), 0)
    header = np.where(tcp, 52, 28)
    columns = {
        "client": client,
        "server": server,
        "client_port": np.where(protocol == ICMP, 0, generator.integers(32_768, 61_000, count)),
        "server_port": np.where(protocol == ICMP, 0, server_port),
        "protocol": protocol,
        "begin": begin,
        "seconds": np.where(answered, seconds, attempts * (attempts - 1) // 2),
        "sent_packets": sent_packets,
        "sent_bytes": np.where(answered, sent, np.where(tcp, 8 * sent_packets, 32)) + header * sent_packets,
        "received_packets": np.where(reset, 1, np.where(unasked, attempts, received_packets)),
        "received_bytes": np.where(
            reset | unasked,
            40 * np.where(unasked, attempts, 1),
            np.where(answered, received, 0) + header * received_packets,
        ),
        "outcome": outcome,
        "opened": not standing,
        "closed": not standing,
    }
    series = [pl.Series(name, np.broadcast_to(np.asarray(values), count)) for name, values in columns.items()]
    named = pl.DataFrame(series).with_columns(translator=pl.lit(translator, pl.UInt32))
    return named.select(pl.col(name).cast(dtype) for name, dtype in CONVERSATIONS.items())
