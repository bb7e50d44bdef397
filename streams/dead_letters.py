"""Records that do not count, as messages: refused ones with their reason, late ones ready to be replayed."""

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from detectors import addresses
from detectors.table import Table
from streams.records.contract import FORMAT_HEADER

_LATE_FIELDS: Final = (
    "account_id", "vpc_id", "interface_id", "srcaddr", "dstaddr", "source_port", "destination_port", "protocol",
    "packets", "bytes", "start", "end", "action", "log_status", "tcp_flags", "direction",
)  # fmt: skip

LATE_FORMAT: Final = (
    "account-id vpc-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status tcp-flags flow-direction"
)
"""How late records are written: text that any later run reads again."""

RAW_BYTES: Final = 256 << 10
"""How much of a refused line is kept: a broker takes a megabyte at most unless told otherwise."""

LATE_RECORDS: Final = 2_000
"""Late records in one message at most, for the same reason."""

Outgoing = tuple[bytes, dict[str, bytes]]
"""Value and headers of a message."""


def dead_letters(refused: pl.DataFrame, topic: str, partition: int, offsets: Sequence[int]) -> Iterator[Outgoing]:
    """Write refused lines as messages: the bytes as they came, and in the headers why and from where.

    Of a line longer than `RAW_BYTES` only the beginning is kept, and a header says how long it was.
    """
    for message, line, reason, raw in refused.rows():
        headers = {
            "flowhawk-reason": reason.encode()[:1024],
            "flowhawk-topic": topic.encode(),
            "flowhawk-partition": str(partition).encode(),
            "flowhawk-offset": str(offsets[message]).encode(),
            "flowhawk-line": str(line).encode(),
        }
        if len(raw) > RAW_BYTES:
            headers["flowhawk-bytes"] = str(len(raw)).encode()
        yield raw[:RAW_BYTES], headers


def late_blocks(late: Table) -> Iterator[Outgoing]:
    """Write late records as blocks of text.

    >>> list(late_blocks(Table.empty()))
    []
    """
    for begin in range(0, len(late), LATE_RECORDS):
        yield _late_block(late.rows(begin, begin + LATE_RECORDS))


def _late_block(late: Table) -> Outgoing:
    frame = late.frame.with_columns(_written(late.frame, "source"), _written(late.frame, "destination"))
    line = pl.concat_str([pl.col(name).cast(pl.String).fill_null("-") for name in _LATE_FIELDS], separator=" ")
    lines = frame.select(line=line)["line"]
    return "\n".join(lines).encode(), {FORMAT_HEADER: LATE_FORMAT.encode()}


def _written(frame: pl.DataFrame, end: str) -> pl.Series:
    name = {"source": "srcaddr", "destination": "dstaddr"}[end]
    pairs = frame.select(f"{end}_high", f"{end}_low").rows()
    known = {pair: None if pair[0] is None else addresses.written(*pair) for pair in set(pairs)}
    return pl.Series(name, [known[pair] for pair in pairs], dtype=pl.String)
