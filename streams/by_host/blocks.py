"""Blocks: decoded records on their way to a partition of hosts, as messages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import zstandard

from detectors.span import Int64Array, Position
from detectors.table import Table
from detectors.watch import END_OF_TIME
from streams.by_host import columns
from streams.errors import ServiceError

FORMAT: Final = b"1"
"""Version of the format; blocks of others are refused. Raised too when labels of a column are put in other order."""

FORMAT_HEADER: Final = "flowhawk-block"
SOURCE_HEADER: Final = "flowhawk-block-source"
BEGIN_HEADER: Final = "flowhawk-block-begin"
END_HEADER: Final = "flowhawk-block-end"
COMPLETE_HEADER: Final = "flowhawk-block-complete"
IDLE_HEADER: Final = "flowhawk-block-idle"
NEWEST_HEADER: Final = "flowhawk-block-newest"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The rows of one range of a source partition that go to one partition of hosts.

    The ranges of a source follow on each other in every partition of hosts alike, whether or not there are rows.

    Attributes
    ----------
    source
        Name of the source partition, for example `flows/3`.
    begin, end
        The range, `[begin, end)`. A place inside a message counts the rows that were decoded of it.
    complete
        How often the source had told all there is of its time before the rows: 0 or 1.
    newest
        Largest end of all records of the range, also of those that went elsewhere, epoch seconds;
        -`detectors.watch.END_OF_TIME` where there are none.
    table
        The rows, shape (n,).
    offsets, rows
        The message that each row came from, and its number there, int64, shape (n,).
    reached
        Largest end of all records of the range before each row, like `newest`; ascending, int64, shape (n,).
    idle
        Whether its source has been silent for long, so that nobody need wait for it.
    """

    source: str
    begin: Position
    end: Position
    complete: int
    newest: int
    table: Table
    offsets: Int64Array
    rows: Int64Array
    reached: Int64Array
    idle: bool = False

    def since(self, position: Position) -> "Block":
        """Leave out what lies before a place; nothing changes where the range begins at it or behind it.

        What came before the place has told the reader its time already, so a mark at the begin goes, too.
        """
        if position <= self.begin:
            return self
        begin, end = (np.searchsorted(self.offsets, offset) for offset in (position.offset, position.offset + 1))
        first = int(begin + np.searchsorted(self.rows[begin:end], position.row))
        return replace(
            self,
            begin=min(position, self.end),
            complete=0,
            table=self.table.rows(first),
            offsets=self.offsets[first:],
            rows=self.rows[first:],
            reached=self.reached[first:],
        )


def headers(
    source: str, begin: Position, end: Position, *, complete: int = 0, newest: int = -END_OF_TIME, idle: bool = False
) -> dict[str, bytes]:
    """Write what a block says of its range, see `Block`, as the headers of a message."""
    return {
        FORMAT_HEADER: FORMAT,
        SOURCE_HEADER: source.encode(),
        BEGIN_HEADER: _written(begin),
        END_HEADER: _written(end),
        COMPLETE_HEADER: b"%d" % complete,
        NEWEST_HEADER: b"%d" % newest,
        **({IDLE_HEADER: b"1"} if idle else {}),
    }


def decode(value: bytes, headers: Mapping[str, bytes]) -> Block:
    """Read a block from a message: its value, which is empty where there are no rows, and its headers.

    Raises
    ------
    streams.errors.ServiceError
        When it is in another format, or damaged.
    """
    where = f"{headers.get(SOURCE_HEADER, b'?').decode(errors='replace')} from {headers.get(BEGIN_HEADER, b'?')!r}"
    written = headers.get(FORMAT_HEADER)
    if written != FORMAT:
        raise ServiceError(
            f"the block of {where} is in format {written!r}, and this version of Flowhawk reads {FORMAT!r}: let the "
            "version that wrote it read what is on the topic, then update routers and watchers together"
        )
    try:
        nothing = np.zeros(0, np.int64)
        table, offsets, rows, reached = columns.read(value) if value else (Table.empty(), nothing, nothing, nothing)
        return Block(
            headers[SOURCE_HEADER].decode(),
            _read(headers[BEGIN_HEADER]),
            _read(headers[END_HEADER]),
            int(headers[COMPLETE_HEADER]),
            int(headers[NEWEST_HEADER]),
            table,
            offsets,
            rows,
            reached,
            idle=IDLE_HEADER in headers,
        )
    except (
        KeyError,
        TypeError,
        ValueError,
        zstandard.ZstdError,
        pa.ArrowException,
        pl.exceptions.PolarsError,
    ) as error:
        raise ServiceError(
            f"the block of {where} is damaged: {type(error).__name__}: {error}; see who else writes to the topic, "
            "and let the routers write it again"
        ) from error


def _written(position: Position) -> bytes:
    return b"%d/%d" % position


def _read(position: bytes) -> Position:
    """Read a place.

    >>> _read(_written(Position(7, 2)))
    Position(offset=7, row=2)
    """
    offset, row = position.split(b"/")
    return Position(int(offset), int(row))
