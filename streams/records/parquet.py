"""AWS VPC Flow Logs as Parquet files, the way AWS delivers them to S3."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError
from pyarrow.parquet import ParquetFile

from streams.records.contract import Dialect, Int64Array, Message, Place, Read, Refusal
from streams.records.fields import KNOWN, written
from streams.records.settings import RecordSettings

_BLOCK: Final = 32768
"""Rows handed on at one go: what is computed from them stays in the processor's cache."""

_BYTES_PER_VALUE: Final = 8


class Parquet(Dialect):
    """One Parquet file to a message; row n is what refusals call line n."""

    name = "aws-parquet"
    begins = b"P"

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look at the first four bytes."""
        del settings
        return message.value[:4] == b"PAR1"

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read the columns that flow logs have, named with underscores or hyphens."""
        del layout
        for index, message in enumerate(messages):
            try:
                frame = _frame(message.value, settings.decompressed_limit_bytes)
            except (pa.ArrowException, PolarsError, OSError, ValueError, TypeError) as error:
                reason = f"Parquet cannot be read: {' '.join(str(error).split())[:200]}"
                yield Read.nothing([Refusal(Place(index, 1, message.value), reason)])
                continue
            yield from rows(frame, index)


def rows(frame: pl.DataFrame, message: int = 0, first: int = 0) -> Iterator[Read]:
    """Hand on the rows of a frame whose columns are named after AWS's fields.

    Parameters
    ----------
    frame
        The rows.
    message
        Index of the message that they came from.
    first
        Number of rows in the message before them.
    """
    frame = frame.select(_usable(column) for column in frame.get_columns())
    for at in range(0, frame.height, _BLOCK):
        block = frame.slice(at, _BLOCK)
        positions = np.arange(first + at, first + at + block.height)
        columns = {column.name: column for column in block.get_columns()}
        yield Read(columns, np.full(block.height, message, np.int64), positions, _Rows(block, message, first + at))


class _Rows:
    """Finds the rows of a block."""

    def __init__(self, block: pl.DataFrame, message: int, first: int) -> None:
        self._block = block
        self._message = message
        self._first = first

    def __call__(self, asked: Int64Array) -> list[Place]:
        return [
            Place(self._message, self._first + index + 1, json.dumps(row, default=str).encode())
            for index, row in zip(asked.tolist(), self._block[asked].to_dicts(), strict=True)
        ]


def frames(path: str, height: int) -> Iterator[pl.DataFrame]:
    """Read a Parquet file on disk piece by piece.

    Parameters
    ----------
    path
        The file.
    height
        Rows in a piece at most.

    Raises
    ------
    pyarrow.ArrowException, OSError, ValueError
        When it is no Parquet file, is damaged, or has no column of flow logs.
    """
    with ParquetFile(path) as file:
        names = _names(file)
        for batch in file.iter_batches(height, columns=list(names)):
            yield _renamed(pa.Table.from_batches([batch]), names)


def _frame(value: bytes, limit: int) -> pl.DataFrame:
    # Polars' own reader aborts the process on some damaged files; Arrow's says that they are damaged.
    file = ParquetFile(pa.BufferReader(value))
    names = _names(file)
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows * len(names) * _BYTES_PER_VALUE)
    if size > limit:
        raise ValueError(f"{size} bytes of columns are more than records.decompressed_limit_bytes ({limit})")
    return _renamed(file.read(columns=list(names)), names)


def _names(file: ParquetFile) -> dict[str, str]:
    names = {name: name.replace("-", "_") for name in file.schema_arrow.names if written(name) in KNOWN}
    if not names:
        raise ValueError("no column is a field of flow logs")
    return names


def _renamed(table: pa.Table, names: dict[str, str]) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("the columns are no table")
    return frame.select(pl.col(name).alias(field) for name, field in names.items())


def _usable(column: pl.Series) -> pl.Series:
    """Keep whole numbers and strings; write anything else as a string."""
    if column.dtype.is_integer() or column.dtype == pl.String:
        return column
    return column.cast(pl.String, strict=False)
