"""Rows of the record table as Arrow's columns, from which those of many blocks are taken."""

import json
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import zstandard
from pyarrow import ipc

from detectors.span import Int64Array
from detectors.table import COLUMNS, Table

OPTIONAL_KEPT: Final = (
    *("packet_source_high", "packet_source_low", "packet_destination_high", "packet_destination_low"),
    *("forwarder_key", "reject_reason"),
)
"""Optional columns that whoever watches hosts reads; the others end where records are decoded."""

KEPT: Final = tuple(column.name for column in COLUMNS if column.required or column.name in OPTIONAL_KEPT)
"""The columns of the record table that are in blocks, in their order."""

LARGEST_CONTENT: Final = 1 << 28
"""Bytes of a value once it is unpacked, at most: a block is a hundredth of that."""

_LEVEL: Final = 1
"""Of compression: the third takes up to a third more time for a twentieth fewer bytes."""

_LABELS: Final = {
    column.name: pl.Series(column.name, column.dtype.categories, dtype=column.dtype)
    for column in COLUMNS
    if column.name in KEPT and isinstance(column.dtype, pl.Enum)
}
"""Every label of the columns of labels, which are written as numbers."""

_PLACES: Final = ("offset", "row", "reached")
"""What is said of each row besides."""

_BASES: Final = b"flowhawk-bases"
"""Where the schema holds what whole numbers are counted from, which makes most of them small."""

_SAME: Final = b"flowhawk-same"
"""Where the schema holds the columns that are the same in all rows: many are, as fields that were not logged."""


_MOST_SHORT: Final = 1 << 16
_WIDTHS: Final = {pa.uint8(): (1 << 8) - 1, pa.uint16(): (1 << 16) - 1, pa.uint32(): (1 << 32) - 1}
"""Types for whole numbers, and the largest that each holds."""


class Columns:
    """The rows of a batch.

    Texts are looked through once, whatever blocks their rows go to, and what is the same in all rows is kept once.

    Parameters
    ----------
    table
        The rows, shape (n,); columns that nobody reads behind are left out.
    offsets, rows
        The message that each row came from, and its number there, int64, shape (n,).
    """

    def __init__(self, table: Table, offsets: Int64Array, rows: Int64Array) -> None:
        columns = {name: _packed(table.frame[name]) for name in KEPT if name in table.frame.columns}
        same = {name for name, column in columns.items() if _is_same(column)}
        varying = {name: column for name, column in columns.items() if name not in same}
        varying |= dict(zip(_PLACES, (pa.array(offsets), pa.array(rows)), strict=False))
        bases = {name: _base(column) for name, column in varying.items() if column.type == pa.int64()}
        self._varying = {name: _narrowed(column, bases.get(name, 0)) for name, column in varying.items()}
        narrowed = {name: base for name, base in bases.items() if self._varying[name].type != pa.int64()}
        once = pa.record_batch({name: column[:1] for name, column in columns.items() if name in same})
        self._metadata = {_SAME: _stream(once), _BASES: json.dumps(narrowed).encode()}

    def content(self, rows: Int64Array, reached: Int64Array) -> bytes:
        """Write some of the rows.

        Parameters
        ----------
        rows
            Their numbers, int64, shape (m,).
        reached
            The newest end before each, int64, shape (m,).
        """
        chosen = pa.array(rows)
        columns = {name: _pruned(column.take(chosen)) for name, column in self._varying.items()}
        batch = pa.record_batch(columns | {_PLACES[-1]: pa.array(reached)}).replace_schema_metadata(self._metadata)
        # At one go, and not buffer by buffer as Arrow does: columns are alike, and the schema shrinks as well.
        return zstandard.ZstdCompressor(level=_LEVEL).compress(_stream(batch))


def read(content: bytes) -> tuple[Table, Int64Array, Int64Array, Int64Array]:
    """Read what `Columns.content` wrote: rows, their offsets, their numbers there and the newest end before each.

    Raises
    ------
    KeyError, TypeError, ValueError, zstandard.ZstdError, pyarrow.ArrowException, polars.exceptions.PolarsError
        When it is damaged.
    """
    if zstandard.frame_content_size(content) > LARGEST_CONTENT:
        raise ValueError(f"it would unpack to more than {LARGEST_CONTENT} bytes")
    with ipc.open_stream(zstandard.ZstdDecompressor().decompress(content)) as stream:
        batch = stream.read_next_batch()
    batch.validate(full=True)
    with ipc.open_stream(batch.schema.metadata[_SAME]) as stream:
        once = stream.read_next_batch()
    once.validate(full=True)
    same = (each.new_from_index(0, len(batch)) for each in _unpacked(once))
    bases = json.loads(batch.schema.metadata[_BASES])
    varying = (each.cast(pl.Int64) + bases[each.name] if each.name in bases else each for each in _unpacked(batch))
    found = {each.name: each for each in (*varying, *same)}
    offsets, numbers, reached = (found.pop(name).to_numpy() for name in _PLACES)
    return Table(pl.DataFrame([found[name] for name in KEPT if name in found])), offsets, numbers, reached


def _unpacked(batch: Any) -> list[pl.Series]:
    if not batch.num_columns:
        return []
    texts = {name: column for name, column in zip(batch.schema.names, batch.columns, strict=True) if _repeats(column)}
    plain = [column.indices if _repeats(column) else column for column in batch.columns]
    frame: pl.DataFrame = pl.DataFrame(pa.record_batch(plain, names=batch.schema.names))
    labels = _LABELS | {name: pl.Series(name, column.dictionary) for name, column in texts.items()}
    return [labels[each.name].gather(each) if each.name in labels else each for each in frame.get_columns()]


def _stream(batch: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def _packed(column: pl.Series) -> Any:
    """Turn a column into Arrow's: texts with each text once, labels as their numbers."""
    if column.name in _LABELS:
        return column.to_physical().to_arrow()
    packed = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    return packed.dictionary_encode() if column.dtype == pl.String else packed


def _base(column: Any) -> int:
    """Return the least number of a column."""
    least = pc.min(column).as_py()
    return 0 if least is None else int(least)


def _narrowed(column: Any, base: int) -> Any:
    """Make what is written of a column small: whole numbers from a base on, and places in dictionaries."""
    if _repeats(column):
        indices = column.indices.cast(pa.uint16() if len(column.dictionary) <= _MOST_SHORT else pa.uint32())
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)
    if column.type != pa.int64() or not len(column):
        return column
    span = (pc.max(column).as_py() or 0) - base
    width = next((each for each, most in _WIDTHS.items() if span <= most), None)
    # What is further apart than that would not fit behind its base either.
    return column if width is None else pc.subtract(column, base).cast(width)


def _pruned(column: Any) -> Any:
    """Leave out texts that are in none of the rows, where there are many."""
    if not _repeats(column) or len(column.dictionary) <= len(column):
        return column
    return column.dictionary_decode().dictionary_encode()


def _is_same(column: Any) -> bool:
    """Say whether all rows have the same value, or none."""
    if not len(column) or column.null_count == len(column):
        return len(column) > 0
    if column.null_count:
        return False
    if _repeats(column):
        return len(column.dictionary) == 1
    values = column.to_numpy(zero_copy_only=False)
    return bool(values[0] == values[-1]) and bool((values == values[0]).all())


def _repeats(column: Any) -> bool:
    return bool(pa.types.is_dictionary(column.type))
