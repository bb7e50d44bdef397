"""Files of baselines: what was learned over days, to be kept, or taken to another place.

A file is Parquet inside zstd with a checksum: `zstd -d` makes it readable for any tool that knows Parquet.
"""

import io
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from detectors.statistics.baseline_pieces import BaselineError
from detectors.statistics.baselines import Baselines
from streams.errors import InputError

_KIND: Final = b"flowhawk"
_BASELINES: Final = b"baselines"


def write(path: Path, baselines: Baselines) -> int:
    """Write baselines to a file; one that is there is replaced once all is written.

    Returns
    -------
    int
        How many hosts, once for each column that they have a past in.

    Raises
    ------
    streams.errors.InputError
        When the file cannot be written.
    """
    exported = baselines.exported()
    table = exported.to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata({_KIND: _BASELINES})
    parquet = io.BytesIO()
    pq.write_table(table, parquet, compression="none")
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(ZstdCompressor(write_checksum=True).compress(parquet.getvalue()))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    return int(exported["key"].list.len().sum())


def read(path: Path) -> Baselines:
    """Read baselines from a file, of this version or an earlier one.

    Raises
    ------
    streams.errors.InputError
        When the file cannot be read, is damaged, holds something else, or was written by a later version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        # Readers of Parquet do not notice every damage, and some of it ends the process: the checksum comes first.
        table = pq.read_table(io.BytesIO(ZstdDecompressor().decompress(content)))
    except (ZstdError, pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: holds no baselines, or is damaged: {str(error).splitlines()[0]}") from error
    if (table.schema.metadata or {}).get(_KIND) != _BASELINES:
        raise InputError(f"{path}: holds no baselines; name a file that Flowhawk exported")
    baselines = Baselines()
    try:
        baselines.take(pl.DataFrame(pl.from_arrow(table)))
    except BaselineError as error:
        raise InputError(f"{path}: {error}") from error
    return baselines
