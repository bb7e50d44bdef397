"""AWS VPC Flow Logs as text lines (https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html)."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from streams.records.contract import FORMAT_HEADER, REFUSED, Dialect, Message, Read
from streams.records.settings import RecordSettings

_HEADER_WORDS: Final = frozenset({"srcaddr", "dstaddr", "interface-id", "log-status"})


def header_format(line: bytes) -> str | None:
    """Return the format that a header line announces, or None where the line is no header.

    >>> header_format(b"version account-id interface-id srcaddr dstaddr")
    'version account-id interface-id srcaddr dstaddr'
    >>> header_format(b"2 123456789010 eni-0123456789 192.0.2.1 198.51.100.7")
    """
    words = line.split()
    if len(words) > 1 and not _HEADER_WORDS.isdisjoint(word.decode("ascii", "replace") for word in words):
        return b" ".join(words).decode("ascii", "replace")
    return None


class AwsText(Dialect):
    """Lines of fields separated by single spaces, in the default or any custom order."""

    name = "aws-text"

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Take everything that does not begin like JSON, gzip, zstd or Parquet."""
        del settings
        return message.value[:1] not in {b"{", b"[", b"\x1f", b"\x28", b"P"}

    def layout(self, message: Message, settings: RecordSettings) -> str:
        """Name the format: the message's own header line, its header, or the settings, in this order."""
        announced = header_format(message.value.split(b"\n", 1)[0])
        if announced is not None:
            return announced
        stated = message.headers.get(FORMAT_HEADER)
        return stated.decode("ascii", "replace") if stated is not None else settings.format

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Read:
        """Split lines into fields; a line with another number of fields is refused."""
        names = [name.replace("-", "_") for name in layout.split()]
        lines = _lines(messages)
        fields = pl.col("raw").str.count_matches(" ", literal=True) + 1
        wrong = fields < len(names) if settings.tolerate_extra_fields else fields != len(names)
        lines = lines.with_columns(fields=fields, wrong=wrong)
        refused = lines.filter("wrong").select(
            "message",
            "line",
            pl.format("wrong field count: {} instead of {}", "fields", pl.lit(len(names))).alias("reason"),
            pl.col("raw").cast(pl.Binary),
        )
        split = lines.filter(~pl.col("wrong")).with_columns(
            pl.col("raw").str.split_exact(" ", len(names)).struct.rename_fields([*names, ""]).alias("fields")
        )
        frame = split.select(
            "message", "line", "raw", *(pl.col("fields").struct.field(name) for name in dict.fromkeys(names))
        )
        missing = frame.select(
            "message",
            "line",
            "raw",
            *(pl.when(pl.col(name) != "-").then(pl.col(name)).alias(name) for name in dict.fromkeys(names)),
        )
        return Read(missing, refused.cast(REFUSED))


def _lines(messages: Sequence[Message]) -> pl.DataFrame:
    """Lay out the lines of messages, without blank lines and header lines, but numbered with them."""
    texts = pl.Series("raw", [message.value.decode("utf-8", "replace") for message in messages], dtype=pl.String)
    return (
        texts.to_frame()
        .with_row_index("message")
        .with_columns(pl.col("raw").str.split("\n"))
        .with_columns(line=pl.int_ranges(1, pl.col("raw").list.len() + 1, dtype=pl.UInt32))
        .explode("raw", "line")
        .with_columns(pl.col("raw").str.strip_chars_end("\r "))
        .filter(pl.col("raw") != "", ~_is_header())
        .select("message", "line", "raw")
    )


def _is_header() -> pl.Expr:
    return pl.col("raw").str.contains("srcaddr", literal=True) | pl.col("raw").str.contains("log-status", literal=True)
