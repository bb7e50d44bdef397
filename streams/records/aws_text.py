"""AWS VPC Flow Logs as text lines (https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html)."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from streams.records.contract import FORMAT_HEADER, Dialect, Message, Read
from streams.records.fields import KNOWN
from streams.records.lines import Lines
from streams.records.settings import RecordSettings

_SMALL_LETTER: Final = re.compile(rb"^[a-z].*$", re.MULTILINE)
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

    A gateway logs what it forwards or loses, so that security groups have let it pass; its attachment stands
    for the interface, and each end's VPC is known.
    """
    attachment = read.columns.get("tgw_attachment_id")
    if attachment is None:
        return read
    columns = dict(read.columns)
    columns.setdefault("interface_id", attachment)
    columns.setdefault("action", pl.Series(["ACCEPT"]).new_from_index(0, len(read.messages)))
    return Read(columns, read.messages, read.positions, read.places, read.refused)
