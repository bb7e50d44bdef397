"""Reports as lines of text, the way AWS delivers them."""

from collections.abc import Mapping
from typing import Final, Literal

import polars as pl

from streams.generate.network import Network
from streams.records.settings import AWS_DEFAULT_FORMAT

Version = Literal[2, 5]

FORMATS: Final[Mapping[Version, str]] = {
    2: AWS_DEFAULT_FORMAT,
    5: f"{AWS_DEFAULT_FORMAT} vpc-id tcp-flags type pkt-srcaddr pkt-dstaddr flow-direction",
}
"""Fields of a line, by version: the default format, and a custom one."""


def lines(reports: pl.DataFrame, network: Network, version: Version) -> bytes:
    """Write reports.

    Parameters
    ----------
    reports
        Columns of `REPORTS`.
    network
        The directory that their addresses and reporters are in.
    version
        Which of `FORMATS`.

    Returns
    -------
    bytes
        One line per report in their order, each with a line end.
    """
    if reports.is_empty():
        return b""
    interfaces = network.interfaces.select(
        pl.format("{} {} {}", pl.lit(str(version)), "account_id", "interface_id").alias("reporter"), "vpc_id"
    )
    columns: dict[str, pl.Series | pl.Expr] = {
        "reporter": interfaces["reporter"].gather(reports["reporter"]),
        "source": network.text.gather(reports["source"]),
        "destination": network.text.gather(reports["destination"]),
        "action": pl.when("rejected").then(pl.lit("REJECT OK")).otherwise(pl.lit("ACCEPT OK")),
    }
    order: tuple[str, ...] = (
        *("reporter", "source", "destination", "source_port", "destination_port", "protocol"),
        *("packets", "bytes", "start", "end", "action"),
    )
    if version == 5:
        ipv6 = network.text.str.contains(":", literal=True).gather(reports["source"])
        columns |= {
            "vpc_id": interfaces["vpc_id"].gather(reports["reporter"]),
            "type": pl.when(ipv6).then(pl.lit("IPv6")).otherwise(pl.lit("IPv4")),
            "packet_source": network.text.gather(reports["packet_source"]),
            "packet_destination": network.text.gather(reports["packet_destination"]),
            "direction": pl.when("egress").then(pl.lit("egress")).otherwise(pl.lit("ingress")),
        }
        order = (*order, "vpc_id", "tcp_flags", "type", "packet_source", "packet_destination", "direction")
    written = reports.with_columns(**columns).select(line=pl.concat_str(order, separator=" "))
    text: str = written["line"].str.join("\n").item()
    return f"{text}\n".encode()
