"""Windows of logins: connections by pane, and what closed panes leave behind in blocks of five minutes and an hour."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.state import Change, below, prefixed
from detectors.statistics import connections, logins
from detectors.statistics.connections import CONNECTIONS, FOLLOWING_PANES, LOGIN_PORTS
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, rows_of
from detectors.statistics.logins import LOGINS
from detectors.statistics.panes import Panes
from detectors.statistics.rollup import BLOCK_SECONDS, SHORT_PANES, TIERS, Tier
from detectors.statistics.sizes import Size

TABLE: Final = "logins"
"""Name of the table that detectors read."""

_MARGIN_SECONDS: Final = FOLLOWING_PANES * PANE_SECONDS

_LEAST_REFUSED: Final = 2
"""Refusals of a client, server and port within five minutes that are worth keeping."""

_LEAST_OF_PROGRAMS: Final = 5
"""Attempts of one client within a minute that are looked at where programs work by short connections."""

_AT_ONCE: Final = 10
"""How many panes are worked out in one go at most."""

_FAR: Final = 2**62

_Sum = Callable[[pl.DataFrame], pl.DataFrame]


SUMS: Final[Mapping[str, _Sum]] = {"connections": connections.merged, "logins": logins.merged}
"""What sums parts of each table, by name."""


class LoginWindows:
    """The connections of open panes, and the logins of closed ones, over windows of minutes and of hours.

    A connection counts in the pane in which it begins, and is followed for `FOLLOWING_PANES` panes: so many must be
    known behind a pane before it is asked for.

    Parameters
    ----------
    sums
        By name (`connections`, `logins`), what sums parts of each and keeps them within their caps.
    login_ports
        Ports at which people log in.
    """

    def __init__(self, sums: Mapping[str, _Sum] = SUMS, login_ports: Sequence[int] = LOGIN_PORTS) -> None:
        self._watched = connections.watched(login_ports)
        self._login = np.zeros(1 << 16, np.bool_)
        self._login[list(login_ports)] = True
        self.connections = Panes(CONNECTIONS, sums["connections"])
        self._sum = sums["logins"]
        self._tiers = {tier: Panes(LOGINS, sums["logins"]) for tier in TIERS}
        self._derived: dict[int, _Part] = {}
        self._open: dict[int, tuple[tuple[int, ...], _Part]] = {}
        self._brought_together: dict[Tier, tuple[tuple[int, tuple[int, ...]], _Part]] = {}
        self._windows: dict[int, _Window] = {}
        self._actors: tuple[UInt64Array, ...] = ()
        self._looked_at: tuple[int, int] | None = None
        self._rolled = 0
        self.rolled_until = -_FAR
        """Event time before which panes were rolled up, epoch seconds."""
        self._closed_until = -_FAR

    @property
    def size(self) -> Size:
        """How much is kept."""
        return Size.total(panes.size for panes in (self.connections, *self._tiers.values()))

    def add(self, flows: pl.DataFrame) -> set[int]:
        """Count records, and return the panes in which any of their connections lie."""
        return self.connections.add(connections.fold(flows, self._watched))

    def advance(self, until: int, closed_until: int) -> None:
        """Roll up the blocks before a time, and take note of which panes never change again, epoch seconds."""
        self._closed_until = closed_until
        self._open = {pane: part for pane, part in self._open.items() if pane >= closed_until}
        last = until // BLOCK_SECONDS * BLOCK_SECONDS
        held = {pane // BLOCK_SECONDS * BLOCK_SECONDS for pane in self.connections.panes}
        for begin in sorted(each for each in held if self.rolled_until <= each < last):
            self._roll(begin)
        self.rolled_until = max(self.rolled_until, last)

    def table(self, pane: int, panes: int, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return the logins of the last `panes` panes up to and with one, one row per client, server and port.

        Only those are told whose client or server has to do with an attempt in the pane itself: who guesses slowly
        is judged whenever a guess comes, and who has stopped is not.

        Parameters
        ----------
        pane, panes
            Begin of the pane, epoch seconds, and the width of the window. Wide windows reach back to the first
            full block in them.
        column, least
            Only rows where this column reaches this number.

        Returns
        -------
        pl.DataFrame
            Columns of `LOGINS`, with `together` and `programs`, see `detectors.statistics.logins`, and with
            `source_active` and `target_active`: whether the client, and the server, is one of those in the pane.

        Raises
        ------
        ValueError
            When nothing is kept for so long.
        """
        tier = next((tier for tier in TIERS if panes <= tier.kept_panes), None)
        if tier is None:
            raise ValueError(f"a window of {panes} panes is wider than what is kept, {TIERS[-1].kept_panes} panes")
        rows, ends, active = self._window(pane, panes, tier)
        if column in logins.SUMS and rows[:, logins.COLUMN[column]].sum() < least:
            return _NOTHING
        together = logins.together(rows, ends, active, self._login)
        if column == "together":
            # Whole groups stay or go, so that it makes no difference that nothing is summed yet.
            chosen = np.flatnonzero(together >= least)
            rows, together, active = rows[chosen], together[chosen], tuple(each[chosen] for each in active)
        if not len(rows):
            return _NOTHING
        # All come in ascending order of the contact.
        contacts = Groups(rows[:, logins.COLUMN["contact"]].view(np.uint64))
        rows = logins.summed_rows(logins.merged_rows(rows) if panes > SHORT_PANES else rows)
        columns = {
            "together": contacts.max(together),
            "programs": logins.of_programs(rows, self._login),
            **{name: contacts.max(each) for name, each in zip(_ACTIVE, active, strict=True)},
        }
        table = pl.DataFrame([*logins.series(rows), *(pl.Series(name, each) for name, each in columns.items())])
        return table if column in (None, "together") else table.filter(pl.col(column) >= least)

    def drop_before(self, kept_from: int) -> None:
        """Forget what no window reaches any more, panes before a time having been left behind by the short ones."""
        oldest = min(self.rolled_until, kept_from)
        self.connections.drop_before(oldest - _MARGIN_SECONDS)
        for pane in [each for each in self._derived if each < oldest]:
            del self._derived[pane]
        for tier, blocks in self._tiers.items():
            blocks.drop_before(self._closed_until - tier.kept_panes * PANE_SECONDS - tier.seconds)

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        for name, store in self._named():
            yield from prefixed(name, store.changes(whole=whole))

    def settled(self, rolled_until: int, closed_until: int) -> None:
        """Take up how far time had come in what is restored."""
        self.rolled_until, self._closed_until = rolled_until, closed_until

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up what `changes` yielded."""
        known = list(changes)
        for name, store in self._named():
            store.restore(below(name, known))

    def _named(self) -> Iterator[tuple[str, Panes]]:
        yield "connections", self.connections
        for tier, blocks in self._tiers.items():
            yield f"{tier.seconds}", blocks

    def _window(self, pane: int, panes: int, tier: Tier) -> "_Window":
        """Return the logins of a window in parts, those of wide ones with their block as pane.

        Those of the pane looked at last are kept if it is closed.
        """
        closed = pane < self._closed_until
        if not closed or self._looked_at != (pane, self._rolled):
            self._windows.clear()
            # What was seen of an open pane says nothing of it once it is closed.
            self._looked_at = (pane, self._rolled) if closed else None
            self._actors = self._active(pane)
        if panes not in self._windows:
            self._windows[panes] = self._gathered(pane, panes, tier)
        return self._windows[panes]

    def _gathered(self, pane: int, panes: int, tier: Tier) -> "_Window":
        if not len(self._actors[0]):
            return _of([_EMPTY], self._actors)
        first, seconds = pane - (panes - 1) * PANE_SECONDS, PANE_SECONDS
        parts: list[_Part] = []
        if panes > SHORT_PANES:
            seconds = tier.seconds
            parts.append(self._blocks(tier, -(-first // seconds) * seconds, pane))
            first = max(first, self.rolled_until)
        parts += [self._logins(each) for each in self._held(first, pane + PANE_SECONDS)]
        window = _of(parts, self._actors)
        begin = window.rows[:, logins.COLUMN["pane"]]
        begin -= begin % seconds
        return window

    def _active(self, pane: int) -> tuple[UInt64Array, ...]:
        """Hash the clients, and the servers, that have to do with an attempt in a pane; ascending."""
        own, ends = self._logins(pane)
        few = np.where(logins.of_programs(own, self._login), _LEAST_OF_PROGRAMS, 1)
        active = (own[:, logins.COLUMN["guesses"]] >= few) | (own[:, logins.COLUMN["refused"]] > 0)
        return tuple(Groups(end[active]).keys for end in ends)

    def _blocks(self, tier: Tier, begin: int, end: int) -> "_Part":
        """Bring together the blocks from one that begins then to another; only rolling one up changes them."""
        blocks = self._tiers[tier]
        chosen = tuple(each for each in blocks.panes if begin <= each <= end)
        known, part = self._brought_together.get(tier, (None, _EMPTY))
        if known != (self._rolled, chosen):
            part = _Part.of([logins.rows(blocks.summed(each)) for each in chosen])
            self._brought_together[tier] = (self._rolled, chosen), part
        return part

    def _logins(self, pane: int) -> "_Part":
        """Count the logins that begin in a pane; they are kept until something is added, of closed panes for good."""
        if pane in self._derived:
            return self._derived[pane]
        if pane >= self._closed_until:
            return self._open_logins(pane)
        # Panes that close together are worked out in one go, which takes hardly longer than one of them.
        end = max(min(self._closed_until, pane + _AT_ONCE * PANE_SECONDS), pane + PANE_SECONDS)
        part = self._begun(pane, end)
        begin = part.rows[:, logins.COLUMN["pane"]]
        self._derived.update({each: part.only(begin == each) for each in {pane, *self._held(pane, end)}})
        return self._derived[pane]

    def _open_logins(self, pane: int) -> "_Part":
        end = pane + PANE_SECONDS
        version = self.connections.version(pane - _MARGIN_SECONDS, end + _MARGIN_SECONDS)
        known, part = self._open.get(pane, (None, _EMPTY))
        if known != version:
            part = self._begun(pane, end)
            self._open[pane] = version, part
        return part

    def _begun(self, begin: int, end: int) -> "_Part":
        """Count the logins that begin in the panes from one up to another, not included."""
        for each in self._held(begin, end):
            self.connections.summed(each)
        known = self.connections.between(begin - _MARGIN_SECONDS, end + _MARGIN_SECONDS)
        return _Part.of([logins.of_connections(connections.begun(known, begin, end), self._login)])

    def _roll(self, begin: int) -> None:
        """Take up the block of five minutes that begins then."""
        self._rolled += 1
        held = [self._logins(each).rows for each in self._held(begin, begin + BLOCK_SECONDS)]
        rows = np.concatenate([_EMPTY.rows, *held])
        rows[:, logins.COLUMN["pane"]] = begin
        rows = logins.merged_rows(rows)
        guesses, sessions, refused = (rows[:, logins.COLUMN[name]] for name in ("guesses", "sessions", "refused"))
        for tier, blocks in self._tiers.items():
            # Single refusals are the noise of the Internet, and no long window asks for any.
            least_refused = _LEAST_REFUSED if tier is TIERS[0] else _FAR
            kept = rows[(guesses > 0) | (sessions > 0) | (refused >= least_refused)]
            kept[:, logins.COLUMN["pane"]] = begin // tier.seconds * tier.seconds
            blocks.add(self._sum(logins.frame(kept)))

    def _held(self, begin: int, end: int) -> list[int]:
        return [each for each in self.connections.panes if begin <= each < end]


def together(rows: pl.DataFrame) -> pl.DataFrame:
    """Put together what is told of the same logins where the client and where the server is known in whole."""
    return (
        rows.group_by("contact")
        .agg(
            pl.col(name).max() if name in ("together", *_ACTIVE) else pl.col(name).first()
            for name in rows.columns
            if name != "contact"
        )
        .select(rows.columns)
    )


class _Part(NamedTuple):
    """Logins, see `detectors.statistics.logins.rows`, with the hashes of both ends and the port."""

    rows: Int64Array
    ends: tuple[UInt64Array, ...]

    @classmethod
    def of(cls, parts: Sequence[Int64Array]) -> "_Part":
        """Put rows together."""
        rows = np.concatenate([_EMPTY.rows, *parts])
        return cls(rows, tuple(logins.keys(rows, end, "port") for end in _ENDS))

    def only(self, chosen: npt.NDArray[np.bool_]) -> "_Part":
        """Return some of the rows."""
        return _Part(self.rows[chosen], tuple(end[chosen] for end in self.ends))


class _Window(NamedTuple):
    """Logins with the hashes of both ends and the port, and whether each end is one that is active."""

    rows: Int64Array
    ends: tuple[UInt64Array, ...]
    active: tuple[npt.NDArray[np.bool_], ...]


_ENDS: Final = ("source_key", "target_key")
_ACTIVE: Final = ("source_active", "target_active")

_EMPTY: Final = _Part(np.zeros((0, len(LOGINS)), np.int64), (np.zeros(0, np.uint64),) * len(_ENDS))


def _of(parts: Sequence[_Part], active: tuple[UInt64Array, ...]) -> _Window:
    """Return the rows of active clients, and of active servers, at the same ports."""
    ends = tuple(np.concatenate(each) for each in zip(*(part.ends for part in parts), strict=True))
    rows = np.concatenate([part.rows for part in parts])
    sides = [rows_of(wanted, end)[1] for wanted, end in zip(active, ends, strict=True)]
    kept = np.flatnonzero(np.logical_or.reduce(sides))
    return _Window(rows[kept], tuple(end[kept] for end in ends), tuple(side[kept] for side in sides))


_NOTHING: Final = LOGINS.to_frame().with_columns(
    pl.Series("together", [], pl.Int64), *(pl.Series(name, [], pl.Boolean) for name in ("programs", *_ACTIVE))
)
