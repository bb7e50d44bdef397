"""Parquet as blocks: a file that is too large for a Kafka message becomes several smaller ones."""

import io
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
from pyarrow import parquet

from streams.errors import InputError
from streams.records.fields import READABLE
from streams.sources.contract import Block

PIECE_BYTES: Final = 1_000_000
"""Files up to this size are sent as they are: with its headers, a message of them has less than 1 MiB."""

_MOST_ROWS: Final = 100_000
_FEWEST_ROWS: Final = 1_000
_FEWEST_COLUMNS: Final = 2
_SHOWN_COLUMNS: Final = 8


def table_blocks(stored: bytes, origin: str, content: str) -> Iterator[Block]:
    """Cut a Parquet file into blocks, each a Parquet file; positions and lines count rows.

    A small file, whatever is in it, is one block as it is, and its position its size.

    Raises
    ------
    streams.errors.InputError
        When the file is damaged, or holds something else than flow logs.
    """
    try:
        file = parquet.ParquetFile(io.BytesIO(stored))
        _require_flows(file.schema_arrow.names, origin)
        if len(stored) <= PIECE_BYTES:
            yield Block(stored, {}, 1, origin, len(stored), 1, content)
            return
        # The same file is always cut at the same rows, which are what positions mean.
        rows = max(_FEWEST_ROWS, min(_MOST_ROWS, file.metadata.num_rows * PIECE_BYTES // len(stored) // 2))
        position = 0
        for batch in file.iter_batches(batch_size=rows):
            sink = io.BytesIO()
            parquet.write_table(pa.Table.from_batches([batch]), sink, compression="zstd")
            line, position = position + 1, position + batch.num_rows
            yield Block(sink.getvalue(), {}, batch.num_rows, origin, position, line, content)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{origin}: is no whole Parquet file: {error}") from error


def _require_flows(columns: list[str], origin: str) -> None:
    """Refuse what has hardly any column of flow logs: another file may lie beside them."""
    if sum(name.replace("_", "-") in READABLE for name in columns) < _FEWEST_COLUMNS:
        shown = ", ".join(columns[:_SHOWN_COLUMNS])
        raise InputError(f"{origin}: is a Parquet file of something else than flow logs; it has the columns {shown}")
