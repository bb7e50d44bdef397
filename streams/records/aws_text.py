"""AWS VPC Flow Logs as text lines (https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors import written_numbers
from detectors.texts import BoolArray, Texts, UInt64Array
from streams.records.contract import FORMAT_HEADER, Column, Dialect, Message, Read
from streams.records.fields import LOSSES, READABLE
from streams.records.joined import Joined
from streams.records.json_lines import first_known, strings
from streams.records.lines import Lines
from streams.records.settings import RecordSettings

_MOST_LOST: Final = np.uint64(2**60)
"""Four causes of loss add up without overflow."""

_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def header_format(line: bytes) -> str | None:
    """Return the format that a header line announces, or None where the line is no header.

    All its words look like names of fields, and at least two of them are.

    >>> header_format(b"version account-id interface-id srcaddr dstaddr")
    'version account-id interface-id srcaddr dstaddr'
    >>> header_format(b"2 123456789010 eni-0123456789 192.0.2.1 198.51.100.7")
    """
    if not line[:1].isalpha():
        return None
    words = line.replace(b",", b" ").decode("ascii", "replace").split()
    names = [word.strip('"').replace("_", "-") for word in words]
    if sum(name in READABLE for name in names) < 2 or not all(_FIELD_NAME.fullmatch(name) for name in names):
        return None
    return " ".join(names)


class AwsText(Dialect):
    """Lines of fields separated by a space, tab or comma, in the default or any custom order."""

    name = "aws-text"
    begins = bytes(range(256))
    last = True

    def layout(self, message: Message, settings: RecordSettings) -> str:
        """Name the format that the message states in its headers, if it does."""
        del settings
        stated = message.headers.get(FORMAT_HEADER)
        return " ".join(stated.decode("ascii", "replace").split()) if stated is not None else ""

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Split lines into fields.

        A header line holds for the lines behind it in its message. Where neither it nor the layout says what
        the fields are, the number of fields chooses among the formats of the settings.
        """
        formats = (layout,) if layout else self.formats(settings)
        lines = Lines(
            Joined.of(messages),
            tuple(tuple(each.split()) for each in formats),
            header_format,
            surplus=settings.tolerate_extra_fields,
        )
        return map(from_transit_gateway, lines.read())

    def formats(self, settings: RecordSettings) -> tuple[str, ...]:
        """Return the formats that lines may have which say nothing about it."""
        return tuple(dict.fromkeys((settings.format, *settings.formats)))


def from_transit_gateway(read: Read) -> Read:
    """Put what transit gateways log into the columns of VPC flow logs; leave other reads as they are.

    A gateway logs what it forwards or loses: ACCEPT where it forwarded any packet, REJECT where it lost all of
    them. Its attachment stands for the interface. No VPC is the reporter's, for the ends lie in two.
    """
    gateways = [column for name, column in read.columns.items() if name.startswith("tgw_")]
    if not gateways:
        return read
    columns = dict(read.columns)
    meant = {"interface_id": columns.get("tgw_attachment_id"), "action": _forwarded(columns, _told(gateways))}
    for name, column in meant.items():
        if column is not None:
            # Objects of VPCs and gateways that are read together have the fields of both.
            columns[name] = first_known([columns[name], column]) if name in columns else column
    return Read(columns, read.messages, read.positions, read.places, read.refused)


def _told(gateways: Sequence[Column]) -> BoolArray:
    """Say which rows a gateway told: all of a format that has its fields, and of objects those that have any."""
    told = np.zeros(len(gateways[0]), np.bool_)
    for column in gateways:
        told |= column.is_not_null().to_numpy() if isinstance(column, pl.Series) else True
    return told


def _forwarded(columns: Mapping[str, Column], told: BoolArray) -> pl.Series | None:
    """Say ACCEPT or REJECT of each row, and nothing of those without packets, which tell of coverage."""
    if "packets" not in columns:
        return None
    sent, counted = counts(columns["packets"])
    lost = np.zeros(len(sent), np.uint64)
    for name in LOSSES.intersection(columns):
        values, readable = counts(columns[name])
        lost += np.where(readable, np.minimum(values, _MOST_LOST), np.uint64(0))
    words = pl.Series(["ACCEPT", "REJECT", None], dtype=pl.String)
    return words.gather(np.where(counted & told, ((sent > 0) & (lost >= sent)).astype(np.uint32), np.uint32(2)))


def counts(column: Column) -> tuple[UInt64Array, BoolArray]:
    """Read whole numbers, and say which are any; the others mean nothing."""
    if isinstance(column, pl.Series) and column.dtype.is_integer():
        known = column.is_between(0, written_numbers.HIGHEST).fill_null(value=False)
        return column.zip_with(known, pl.Series([0], dtype=column.dtype)).to_numpy().astype(np.uint64), known.to_numpy()
    return (column if isinstance(column, Texts) else Texts.of(strings(column))).numbers()
