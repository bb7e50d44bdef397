"""How large state is: rows and bytes."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import polars as pl


class Size(NamedTuple):
    """How much is kept of something.

    Attributes
    ----------
    rows
        Rows; some of them may be parts of one that are summed later.
    bytes
        Bytes that they take in memory, about.

    Examples
    --------
    >>> Size.of([pl.DataFrame({"key": [1, 2, 3]})])
    Size(rows=3, bytes=24)
    """

    rows: int
    bytes: int

    @classmethod
    def of(cls, frames: Iterable[pl.DataFrame]) -> Self:
        """Add up frames."""
        several = list(frames)
        return cls(sum(map(len, several)), sum(int(each.estimated_size()) for each in several))

    @classmethod
    def total(cls, sizes: Iterable["Size"]) -> Self:
        """Add up sizes."""
        several = list(sizes)
        return cls(sum(each.rows for each in several), sum(each.bytes for each in several))
