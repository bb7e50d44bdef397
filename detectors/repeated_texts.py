"""Texts of which few differ: each distinct one once, and which of them every row holds."""

from functools import cached_property

import polars as pl

from detectors import written_addresses
from detectors.texts import BoolArray, Int64Array, Texts, UInt64Array


class DistinctTexts:
    """The distinct texts of a column; what is read from them is read once for all rows.

    Parameters
    ----------
    strings
        The texts, or null.
    """

    def __init__(self, strings: pl.Series) -> None:
        self.strings = strings

    @cached_property
    def present(self) -> pl.Series:
        """The texts, null where they are empty or a lone minus, as missing values are written."""
        return self.strings.replace(["", "-"], None)

    @cached_property
    def addresses(self) -> tuple[UInt64Array, UInt64Array, BoolArray]:
        """What `written_addresses.read` finds in each of them."""
        return written_addresses.read(Texts.of(self.strings))


class RepeatedTexts:
    """A column of texts that repeat.

    Parameters
    ----------
    distinct
        The distinct texts.
    codes
        Index of the text of each row, int64, shape (n,), 0 <= code < number of distinct texts.

    Examples
    --------
    >>> distinct = DistinctTexts(pl.Series(["192.0.2.1", None]))
    >>> column = RepeatedTexts(distinct, pl.Series([0, 1, 0]).to_numpy())
    >>> column.strings().to_list(), column.addresses()[2].tolist()
    (['192.0.2.1', None, '192.0.2.1'], [True, False, True])
    """

    __slots__ = ("codes", "distinct")

    def __init__(self, distinct: DistinctTexts, codes: Int64Array) -> None:
        self.distinct = distinct
        self.codes = codes

    def __len__(self) -> int:
        return self.codes.size

    def at(self, rows: Int64Array | BoolArray) -> "RepeatedTexts":
        """Take some of the texts."""
        return RepeatedTexts(self.distinct, self.codes[rows])

    def slice(self, offset: int, length: int) -> "RepeatedTexts":
        """Take neighbouring texts."""
        return RepeatedTexts(self.distinct, self.codes[offset : offset + length])

    def fill_null(self, value: str) -> "RepeatedTexts":
        """Put a text where there is none."""
        strings = self.distinct.strings
        return RepeatedTexts(DistinctTexts(strings.fill_null(value)), self.codes) if strings.null_count() else self

    def strings(self) -> pl.Series:
        """Return the text of each row, null where it is missing."""
        strings = self.distinct.present
        return strings.new_from_index(0, len(self)) if len(strings) == 1 else strings.gather(self.codes)

    def addresses(self) -> tuple[UInt64Array, UInt64Array, BoolArray]:
        """Do what `written_addresses.read` does."""
        high, low, readable = self.distinct.addresses
        return high.take(self.codes), low.take(self.codes), readable.take(self.codes)
