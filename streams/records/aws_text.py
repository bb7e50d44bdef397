"""AWS VPC Flow Logs as text lines (https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.texts import Texts
from streams.records.contract import FORMAT_HEADER, Dialect, Message, Read
from streams.records.fields import KNOWN
from streams.records.lines import Lines
from streams.records.settings import RecordSettings

_SMALL_LETTER: Final = re.compile(rb"^[a-z].*$", re.MULTILINE)
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
    if sum(name in KNOWN or name.startswith("tgw-") for name in names) < 2 or not all(
        _FIELD_NAME.fullmatch(name) for name in names
    ):
        return None
    return " ".join(names)


def last_header_format(text: bytes) -> str | None:
    """Return the format that the last header line in a text announces, or None where there is no header line."""
    for line in reversed(_SMALL_LETTER.findall(text)):
        announced = header_format(line)
        if announced is not None:
            return announced
    return None


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
            [message.value for message in messages],
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
    if not any(name.startswith("tgw_") for name in read.columns):
        return read
    columns = dict(read.columns)
    if "tgw_attachment_id" in columns:
        columns.setdefault("interface_id", columns["tgw_attachment_id"])
    packets = columns.get("packets")
    if isinstance(packets, Texts):
        columns.setdefault("action", _forwarded(packets, columns))
    return Read(columns, read.messages, read.positions, read.places, read.refused)


def _forwarded(packets: Texts, columns: Mapping[str, Texts | pl.Series]) -> pl.Series:
    """Say ACCEPT or REJECT of each row, and nothing of those without packets, which tell of coverage."""
    sent, counted = packets.numbers()
    lost = np.zeros(len(sent), np.uint64)
    for name, column in columns.items():
        if name.startswith("packets_lost_") and isinstance(column, Texts):
            values, readable = column.numbers()
            lost += np.where(readable, np.minimum(values, _MOST_LOST), np.uint64(0))
    words = pl.Series(["ACCEPT", "REJECT", None], dtype=pl.String)
    return words.gather(np.where(counted, ((sent > 0) & (lost >= sent)).astype(np.uint32), np.uint32(2)))
