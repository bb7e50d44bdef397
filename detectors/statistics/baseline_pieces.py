"""Baselines on their way to storage: what lies there, in which version, and how it is taken up again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from detectors.addresses import HASH_VERSION, BoolArray, Int64Array, UInt64Array
from detectors.route import SHARDS
from detectors.state import Change
from detectors.statistics.column_baseline import ColumnBaseline, shards_of
from detectors.statistics.destinations import PAIRS
from detectors.statistics.hours import PLACES
from detectors.statistics.recent import LAG, LONG_AGO, PANES, WIDTHS

VERSION: Final = 2
"""Raised whenever `SHARD` or the meaning of its columns changes; a step from the version before is added then."""

SHARD: Final = pl.Schema(
    {
        "version": pl.Int32(),
        "hash_version": pl.Int32(),
        "column": pl.String(),
        "shard": pl.Int32(),
        "count": pl.Int32(),
        "learned": pl.List(pl.Int32()),
        "key": pl.List(pl.UInt64()),
        "first": pl.List(pl.Int32()),
        "written": pl.List(pl.Int32()),
        "seen": pl.List(pl.Int32()),
        "ceilings": pl.Binary(),
        "summaries": pl.Binary(),
        "destinations": pl.List(pl.Struct(PAIRS)),
        "destination_hours": pl.Int32(),
    }
)
"""One row per column and shard: what it learned over days.

`count` and `learned` (by place) number the hours of the shard, as in `detectors.statistics.hours.Hours`; the lists
behind them have a value per host, in ascending order of `key`. `ceilings` holds a byte for each host and width,
`summaries` one for each host, width, median or ninth decile, and place; all of them levels, as in
`detectors.statistics.levels`. `destinations` are rows of `detectors.statistics.destinations.PAIRS`, and
`destination_hours` the hours that were learned of them; files have them beside the bytes that hosts send.
"""


def _without_destinations(row: pl.DataFrame) -> pl.DataFrame:
    """Bring a row of version 1, in which no destinations were remembered, to version 2."""
    added: dict[str, list[Any]] = {"destinations": [[]], "destination_hours": [0]}
    return row.with_columns(
        pl.lit(2, pl.Int32).alias("version"), *(pl.Series(name, values, SHARD[name]) for name, values in added.items())
    )


MIGRATIONS: Final[Mapping[int, Callable[[pl.DataFrame], pl.DataFrame]]] = {1: _without_destinations}
"""Steps from a version to the next."""

_PANE: Final = pl.Schema(
    {
        "key": pl.UInt64(),
        "amount": pl.Int64(),
        **{f"level_{width}": pl.UInt8() for width in WIDTHS},
        "evicted": pl.Boolean(),
    }
)
"""One row per host that was touched in a pane, then one per host that had to go after it."""

_SEVERAL: Final = 1 << 14


class BaselineError(ValueError):
    """Stored baselines cannot be used: of an unknown version, or damaged."""


class Journal:
    """What changed in a column since it was last stored.

    Parameters
    ----------
    name
        The name of the column.
    column
        The column, which tells the journal of every pane from now on.
    stored
        What lies in storage already, as `changes` yielded it, for a new column to take up.

    Raises
    ------
    BaselineError
        When what is stored is of a version that is not known, or makes no sense.
    """

    def __init__(self, name: str, column: ColumnBaseline, stored: Sequence[Change] = ()) -> None:
        self._name = name
        self._column = column
        self._panes: dict[int, pl.DataFrame] = {}
        self._stored = set(_restore(column, stored))
        column.on_close = self._note

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        column = self._column
        yield Change.of_document("position", [column.began, column.learned, column.closed, column.evicted])
        oldest = column.closed - PANES
        panes = dict(_panes(column)) if whole else self._panes
        yield from (Change(f"panes/{pane}", frame) for pane, frame in sorted(panes.items()) if pane > oldest)
        yield from (Change(f"panes/{pane}", None) for pane in sorted(self._stored) if pane <= oldest)
        self._stored = {pane for pane in self._stored | set(panes) if pane > oldest}
        self._panes = {}
        numbers = shards_in_use(column) if whole else np.flatnonzero(column.changed)
        rows = shards(self._name, column, numbers).iter_slices(1)
        yield from (Change(f"shards/{number}", row) for number, row in zip(numbers.tolist(), rows, strict=True))
        column.changed[:] = False

    def _note(self, pane: int, touched: Int64Array, evicted: UInt64Array) -> None:
        recent, keys = self._column.recent, self._column.rows.keys
        amounts = recent.amounts[touched, pane % (LAG + 1)]
        levels = recent.levels[touched, :, pane % PANES]
        something = (amounts > 0) | levels.any(axis=1)
        if something.any() or len(evicted):
            frame = _pane(keys[touched[something]], amounts[something], levels[something])
            gone = pl.DataFrame({"key": evicted, "evicted": np.ones(len(evicted), np.bool_)})
            self._panes[pane] = pl.concat([frame, gone], how="diagonal")


def shards_in_use(column: ColumnBaseline) -> Int64Array:
    """Return the shards that learned hours, or know hosts."""
    used = column.hours.count > 0
    used[shards_of(column.rows.keys[column.rows.live])] = True
    return np.flatnonzero(used)


def shards(name: str, column: ColumnBaseline, numbers: Int64Array, *, timeless: bool = False) -> pl.DataFrame:
    """Write down shards of a column: a row of `SHARD` for each, in their order.

    Parameters
    ----------
    name, column, numbers
        Which; the numbers ascend.
    timeless
        Whether to leave out when hosts were seen last, which means nothing to whoever goes on at another time.
    """
    wanted = np.zeros(SHARDS, np.bool_)
    wanted[numbers] = True
    rows = column.rows_of(wanted)
    rows = rows[np.lexsort((column.rows.keys[rows], shards_of(column.rows.keys[rows])))]
    keys = column.rows.keys[rows]
    of = shards_of(keys).astype(np.int64)
    ends = np.concatenate(([0], np.searchsorted(of, numbers, side="right")))
    hours = column.hours
    learned, first, written = hours.learned[of], hours.first[rows], hours.written[rows]
    # Bytes that mean nothing are left from other hosts, or other times.
    telling = (learned >= first[:, None]) & (learned <= written[:, None])
    count = len(numbers)
    said: dict[str, Any] = {
        "version": np.full(count, VERSION),
        "hash_version": np.full(count, HASH_VERSION),
        "column": [name] * count,
        "shard": numbers,
        "count": hours.count[numbers],
        "learned": _lists(hours.learned[numbers].ravel(), np.arange(count + 1) * PLACES),
        "key": _lists(keys, ends),
        "first": _lists(first, ends),
        "written": _lists(written, ends),
        "seen": _lists(np.full(len(rows), LONG_AGO) if timeless else column.recent.seen[rows], ends),
        "ceilings": _texts(hours.ceilings[rows], ends),
        "summaries": _texts(hours.summaries[rows] * telling[:, None, None, :], ends),
        "destinations": [[]] * count,
        "destination_hours": np.zeros(count, np.int32),
    }
    return pl.DataFrame({each: pl.Series(said[each], dtype=dtype) for each, dtype in SHARD.items()})


def _lists(values: npt.NDArray[Any], ends: Int64Array) -> pl.Series:
    """Divide values into lists, each of which ends where the next one begins."""
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values)))


def _texts(rows: npt.NDArray[np.uint8], ends: Int64Array) -> list[bytes]:
    """Return the bytes of rows together, up to each end."""
    return [rows[begin:end].tobytes() for begin, end in pairwise(ends.tolist())]


def take(column: ColumnBaseline, row: pl.DataFrame) -> pl.DataFrame:
    """Take up a row that `shards` wrote, but for its destinations; return it in this version.

    Parameters
    ----------
    column
        The column it goes to.
    row
        The row, in this version or an earlier one.

    Raises
    ------
    BaselineError
        When it was written in a version that is not known, or makes no sense.
    """
    row = checked(row)
    said = row.row(0, named=True)
    number, keys = said["shard"], np.array(said["key"], np.uint64)
    hours, recent = column.hours, column.recent
    hours.count[number] = said["count"]
    hours.learned[number] = said["learned"]
    rows = column.find_or_add(keys)
    hours.first[rows], hours.written[rows] = said["first"], said["written"]
    hours.ceilings[rows] = np.frombuffer(said["ceilings"], np.uint8).reshape(len(rows), len(WIDTHS))
    hours.summaries[rows] = np.frombuffer(said["summaries"], np.uint8).reshape(len(rows), *hours.summaries.shape[1:])
    recent.seen[rows] = np.maximum(recent.seen[rows], said["seen"])
    return row


def checked(row: pl.DataFrame) -> pl.DataFrame:
    """Bring a row of `SHARD` to the present version, and see whether it makes sense.

    Raises
    ------
    BaselineError
        When it does not.
    """
    version: int | None = row["version"][0] if "version" in row.columns else None
    while version is not None and version in MIGRATIONS:
        row = MIGRATIONS[version](row)
        version = row["version"][0]
    if version != VERSION:
        raise BaselineError(f"baselines of version {version} are not known; this version reads up to {VERSION}")
    if row.schema != SHARD or any(column.has_nulls() for column in row):
        raise BaselineError("the columns are not those of baselines")
    if row["hash_version"][0] != HASH_VERSION:
        raise BaselineError(f"hosts are named by hash {row['hash_version'][0]}, and here by {HASH_VERSION}")
    problem = next((text for text, holds in _problems(row) if holds), None)
    if problem is not None:
        raise BaselineError(f"column {row['column'][0]}, shard {row['shard'][0]}: {problem}")
    return row


def _restore(column: ColumnBaseline, changes: Sequence[Change]) -> list[int]:
    """Take up the pieces that a journal's `changes` yielded; return the panes among them."""
    shards = [change.frame() for change in changes if change.name.startswith("shards/")]
    for row in shards:
        said = checked(row)
        column.hours.count[said["shard"][0]] = said["count"][0]
    for change in changes:
        if change.name == "position":
            column.began, column.learned, column.closed, column.evicted = change.document()
    panes = {int(each.name.removeprefix("panes/")): each for each in changes if each.name.startswith("panes/")}
    for pane in sorted(panes):
        _take_pane(column, pane, panes[pane].frame())
    for row in shards:
        take(column, row)
    # Rows are touched as long as what they were last seen with matters.
    recent = column.recent
    recent.last[:] = np.minimum(recent.seen.astype(np.int64) + LAG, column.closed)
    column.changed[:] = False
    return list(panes)


def _take_pane(column: ColumnBaseline, pane: int, frame: pl.DataFrame) -> None:
    evicted = frame["evicted"].fill_null(value=True)
    touched = frame.filter(~evicted)
    rows = column.find_or_add(touched["key"].to_numpy())
    recent, amounts = column.recent, touched["amount"].to_numpy()
    recent.levels[rows, :, pane % PANES] = touched.select(f"level_{width}" for width in WIDTHS).to_numpy()
    if pane > column.closed - LAG - 1:
        recent.amounts[rows, pane % (LAG + 1)] = amounts
    recent.seen[rows[touched["level_1"].to_numpy() > 0]] = pane
    gone = column.rows.find(frame.filter(evicted)["key"].to_numpy())
    column.remove(gone[gone >= 0])


def _panes(column: ColumnBaseline) -> Iterator[tuple[int, pl.DataFrame]]:
    """Write down the last panes of all rows."""
    if column.closed < 0:
        return
    following = column.closed + 1
    found: dict[int, list[pl.DataFrame]] = {}
    held = np.flatnonzero(column.rows.live)
    for begin in range(0, len(held), _SEVERAL):
        rows = held[begin : begin + _SEVERAL]
        windows = np.stack([column.recent.windows(rows, width, following, PANES) for width in WIDTHS], axis=1)
        for age in np.flatnonzero(windows.any(axis=(0, 1))):
            pane = column.closed - int(age)
            matters = age <= LAG
            amounts = column.recent.amounts[rows, pane % (LAG + 1)] * (matters & (column.recent.last[rows] >= pane))
            something = (amounts > 0) | windows[:, :, age].any(axis=1)
            kept = _pane(column.rows.keys[rows[something]], amounts[something], windows[something, :, age])
            found.setdefault(pane, []).append(kept)
    yield from ((pane, pl.concat(frames)) for pane, frames in found.items())


def _pane(
    keys: UInt64Array, amounts: Int64Array, levels: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]"
) -> pl.DataFrame:
    named = {f"level_{width}": levels[:, place] for place, width in enumerate(WIDTHS)}
    return pl.DataFrame(
        {"key": keys, "amount": amounts, **named, "evicted": np.zeros(len(keys), np.bool_)}, schema=_PANE
    )


def _problems(row: pl.DataFrame) -> Iterator[tuple[str, "bool | BoolArray"]]:
    said = row.row(0, named=True)
    hosts, number = len(said["key"]), said["shard"]
    yield "there is no such shard", not 0 <= number < SHARDS
    yield "hours are missing", len(said["learned"]) != PLACES
    yield "hours were learned that were not counted", max(said["learned"]) > said["count"] or min(said["learned"]) < 0
    lengths = [len(said[name]) for name in ("first", "written", "seen")]
    yield "hosts lack numbers", lengths != [hosts] * 3
    yield "hosts lack limits", len(said["ceilings"]) != hosts * len(WIDTHS)
    yield "hosts lack hours", len(said["summaries"]) != hosts * len(WIDTHS) * 2 * PLACES
    keys = np.array(said["key"], np.uint64)
    yield "hosts are not in order", bool((keys[1:] <= keys[:-1]).any())
    yield "hosts belong to other shards", bool((shards_of(keys) != number).any())
    pairs = row["destinations"].explode(empty_as_null=False).struct.unnest()
    yield "destinations lack numbers", any(column.has_nulls() for column in pairs)
    yield (
        "destinations belong to hosts of other shards",
        bool((shards_of(pairs["host"].fill_null(0).to_numpy()) != number).any()),
    )
