"""Blocks as Kafka messages: their values, and headers that say what is in them and where it came from."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.records import Message, RecordSettings
from streams.records.contract import DIALECT_HEADER, LINE_HEADER, POSITION_HEADER, SOURCE_HEADER
from streams.records.decode import stated_dialect
from streams.sources.contract import Block
from streams.sources.resumed import END

_PARQUET: Final = b"PAR1"

Headers = list[tuple[str, bytes]]


class Piece(NamedTuple):
    """A message of a block.

    Attributes
    ----------
    value
        Its lines.
    lines
        How many they are.
    headers
        Its headers.
    is_last
        Whether it is the last one of its block.
    """

    value: bytes
    lines: int
    headers: Headers
    is_last: bool


def pieces(block: Block, records_per_message: int = 0, records: RecordSettings | None = None) -> Iterator[Piece]:
    r"""Cut a block into messages.

    Parameters
    ----------
    block
        The block.
    records_per_message
        How many lines a message may have; 0 makes one message of the block. Parquet is never cut.
    records
        How lines are written, so that their dialect can be told; None where nobody asks for it.

    Examples
    --------
    >>> block = Block(b"one\ntwo\nthree", {}, 3, "a.log", 14)
    >>> [(piece.value, dict(piece.headers)["flowhawk-source-line"]) for piece in pieces(block, 2)]
    [(b'one\ntwo', b'1'), (b'three', b'3')]
    """
    headers = _headers(block, records)
    if records_per_message == 0 or block.lines <= records_per_message or block.value.startswith(_PARQUET):
        yield Piece(block.value, block.lines, [*headers, (LINE_HEADER, b"%d" % block.line)], is_last=True)
        return
    lines = block.value.split(b"\n")
    for start in range(0, len(lines), records_per_message):
        some = lines[start : start + records_per_message]
        line = (LINE_HEADER, b"%d" % (block.line + start))
        is_last = start + records_per_message >= len(lines)
        yield Piece(b"\n".join(some), len(some), [*headers, line], is_last)


def _headers(block: Block, records: RecordSettings | None) -> Headers:
    headers = dict(block.headers)
    if records is not None and DIALECT_HEADER not in headers:
        dialect = stated_dialect(Message(block.value, headers), records)
        if dialect is not None:
            headers[DIALECT_HEADER] = dialect.encode()
    position = b"end" if block.position == END else b"%d" % block.position
    origin = block.origin.encode("utf-8", "surrogateescape")
    return [*headers.items(), (SOURCE_HEADER, origin), (POSITION_HEADER, position)]
