"""Logins: how many connections of a client to a service look like one attempt to log in each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.statistics.connections import ACCEPTED, ENDED, FLAGGED, OPENED, REJECTED, TARGET_INTERNAL
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined
from detectors.statistics.levels import levels

BoolArray = npt.NDArray[np.bool_]

LOGINS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "contact": pl.UInt64(),
        "source_key": pl.UInt64(),
        "target_key": pl.UInt64(),
        "port": pl.UInt16(),
        "source_internal": pl.Boolean(),
        "target_internal": pl.Boolean(),
        "guesses": pl.Int64(),
        "sessions": pl.Int64(),
        "refused": pl.Int64(),
        "sizes": pl.Int64(),
        "squares": pl.Int64(),
        "sent_bytes": pl.Int64(),
        "received_bytes": pl.Int64(),
        "active": pl.Int64(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""One row per pane, client, server and port.

`guesses` counts connections that were answered, soon over, and of the size of an attempt to log in; `sessions` those
that were answered and larger or longer, and `refused` those that nobody answered, both of ports for logins alone.
`sizes` and `squares` sum the levels (`detectors.statistics.levels`) of the guesses' bytes, and these squared;
`sent_bytes` and `received_bytes` are those of the guesses. `active` counts the panes, or blocks, of the
window that hold guesses.
"""

SUMS: Final = ("guesses", "sessions", "refused", "sizes", "squares", "sent_bytes", "received_bytes", "active")

COLUMN: Final = {name: number for number, name in enumerate(LOGINS)}
"""Where each column is in `rows`."""

_SUMMED: Final = slice(COLUMN[SUMS[0]], COLUMN[SUMS[-1]] + 1)
_LARGEST: Final = [COLUMN[name] for name in ("pane", "source_internal", "target_internal", "last_seen")]
_NUMPY: Final = {pl.UInt16(): np.uint16, pl.Boolean(): np.bool_}

OTHERS_COUNT: Final = 4
"""How many times a guess that is not of a program counts in `together`: programs are held to so much higher limits."""

LEVELS_PER_OCTAVE: Final = 5.885
"""Levels between an amount and its double: each is an eighth above the one before it."""

MOST_SECONDS: Final = 150
"""Servers hang up on who has not logged in by then (OpenSSH: LoginGraceTime, 120 s)."""

DATABASES: Final = (1433, 1521, 3306, 5432, 6379, 27017)
"""Ports of databases, at which programs log in all day."""

_RANGES: Final = {
    # Ports: packets and bytes that the client sent, packets and bytes that it got, each from and to.
    (22,): ((5, 40), (700, 5_000), (4, 50), (700, 11_000)),
    (3389,): ((5, 100), (400, 8_001), (4, 190), (400, 180_000)),
    (23,): ((5, 80), (300, 4_000), (4, 100), (250, 8_000)),
    (21,): ((5, 40), (300, 2_500), (4, 50), (250, 5_000)),
    (445,): ((5, 40), (500, 6_000), (4, 40), (400, 6_000)),
    (5985, 5986): ((5, 60), (600, 10_000), (4, 60), (500, 12_000)),
    (3306, 5432, 6379): ((4, 30), (250, 2_500), (3, 30), (200, 2_500)),
    (1433, 1521, 27017): ((5, 40), (400, 5_000), (4, 40), (400, 6_000)),
}
"""Sizes of one attempt to log in, with headers.

SSH, RDP and Telnet after the brute force detector of CESNET's NEMEA, with lower limits below, since what a short
attempt takes is less; the others from what their protocols say before and after a password that is wrong.
"""

_ELSEWHERE: Final = ((6, 40), (800, 5_000), (5, 50), (800, 11_000))
"""The sizes of SSH, with no shorter ones: those are health checks and probes."""

_DATABASE: Final = np.zeros(1 << 16, np.bool_)
_DATABASE[list(DATABASES)] = True

_RESET_BYTES: Final = 60
"""Size of a reset over IPv6, with headers."""

_MOST_SYNS: Final = 3
"""A client that hears nothing asks two or three times within the seconds that a log keeps together."""

_SERVICE: Final = np.zeros(1 << 16, np.uint8)
for _number, _ports in enumerate(_RANGES, 1):
    _SERVICE[list(_ports)] = _number
_LIMITS: Final = np.array([_ELSEWHERE, *_RANGES.values()], np.int64)
_SAME: Final = (
    "pane", "contact", "source_key", "target_key", "port", "source_internal", "first_seen", "last_seen",
)  # fmt: skip
_SIZES: Final = ("sent_packets", "sent_bytes", "received_packets", "received_bytes")


def of_connections(connections: Mapping[str, npt.NDArray[Any]], login: BoolArray) -> Int64Array:
    """Count what looks like an attempt to log in.

    Parameters
    ----------
    connections
        Those that begin in a pane, see `detectors.statistics.connections.begun`.
    login
        Whether people log in at a port, shape (65536,).

    Returns
    -------
    ndarray
        See `rows`, in no particular order; clients that neither guess nor log in are left out.
    """
    port = connections["port"]
    limits = _LIMITS[_SERVICE[port]]
    sizes = np.stack([connections[name] for name in _SIZES], axis=1)
    own, signs = login[port], connections["signs"]
    unflagged = signs & FLAGGED == 0
    first, last = (connections[name] for name in ("first_seen", "last_seen"))
    short = (last - first <= MOST_SECONDS) & ((signs & ENDED != 0) | unflagged)
    begun = (signs & OPENED != 0) | unflagged
    unanswered = (signs & REJECTED != 0) | _unanswered(sizes, signs & ACCEPTED != 0)
    answered = begun & ~unanswered & (sizes[:, 2] > 0)
    small = (sizes <= limits[:, :, 1]).all(axis=1) & short
    guess = answered & small & (sizes >= limits[:, :, 0]).all(axis=1)
    session = own & answered & ~small
    refused = own & begun & unanswered
    told = np.flatnonzero(guess | session | refused)
    weight, guess, sizes = connections["weight"][told], guess[told], sizes[told]
    guesses = weight * guess
    level = levels(sizes[:, 1] + sizes[:, 3]).astype(np.int64)
    columns = {name: connections[name][told] for name in _SAME}
    columns |= {
        "target_internal": signs[told] & TARGET_INTERNAL != 0,
        "guesses": guesses,
        "sessions": weight * session[told],
        "refused": weight * refused[told],
        "sizes": guesses * level,
        "squares": guesses * level * level,
        "sent_bytes": guesses * sizes[:, 1],
        "received_bytes": guesses * sizes[:, 3],
        "active": guess,
    }
    return merged_rows(_table(columns, len(told)))


def of_programs(rows: Int64Array, login: BoolArray) -> BoolArray:
    """Say of logins where short connections are how programs work.

    That is at ports that are not for logins, and at databases for one's own hosts.

    Parameters
    ----------
    rows
        See `rows`.
    login
        Whether people log in at a port, shape (65536,).

    Returns
    -------
    ndarray
        Bool, shape (rows,).
    """
    port = rows[:, COLUMN["port"]]
    programs: BoolArray = ~login[port] | ((rows[:, COLUMN["source_internal"]] > 0) & _DATABASE[port])
    return programs


def together(
    rows: Int64Array, ends: Sequence[UInt64Array], active: Sequence[BoolArray], login: BoolArray
) -> Int64Array:
    """Count for each row the guesses of its client at all servers of that port, or of all clients at its server.

    The larger of the two; an end that is not active counts nothing. Those that are not of programs (`of_programs`)
    count `OTHERS_COUNT` times.

    Parameters
    ----------
    rows
        See `rows`.
    ends
        Hashes of client and port, and of server and port, each of shape (rows,).
    active
        Whether each of these ends is looked at now, the same for all rows that have it, each of shape (rows,).
    login
        Whether people log in at a port, shape (65536,).

    Returns
    -------
    ndarray
        Int64, shape (rows,).
    """
    weights = rows[:, COLUMN["guesses"]] * np.where(of_programs(rows, login), 1, OTHERS_COUNT)
    most = np.zeros(len(rows), np.int64)
    for end, side in zip(ends, active, strict=True):
        groups = Groups(end)
        most = np.maximum(most, np.where(side, groups.spread(groups.sum(weights)), 0))
    return most


def _unanswered(sizes: npt.NDArray[np.int64], accepted: BoolArray) -> BoolArray:
    """Say where nothing came back, or no more than a reset for each attempt to connect."""
    sent, received = sizes[:, 0], sizes[:, 2]
    reset = ~accepted & (received <= sent) & (sizes[:, 3] <= _RESET_BYTES * received)
    unanswered: BoolArray = (sent <= _MOST_SYNS) & ((received == 0) | reset)
    return unanswered


def rows(frame: pl.DataFrame) -> Int64Array:
    """Return logins as whole numbers, shape (n, columns of `LOGINS`): few operations then do for all columns."""
    return _table({name: frame[name].to_numpy() for name in LOGINS}, len(frame))


def _table(columns: Mapping[str, npt.NDArray[Any]], height: int) -> Int64Array:
    table = np.empty((height, len(LOGINS)), np.int64)
    for name, number in COLUMN.items():
        column = columns[name]
        table[:, number] = column.view(np.int64) if column.dtype == np.uint64 else column
    return table


def frame(rows: Int64Array) -> pl.DataFrame:
    """Return what `rows` was given."""
    return pl.DataFrame(series(rows))


def series(rows: Int64Array) -> list[pl.Series]:
    """Return the columns of what `rows` was given."""
    columns = np.ascontiguousarray(rows.T)
    return [
        pl.Series(name, _typed(column, dtype)) for (name, dtype), column in zip(LOGINS.items(), columns, strict=True)
    ]


def _typed(column: Int64Array, dtype: pl.DataType) -> npt.NDArray[Any]:
    return column.view(np.uint64) if dtype == pl.UInt64 else column.astype(_NUMPY.get(dtype, np.int64), copy=False)


def keys(rows: Int64Array, *names: str) -> UInt64Array:
    """Hash some columns of `rows`, shape (n,)."""
    return combined(*(rows[:, COLUMN[name]].view(np.uint64) for name in names))


def merged(parts: pl.DataFrame) -> pl.DataFrame:
    """Sum logins that came in parts; panes stay apart, and each is active once.

    Returns
    -------
    pl.DataFrame
        Columns of `LOGINS`, in no particular order.
    """
    groups = Groups(combined(parts["contact"].to_numpy(), parts["pane"].to_numpy()))
    return parts if len(groups) == len(parts) else frame(merged_rows(rows(parts)))


def merged_rows(parts: Int64Array) -> Int64Array:
    """Sum rows that came in parts; panes stay apart, and each is active once."""
    together = _brought_together(parts, keys(parts, "contact", "pane"))
    active = together[:, COLUMN["active"]]
    np.minimum(active, 1, out=active)
    return together


def summed_rows(parts: Int64Array) -> Int64Array:
    """Sum rows over panes or blocks, in ascending order of the contact; `pane` becomes the last one."""
    return _brought_together(parts, parts[:, COLUMN["contact"]].view(np.uint64))


def _brought_together(parts: Int64Array, by: UInt64Array) -> Int64Array:
    groups = Groups(by)
    together: Int64Array = parts[groups.some]
    if len(groups) == len(parts):
        return together
    together[:, _SUMMED] = groups.sum(parts[:, _SUMMED])
    together[:, _LARGEST] = groups.max(parts[:, _LARGEST])
    together[:, COLUMN["first_seen"]] = groups.min(parts[:, COLUMN["first_seen"]])
    return together


def spread(guesses: Int64Array, sizes: Int64Array, squares: Int64Array) -> npt.NDArray[np.float64]:
    """Return the standard deviation of the guesses' sizes, in octaves, shape (n,); 0 where there are none."""
    count = np.maximum(guesses, 1)
    variance = np.maximum(count * squares - sizes * sizes, 0) / (count * count)
    deviation: npt.NDArray[np.float64] = np.sqrt(variance) / LEVELS_PER_OCTAVE
    return deviation
