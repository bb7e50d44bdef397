"""Generated lines, read back without the decoder."""

import polars as pl

from streams.generate import Traffic

_NUMBERS = ("srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags")


def text_of(traffic: Traffic) -> bytes:
    """Return everything it writes."""
    return b"".join(traffic.blocks())


def columns_of(traffic: Traffic) -> pl.DataFrame:
    """Return its lines as columns, named after the fields."""
    lines = text_of(traffic).decode().removeprefix(f"{traffic.format}\n").splitlines()
    names = traffic.format.split()
    split = pl.DataFrame({"line": lines})["line"].str.split(" ").list.to_struct(fields=names)
    return split.struct.unnest().with_columns(pl.col(name).cast(pl.Int64) for name in _NUMBERS if name in names)
