"""Blocks as Kafka messages: their values, and headers that say what is in them and where it came from."""

from collections.abc import Iterator
from typing import NamedTuple

from streams.records import Message, RecordSettings
from streams.records.contract import (
    DIALECT_HEADER,
    LINE_HEADER,
    PARQUET_MAGIC,
    POSITION_HEADER,
    SOURCE_HEADER,
)
from streams.records.decode import stated_dialect
from streams.sources.contract import Block
from streams.sources.resumed import END

Headers = list[tuple[str, bytes]]


class Piece(NamedTuple):
    """A message of a block.

    Attributes
    ----------
    value
        Its lines.
    records
        How many of them are no header lines.
    headers
        Its headers.
    is_last
        Whether it is the last one of its block.
    """

    value: bytes
    records: int
    headers: Headers
    is_last: bool


def pieces(block: Block, records_per_message: int = 0, settings: RecordSettings | None = None) -> Iterator[Piece]:
    r"""Cut a block into messages.

    Parameters
    ----------
    block
        The block.
    records_per_message
        How many lines a message may have; 0 makes one message of the block. Parquet is never cut.
    settings
        How lines are written, so that their dialect can be told; None where nobody asks for it.

    Examples
    --------
    >>> block = Block(b"one\ntwo\nthree", {}, 3, "a.log", 14)
    >>> [(piece.value, dict(piece.headers)["flowhawk-source-line"]) for piece in pieces(block, 2)]
    [(b'one\ntwo', b'1'), (b'three', b'3')]
    """
    headers = _headers(block, settings)
    if records_per_message == 0 or block.lines <= records_per_message or block.value.startswith(PARQUET_MAGIC):
        yield Piece(block.value, block.records, [*headers, (LINE_HEADER, b"%d" % block.line)], is_last=True)
        return
    lines, header_lines = block.value.split(b"\n"), block.lines - block.records
    for start in range(0, len(lines), records_per_message):
        some = lines[start : start + records_per_message]
        line = (LINE_HEADER, b"%d" % (block.line + start))
        is_last = start + records_per_message >= len(lines)
        records = len(some) - (header_lines if start == 0 else 0)
        yield Piece(b"\n".join(some), records, [*headers, line], is_last)


def _headers(block: Block, settings: RecordSettings | None) -> Headers:
    headers = dict(block.headers)
    if settings is not None and DIALECT_HEADER not in headers:
        dialect = stated_dialect(Message(block.value, headers), settings)
        if dialect is not None:
            headers[DIALECT_HEADER] = dialect.encode()
    position = b"end" if block.position == END else b"%d" % block.position
    origin = block.origin.encode("utf-8", "surrogateescape")
    return [*headers.items(), (SOURCE_HEADER, origin), (POSITION_HEADER, position)]
