"""What interfaces log of conversations: who reports, in which direction, cut into aggregation intervals.

The meaning of the fields is AWS's (https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html).
"""

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from streams.generate.conversation import TCP, Outcome
from streams.generate.network import Network

AGGREGATION_SECONDS: Final = 60
"""The aggregation interval of Nitro instances; others have ten minutes, unless one minute is asked for."""

_FIN, _SYN, _RST, _SYN_ACK = 1, 2, 4, 18

REPORTS: Final = pl.Schema(
    {
        "reporter": pl.UInt32(),
        "source": pl.UInt32(),
        "destination": pl.UInt32(),
        "packet_source": pl.UInt32(),
        "packet_destination": pl.UInt32(),
        "source_port": pl.UInt16(),
        "destination_port": pl.UInt16(),
        "protocol": pl.UInt8(),
        "packets": pl.Int64(),
        "bytes": pl.Int64(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "rejected": pl.Boolean(),
        "tcp_flags": pl.UInt8(),
        "egress": pl.Boolean(),
    }
)
"""One row per flow log record; addresses and reporters are places in the directory of the network."""


class _View(NamedTuple):
    """One direction of a conversation as one of the interfaces on its way sees it."""

    reporter: str
    source: str
    destination: str
    packet_source: str
    packet_destination: str
    upward: bool
    egress: bool


_VIEWS: Final = (
    _View("client", "client", "server", "client", "server", upward=True, egress=True),
    _View("client", "server", "client", "server", "client", upward=False, egress=False),
    _View("server", "client", "server", "client", "server", upward=True, egress=False),
    _View("server", "server", "client", "server", "client", upward=False, egress=True),
    # A NAT gateway names itself in place of the far end, and the far end only as the packet's own address.
    _View("translator", "client", "translator", "client", "server", upward=True, egress=False),
    _View("translator", "translator", "server", "translator", "server", upward=True, egress=True),
    _View("translator", "server", "translator", "server", "translator", upward=False, egress=False),
    _View("translator", "translator", "client", "server", "client", upward=False, egress=True),
)


def reports(
    conversations: pl.DataFrame, network: Network, aggregation_seconds: int = AGGREGATION_SECONDS
) -> pl.DataFrame:
    """Log conversations.

    Parameters
    ----------
    conversations
        Columns of `CONVERSATIONS`.
    network
        Its directory says which addresses have an interface.
    aggregation_seconds
        Length of the aggregation interval, a multiple of 60: flags of the packets in one are OR-ed.

    Returns
    -------
    pl.DataFrame
        Columns of `REPORTS`: one row per interface, direction and aggregation interval with a packet in it.
    """
    seen = conversations.with_columns(
        network.interface.gather(conversations[end]).alias(f"{end}_interface") for end in ("client", "server")
    )
    translators = seen["translator"].is_not_null().any()
    views = _VIEWS if translators else [view for view in _VIEWS if view.reporter != "translator"]
    if translators:
        seen = seen.with_columns(network.interface.gather(seen["translator"]).alias("translator_interface"))
    return _cut(pl.concat([_as_seen(seen, view) for view in views]), network, aggregation_seconds)


def _as_seen(conversations: pl.DataFrame, view: _View) -> pl.DataFrame:
    packets, volume = ("sent_packets", "sent_bytes") if view.upward else ("received_packets", "received_bytes")
    ports = ("client_port", "server_port") if view.upward else ("server_port", "client_port")
    refused = pl.col("outcome") == int(Outcome.REFUSED if view.reporter == "server" else Outcome.UNASKED)
    first, last = _flags(upward=view.upward)
    return conversations.filter(pl.col(f"{view.reporter}_interface").is_not_null(), pl.col(packets) > 0).select(
        reporter=f"{view.reporter}_interface",
        source=view.source,
        destination=view.destination,
        packet_source=view.packet_source,
        packet_destination=view.packet_destination,
        source_port=ports[0],
        destination_port=ports[1],
        protocol="protocol",
        packets=packets,
        bytes=volume,
        begin="begin",
        finish=pl.col("begin") + pl.col("seconds"),
        rejected=refused if view.reporter != "translator" else pl.lit(value=False),
        first_flags=first,
        last_flags=last,
        egress=pl.lit(view.egress),
    )


def _flags(*, upward: bool) -> tuple[pl.Expr, pl.Expr]:
    """Say which flags the first and the last interval of a direction carry; ACK alone is not logged."""
    tcp, answered = pl.col("protocol") == TCP, pl.col("outcome") == int(Outcome.ANSWERED)
    unasked = pl.col("outcome") == int(Outcome.UNASKED)
    attempt = pl.lit(_SYN) if upward else pl.when(unasked).then(_SYN_ACK).otherwise(_RST)
    first = pl.when(answered).then(pl.col("opened") * (_SYN if upward else _SYN_ACK)).otherwise(attempt)
    last = pl.when(answered).then(pl.col("closed") * _FIN).otherwise(attempt)
    return (tcp * first).cast(pl.UInt8), (tcp * last).cast(pl.UInt8)


def _cut(flows: pl.DataFrame, network: Network, interval: int) -> pl.DataFrame:
    """Cut flows into the aggregation intervals of their reporters, their volume spread evenly over the time."""
    phase = network.interfaces["phase"].gather(flows["reporter"]).to_numpy() * (interval // 60)
    begin, finish = flows["begin"].to_numpy(), flows["finish"].to_numpy()
    first = (begin - phase) // interval
    counts = (finish - phase) // interval - first + 1
    row = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    opening = (first[row] + step) * interval + phase[row]
    start = np.maximum(begin[row], opening)
    end = np.minimum(finish[row], opening + interval - 1)
    cut = flows[row].with_columns(start=start, end=end, step=step, last=step == counts[row] - 1)
    length = pl.col("finish") - pl.col("begin") + 1

    def up_to(elapsed: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
        # A handshake takes three packets at once, and a conversation ends with one.
        spread = (pl.col("packets") * elapsed).floordiv(length).clip(3).clip(upper_bound=pl.col("packets") - 1)
        packets = pl.when(elapsed == 0).then(0).when(elapsed == length).then("packets").otherwise(spread)
        return packets, pl.col("bytes") * packets // pl.col("packets")

    packets, volume = up_to(pl.col("end") + 1 - pl.col("begin"))
    packets_before, volume_before = up_to(pl.col("start") - pl.col("begin"))
    flags = pl.when(step=0).then("first_flags").otherwise(0) | pl.when("last").then("last_flags").otherwise(0)
    return (
        cut.with_columns(packets=packets - packets_before, bytes=volume - volume_before, tcp_flags=flags)
        .filter(pl.col("packets") > 0)
        .select(pl.col(name).cast(dtype) for name, dtype in REPORTS.items())
    )
