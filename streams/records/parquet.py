"""AWS VPC Flow Logs as Parquet files, the way AWS delivers them to S3."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from detectors.repeated_texts import DistinctTexts, RepeatedTexts
from streams.records.aws_text import from_transit_gateway
from streams.records.contract import PARQUET_MAGIC, Dialect, Int64Array, Message, Place, Read, Refusal
from streams.records.fields import NUMBERS, READABLE, written
from streams.records.settings import RecordSettings

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

UNREADABLE: Final = (pa.ArrowException, PolarsError, OSError, ValueError, TypeError)
"""What reading raises where a file is no Parquet file, is damaged, or has no column of flow logs."""

_PIECE: Final = 131072
"""Rows read at one go: few enough to be held in memory, and enough to repeat what is in them."""

_BLOCK: Final = 32768
"""Rows handed on at one go: what is computed from them stays in the processor's cache."""

_BYTES_PER_VALUE: Final = 8


class _Piece(NamedTuple):
    """Rows of a file, and their columns by the fields of flow logs."""

    rows: pa.RecordBatch
    columns: Mapping[str, RepeatedTexts | pl.Series]


class Parquet(Dialect):
    """One Parquet file to a message; row n is what refusals call line n."""

    name = "aws-parquet"
    begins = b"P"

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look at the first four bytes."""
        del settings
        return message.value.startswith(PARQUET_MAGIC)

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read the columns that flow logs have, named with underscores or hyphens."""
        del layout
        for index, message in enumerate(messages):
            try:
                # Whole, before any row is handed on: a file that is damaged at its end is refused whole.
                pieces = list(_pieces(pa.BufferReader(message.value), settings.decompressed_limit_bytes))
            except UNREADABLE as error:
                reason = f"Parquet cannot be read: {' '.join(str(error).split())[:200]}"
                yield Read.nothing([Refusal(Place(index, 1, message.value), reason)])
                continue
            yield from _reads(pieces, index)


def reads(file: pa.NativeFile) -> Iterator[Read]:
    """Read a file piece by piece, however large it is; all rows are of message 0.

    Raises
    ------
    pyarrow.ArrowException, polars.exceptions.PolarsError, OSError, ValueError, TypeError
        See `UNREADABLE`.
    """
    return _reads(_pieces(file), 0)


def _reads(pieces: Iterable[_Piece], message: int) -> Iterator[Read]:
    first = 0
    for rows, columns in pieces:
        for at in range(0, rows.num_rows, _BLOCK):
            block = {name: column.slice(at, _BLOCK) for name, column in columns.items()}
            positions = np.arange(first + at, first + min(at + _BLOCK, rows.num_rows))
            places = _Rows(rows.slice(at, _BLOCK), message, first + at)
            yield from_transit_gateway(Read(block, np.full(len(positions), message, np.int64), positions, places))
        first += rows.num_rows


class _Rows:
    """Finds the rows of a block."""

    def __init__(self, block: pa.RecordBatch, message: int, first: int) -> None:
        self._block = block
        self._message = message
        self._first = first

    def __call__(self, asked: Int64Array) -> list[Place]:
        return [
            Place(self._message, self._first + index + 1, json.dumps(row, default=str).encode())
            for index, row in zip(asked.tolist(), self._block.take(pa.array(asked)).to_pylist(), strict=True)
        ]


def _pieces(source: pa.NativeFile, limit: int | None = None) -> Iterator[_Piece]:
    # Every dialect is imported before the first line is read, and most inputs have no Parquet.
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - slow to import, and seldom needed

    # Polars' own reader aborts the process on some damaged files; Arrow's says that they are damaged.
    file = ParquetFile(source)
    fields = _fields(file)
    if limit is not None:
        _refuse_above(limit, file, len(fields))
    repeating = _texts(file, fields)
    # One row group after the other: each has a dictionary of its own, and no piece can have two.
    for group in range(file.num_row_groups):
        file = ParquetFile(source, metadata=file.metadata, read_dictionary=repeating)
        for rows in file.iter_batches(_PIECE, row_groups=[group], columns=list(fields), use_threads=False):
            named = rows.rename_columns([fields[name] for name in rows.schema.names])
            columns = dict(zip(named.schema.names, map(_column, named.columns), strict=True))
            yield _Piece(named, columns)
            repeating = [name for name in repeating if _repeats(columns[fields[name]])]


def _fields(file: "ParquetFile") -> dict[str, str]:
    """Return the fields of flow logs by the names of their columns."""
    fields = {name: name.replace("-", "_") for name in file.schema_arrow.names if written(name) in READABLE}
    if not fields:
        raise ValueError("no column is a field of flow logs")
    names = [name for name in file.schema_arrow.names if name in fields]
    if len({fields[name] for name in names}) < len(names):
        raise ValueError("two columns are the same field of flow logs")
    return fields


def _refuse_above(limit: int, file: "ParquetFile", columns: int) -> None:
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows * columns * _BYTES_PER_VALUE)
    if size > limit:
        raise ValueError(f"{size} bytes of columns are more than records.decompressed_limit_bytes ({limit})")


def _texts(file: "ParquetFile", fields: Mapping[str, str]) -> list[str]:
    """Return the columns whose texts may repeat; what a chunk says of itself would tell, but aborts if damaged."""
    texts = {pa.string(), pa.large_string()}
    return [
        name for name, field in fields.items() if field not in NUMBERS and file.schema_arrow.field(name).type in texts
    ]


def _repeats(column: RepeatedTexts | pl.Series) -> bool:
    """Say whether so few texts differ that it pays to look for them in what follows."""
    return isinstance(column, RepeatedTexts) and 2 * len(column.distinct.strings) < len(column)


def _column(values: pa.Array) -> RepeatedTexts | pl.Series:
    if not isinstance(values, pa.DictionaryArray):
        values.validate(full=True)
        return _usable(pl.Series(values))
    values.dictionary.validate(full=True)
    distinct, indices = pl.Series(values.dictionary, dtype=pl.String), values.indices
    if indices.null_count:
        indices = indices.fill_null(len(distinct))
        distinct = distinct.extend_constant(None, 1)
    codes = indices.to_numpy()
    # Arrow takes indices as they are in the file; below zero they are large ones, seen as unsigned.
    if len(codes) and codes.view(np.uint32).max() >= len(distinct):
        raise ValueError("an index lies outside of its dictionary")
    return RepeatedTexts(DistinctTexts(distinct), codes.astype(np.int64))


def _usable(column: pl.Series) -> pl.Series:
    """Keep whole numbers and strings; write anything else as a string."""
    if column.dtype.is_integer() or column.dtype == pl.String:
        return column
    return column.cast(pl.String, strict=False)
