"""Caps: how many rows a shard may keep, so that no flood of addresses takes all memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.route import SHARD_SHIFT, SHARDS
from detectors.statistics.grouping import Int64Array, UInt64Array


@dataclass(frozen=True, slots=True)
class Caps:
    """Rows of a table that each shard may keep of one pane.

    Attributes
    ----------
    inside
        Rows of own hosts.
    outside
        Rows of all others, which therefore never push out those of own hosts.
    """

    inside: int
    outside: int


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table say what belongs where.

    Attributes
    ----------
    host
        Key of the host whose shard a row counts for.
    internal
        Whether that is an own host.
    row
        Hash of the row; decides among rows that were seen at the same time.
    seen
        When the row was last seen; None where all rows of a pane count as seen together.
    """

    host: str
    internal: str
    row: str
    seen: str | None = None


TABLES: Final[Mapping[str, Columns]] = {
    "contacts": Columns("source_key", "source_internal", "contact", "last_seen"),
    "volumes": Columns("sender_key", "sender_internal", "volume"),
    "conversations": Columns("source_key", "source_internal", "conversation"),
    "directory": Columns("key", "internal", "key"),
    "connections": Columns("source_key", "source_internal", "report", "last_seen"),
    "logins": Columns("source_key", "source_internal", "contact", "last_seen"),
    "refusals": Columns("source_key", "source_internal", "contact", "last_seen"),
}
"""The tables that are capped, by name."""

DEFAULT_CAPS: Final[Mapping[str, Caps]] = {
    "contacts": Caps(inside=32_768, outside=8_192),
    "volumes": Caps(inside=32_768, outside=16_384),
    "conversations": Caps(inside=16_384, outside=8_192),
    "directory": Caps(inside=16_384, outside=16_384),
    "connections": Caps(inside=8_192, outside=2_048),
    "logins": Caps(inside=4_096, outside=1_024),
    "refusals": Caps(inside=8_192, outside=8_192),
}
"""Room for several million own hosts, and for as many outside addresses."""


class Bounded:
    """Sums parts of a table, and leaves out what goes beyond the caps: what was not seen for longest.

    Parameters
    ----------
    name
        One of `TABLES`.
    merge
        Sums parts.
    caps
        How much may stay.
    """

    def __init__(self, name: str, merge: Callable[[pl.DataFrame], pl.DataFrame], caps: Caps) -> None:
        self._columns = TABLES[name]
        self._merge = merge
        self._caps = np.array([caps.outside, caps.inside])
        self.evicted = 0
        """Rows left out so far."""

    def __call__(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Sum parts of one pane, and keep what the caps allow."""
        summed = self._merge(parts)
        if len(summed) <= self._caps.min():
            return summed
        kept = self._kept(summed)
        if kept is None:
            return summed
        self.evicted += len(summed) - int(kept.sum())
        return summed.filter(pl.Series(kept))

    def whole(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Sum parts and leave nothing out, as of what lies beside more of the same pane."""
        return self._merge(parts)

    def _kept(self, summed: pl.DataFrame) -> npt.NDArray[np.bool_] | None:
        shards = (summed[self._columns.host].to_numpy() >> np.uint64(SHARD_SHIFT)).view(np.int64)
        slices = shards * 2 + summed[self._columns.internal].to_numpy()
        sizes = np.bincount(slices, minlength=2 * SHARDS).reshape(SHARDS, 2)
        if (sizes <= self._caps).all():
            return None
        rows = summed[self._columns.row].to_numpy()
        seen = self._columns.seen
        last = summed[seen].to_numpy() if seen is not None else np.zeros(len(summed), np.int64)
        return _newest(slices, last, rows, np.tile(self._caps, SHARDS))


def _newest(slices: Int64Array, last: Int64Array, rows: UInt64Array, most: Int64Array) -> npt.NDArray[np.bool_]:
    """Keep of each slice the rows that were seen last, at most so many; among equals those of the lowest hash."""
    order = np.lexsort((rows, -last, slices))
    ordered = slices[order]
    begins = np.searchsorted(ordered, ordered)
    kept = np.empty(len(slices), np.bool_)
    kept[order] = np.arange(len(slices)) - begins < most[ordered]
    return kept
