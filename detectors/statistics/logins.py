"""Logins: how many connections of a client to a service look like one attempt to log in each."""

from typing import Final

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
that were answered and larger or longer, and `refused` those that nobody answered, both of ports for logins alone
(`sessions` not of databases). `sizes` and
`squares` sum the levels (`detectors.statistics.levels`) of the guesses' bytes, and these squared; `sent_bytes` and
`received_bytes` are those of the guesses. `active` counts the panes, or blocks,
of the window that hold guesses.
"""

SUMS: Final = ("guesses", "sessions", "refused", "sizes", "squares", "sent_bytes", "received_bytes", "active")

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


def of_connections(connections: pl.DataFrame, login: BoolArray) -> pl.DataFrame:
    """Count what looks like an attempt to log in.

    Parameters
    ----------
    connections
        Those that begin in a pane, see `detectors.statistics.connections.begun`.
    login
        Whether people log in at a port, shape (65536,).

    Returns
    -------
    pl.DataFrame
        Columns of `LOGINS`, in no particular order; clients that neither guess nor log in are left out.
    """
    port = connections["port"].to_numpy()
    limits = _LIMITS[_SERVICE[port]]
    sizes = np.stack([connections[name].to_numpy() for name in _SIZES], axis=1)
    own, signs = login[port], connections["signs"].to_numpy()
    unflagged = signs & FLAGGED == 0
    first, last, weight = (connections[name].to_numpy() for name in ("first_seen", "last_seen", "weight"))
    short = (last - first <= MOST_SECONDS) & ((signs & ENDED != 0) | unflagged)
    begun = (signs & OPENED != 0) | unflagged
    unanswered = (signs & REJECTED != 0) | _unanswered(sizes, signs & ACCEPTED != 0)
    answered = begun & ~unanswered & (sizes[:, 2] > 0)
    small = (sizes <= limits[:, :, 1]).all(axis=1) & short
    guess = answered & small & (sizes >= limits[:, :, 0]).all(axis=1)
    level = np.where(guess, levels(sizes[:, 1] + sizes[:, 3]).astype(np.int64), 0)
    counts = {
        "guesses": weight * guess,
        "sessions": weight * (own & answered & ~small & ~_DATABASE[port]),
        "refused": weight * (own & begun & unanswered),
        "sizes": weight * level,
        "squares": weight * level * level,
        "sent_bytes": weight * guess * sizes[:, 1],
        "received_bytes": weight * guess * sizes[:, 3],
        "active": guess.astype(np.int64),
    }
    told = np.flatnonzero(counts["guesses"] + counts["sessions"] + counts["refused"])
    columns = {name: connections[name].to_numpy()[told] for name in _SAME}
    columns["target_internal"] = signs[told] & TARGET_INTERNAL != 0
    columns |= {name: values[told] for name, values in counts.items()}
    return merged(pl.DataFrame([pl.Series(name, columns[name], dtype) for name, dtype in LOGINS.items()]))


def of_programs(rows: pl.DataFrame, login: BoolArray) -> BoolArray:
    """Say of logins where short connections are how programs work.

    That is at ports that are not for logins, and at databases for one's own hosts.

    Parameters
    ----------
    rows
        Columns of `LOGINS`.
    login
        Whether people log in at a port, shape (65536,).

    Returns
    -------
    ndarray
        Bool, shape (rows,).
    """
    port = rows["port"].to_numpy()
    programs: BoolArray = ~login[port] | (rows["source_internal"].to_numpy() & _DATABASE[port])
    return programs


def _unanswered(sizes: npt.NDArray[np.int64], accepted: BoolArray) -> BoolArray:
    """Say where nothing came back, or no more than a reset for each attempt to connect."""
    sent, received = sizes[:, 0], sizes[:, 2]
    reset = ~accepted & (received <= sent) & (sizes[:, 3] <= _RESET_BYTES * received)
    unanswered: BoolArray = (sent <= _MOST_SYNS) & ((received == 0) | reset)
    return unanswered


def merged(parts: pl.DataFrame) -> pl.DataFrame:
    """Sum logins that came in parts; panes stay apart, and each is active once.

    Returns
    -------
    pl.DataFrame
        Columns of `LOGINS`, in no particular order.
    """
    together = _brought_together(parts, combined(parts["contact"].to_numpy(), parts["pane"].to_numpy()))
    once = np.minimum(together["active"].to_numpy(), 1)
    return together.with_columns(pl.Series("active", once))


def summed(parts: pl.DataFrame) -> pl.DataFrame:
    """Sum logins over panes or blocks; `pane` becomes the last one."""
    return _brought_together(parts, parts["contact"].to_numpy())


def _brought_together(parts: pl.DataFrame, keys: UInt64Array) -> pl.DataFrame:
    groups = Groups(keys)
    if len(groups) == len(parts):
        return parts[groups.some]
    columns = {name: parts[name].to_numpy()[groups.some] for name in ("contact", "source_key", "target_key", "port")}
    columns |= {name: groups.sum(parts[name].to_numpy()) for name in SUMS}
    columns |= {
        name: groups.max(parts[name].to_numpy()) for name in ("pane", "source_internal", "target_internal", "last_seen")
    }
    columns["first_seen"] = groups.min(parts["first_seen"].to_numpy())
    return pl.DataFrame([pl.Series(name, columns[name], dtype) for name, dtype in LOGINS.items()])


def spread(guesses: Int64Array, sizes: Int64Array, squares: Int64Array) -> npt.NDArray[np.float64]:
    """Return the standard deviation of the guesses' sizes, in octaves, shape (n,); 0 where there are none."""
    count = np.maximum(guesses, 1)
    variance = np.maximum(count * squares - sizes * sizes, 0) / (count * count)
    deviation: npt.NDArray[np.float64] = np.sqrt(variance) / LEVELS_PER_OCTAVE
    return deviation
