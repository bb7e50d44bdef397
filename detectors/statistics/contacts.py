"""Contacts: who opened a conversation with whom, on which port, and what came of it."""

from typing import Final

import polars as pl

PANE_SECONDS: Final = 60
"""The smallest slice of event time that is kept."""

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16

_SERVICE_PORTS: Final = (
    1433, 1521, 2049, 2181, 3128, 3268, 3306, 3389, 4443, 5000, 5432, 5671, 5672, 5900, 5985, 5986, 6379, 6443,
    8000, 8080, 8081, 8443, 8888, 9000, 9042, 9090, 9092, 9200, 9300, 11211, 27017,
)  # fmt: skip
"""Ports above 1023 on which servers are commonly found (IANA service names and vendors' defaults)."""

_EPHEMERAL: Final = 32768
"""First port that clients commonly choose for themselves (Linux, ip_local_port_range)."""

KEYS: Final = ("source_key", "target_key", "port", "protocol")

CONTACTS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
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
        "request_bytes": pl.Int64(),
        "answer_bytes": pl.Int64(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""One row per pane and contact.

`source_key` opened the conversation with `port` of `target_key`. `requests` and `answers` count records in the
two directions, those that only reset do not count; `rejected` counts requests that were refused, and `lasting`
says that some request had more than two packets or went beyond the opening flags.
"""


def _service(port: pl.Expr) -> pl.Expr:
    return (port < 1024) | port.is_in(_SERVICE_PORTS)


def answering() -> pl.Expr:
    """Say of each record whether it goes back to whoever opened the conversation.

    TCP flags decide where they tell; else a service port, then the ephemeral range. Never just the lower port.
    """
    flags = pl.col("tcp_flags").fill_null(0)
    source, destination = pl.col("source_port"), pl.col("destination_port")
    opening = (flags & (_SYN | _ACK)) == _SYN
    accepting = (flags & (_SYN | _ACK)) == (_SYN | _ACK)
    by_service = _service(source) & ~_service(destination)
    neither = _service(source) == _service(destination)
    by_range = neither & (source < _EPHEMERAL) & (destination >= _EPHEMERAL)
    return accepting | (~opening & (by_service | by_range))


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
    answer = pl.col("answering")
    refused = pl.col("action") == "REJECT"
    flags = pl.col("tcp_flags").fill_null(0)
    resets_only = (flags & _RST != 0) & (flags & (_FIN | _SYN) == 0)
    weight = pl.col("weight").cast(pl.Int64)
    return (
        flows.lazy()
        .with_columns(answering=answering())
        .select(
            pane=pl.col("end") // PANE_SECONDS * PANE_SECONDS,
            source_key=pl.when(answer).then("destination_key").otherwise("source_key"),
            target_key=pl.when(answer).then("source_key").otherwise("destination_key"),
            port=pl.when(answer).then("source_port").otherwise("destination_port"),
            protocol="protocol",
            source_internal=pl.when(answer).then("destination_internal").otherwise("source_internal"),
            target_internal=pl.when(answer).then("source_internal").otherwise("destination_internal"),
            requests=pl.when(~answer & ~resets_only).then(weight).otherwise(0),
            rejected=pl.when(~answer & ~resets_only & refused).then(weight).otherwise(0),
            answers=pl.when(answer & ~resets_only & ~refused).then(weight).otherwise(0),
            lasting=~answer & ((pl.col("packets") > 2 * weight) | (flags & (_FIN | _ACK) != 0)),
            request_bytes=pl.when(~answer & ~refused).then(pl.col("bytes") * weight).otherwise(0),
            answer_bytes=pl.when(answer & ~refused).then(pl.col("bytes") * weight).otherwise(0),
            first_seen="start",
            last_seen="end",
        )
        .pipe(_grouped, ("pane", *KEYS))
        .select(CONTACTS.names())
        .collect()
    )


def merged(contacts: pl.DataFrame, *, by_pane: bool) -> pl.DataFrame:
    """Sum contacts that came in parts; merging is associative and does not mind the order.

    Parameters
    ----------
    contacts
        Columns of `CONTACTS`.
    by_pane
        Whether panes stay apart; else `pane` becomes the last one.
    """
    keys = ("pane", *KEYS) if by_pane else KEYS
    return contacts.lazy().pipe(_grouped, keys).select(CONTACTS.names()).collect()


def _grouped(contacts: pl.LazyFrame, keys: tuple[str, ...]) -> pl.LazyFrame:
    sums = ("requests", "rejected", "answers", "request_bytes", "answer_bytes")
    last = () if "pane" in keys else (pl.col("pane").max(),)
    return contacts.group_by(keys).agg(
        *last,
        pl.col("source_internal", "target_internal").max(),
        pl.col("lasting").max(),
        pl.col(sums).sum(),
        pl.col("first_seen").min(),
        pl.col("last_seen").max(),
    )
