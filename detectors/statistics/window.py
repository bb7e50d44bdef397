"""A run of panes, and the tables that detectors read of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.statistics import contacts, tables, volumes
from detectors.statistics.contacts import CONTACTS
from detectors.statistics.frames import among, frame
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, combined, rows_of
from detectors.statistics.pane import Pane
from detectors.statistics.volumes import VOLUMES

_Keys = Callable[[Pane], UInt64Array]
_Rows = Callable[[Pane], Int64Array]
_Narrow = Callable[["Window", float], tuple[_Keys, UInt64Array]]


class Counts(NamedTuple):
    """How many distinct contacts failed under each key.

    Attributes
    ----------
    keys
        Ascending, shape (n,).
    counts
        Shape (n,).
    """

    keys: UInt64Array
    counts: Int64Array


class Window:
    """Consecutive panes, of which some may hold nothing.

    Parameters
    ----------
    panes
        Those that hold something, in order.
    width
        How many panes the window is wide.
    following
        Returns the panes behind it in which records end whose bytes were spread back into it.
    earlier
        What is remembered of all panes but the last one, where windows of the same ones come again; it is added to.
    """

    def __init__(
        self,
        panes: Sequence[Pane],
        width: int,
        following: Callable[[], Sequence[Pane]] = tuple,
        earlier: "dict[_Keys, Counts] | None" = None,
    ) -> None:
        self.panes = panes
        self._width = width
        self._following = following
        self._earlier = earlier
        self._known: dict[tuple[str, str | None, float], pl.DataFrame] = {}

    def table(self, name: str, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return one of `TABLES`: the rows where a column reaches a number, or all rows.

        For the columns in `NARROWED`, what plainly cannot reach the number is left out before anything is summed.
        """
        asked = name, column, least
        if asked not in self._known:
            rows = TABLES[name](self, column, least)
            self._known[asked] = rows if column is None or rows.is_empty() else _reaching(rows, column, least)
        return self._known[asked]

    def contacts(self, keys: _Keys | None = None, wanted: UInt64Array | None = None) -> pl.DataFrame:
        """Return contacts, summed over the panes: those whose key is wanted, or all.

        Parameters
        ----------
        keys
            Says of each contact of a pane which key it has.
        wanted
            The wanted keys, ascending and each once.
        """
        if keys is None or wanted is None:
            parts = [pane.contacts for pane in self.panes]
        elif len(wanted):
            parts = [_among(wanted, keys, pane) for pane in self.panes]
        else:
            parts = []
        if not parts:
            return _NO_CONTACTS
        return contacts.merged(pl.concat(parts), by_pane=False)

    @cached_property
    def _all(self) -> pl.DataFrame:
        return self.contacts()

    def failing(self, keys: _Keys, least: float) -> UInt64Array:
        """Return the keys, ascending, under which at least so many distinct contacts failed in some pane.

        A contact that failed in the last pane and before it may count twice.
        """
        if self._earlier is None or len(self.panes) < 2:
            counted = _failed(self.panes, keys)
            return counted.keys[counted.counts >= least]
        if keys not in self._earlier:
            self._earlier[keys] = _failed(self.panes[:-1], keys)
        before, last = self._earlier[keys], _failed(self.panes[-1:], keys)
        rows, found = rows_of(before.keys, last.keys)
        together = last.counts + np.where(found, before.counts[rows] if len(before.keys) else 0, 0)
        enough = [before.keys[before.counts >= least], last.keys[together >= least]]
        return Groups(np.concatenate(enough)).keys

    def narrowed(self, name: str, column: str | None, least: float) -> pl.DataFrame:
        """Return the contacts that a table needs for the rows where a column reaches a number."""
        narrow = NARROWED.get((name, column or ""))
        return self._all if narrow is None or least <= 0 else self.contacts(*narrow(self, least))

    def egress(self, least: float) -> pl.DataFrame:
        """One row per own host and outside peer to which it sent `least` bytes or more, with what it got back.

        `busiest_bytes` is the most of it that lies in one pane.
        """
        parts = [pane.egress for pane in self.panes]
        # Who sent so much in all panes sent that share of it in one of them.
        share = least / self._width
        pairs = Groups(np.concatenate([_NONE, *(each.pairs[each.outbound_bytes >= share] for each in parts)])).keys
        outbound, inbound = np.zeros((2, len(pairs)), np.int64)
        hosts, peers = np.zeros((2, len(pairs)), np.uint64)
        begins, ends = np.full(len(pairs), _FAR), np.full(len(pairs), -_FAR)
        busiest = np.zeros(len(pairs), np.int64)
        for pane, each in zip(self.panes, parts, strict=True):
            rows, found = rows_of(each.pairs, pairs)
            rows = rows[found]
            outbound[found] += each.outbound_bytes[rows]
            inbound[found] += each.inbound_bytes[rows]
            busiest[found] = np.maximum(busiest[found], each.outbound_bytes[rows])
            hosts[found], peers[found] = each.hosts[rows], each.peers[rows]
            begins[found] = np.minimum(begins[found], pane.begin)
            ends[found] = pane.begin + pane.seconds
        enough = outbound >= least
        columns = {
            "source_key": hosts,
            "target_key": peers,
            "outbound_bytes": outbound,
            "inbound_bytes": inbound,
            "busiest_bytes": busiest,
            "first_seen": begins,
            "last_seen": ends,
        }
        return frame({name: values[enough] for name, values in columns.items()})

    def between(self, hosts: UInt64Array, peers: UInt64Array) -> pl.DataFrame:
        """Return the contacts between hosts and peers, whoever opened them, that the window's bytes belong to."""
        both = [combined(hosts, peers), combined(peers, hosts)]
        wanted = Groups(np.concatenate([_NONE, *both])).keys
        following = self._following()

        def talking(panes: Sequence[Pane]) -> list[pl.DataFrame]:
            return [_among(wanted, _pair, pane) for pane in panes]

        # What begins behind the window was not spread back into it.
        begun = [
            part[np.flatnonzero(part["first_seen"].to_numpy() < following[0].begin)] for part in talking(following)
        ]
        return contacts.merged(pl.concat([_NO_CONTACTS, *talking(self.panes), *begun]), by_pane=False)


_NO_CONTACTS: Final = CONTACTS.to_frame()
_NO_VOLUMES: Final = VOLUMES.to_frame()
_NONE: Final = np.zeros(0, np.uint64)
_NO_COUNTS: Final = np.zeros(0, np.int64)
_FAR: Final = 2**62
_SUMMED: Final = ("outbound_bytes", "rejected")


def _among(wanted: UInt64Array, keys: _Keys, pane: Pane) -> pl.DataFrame:
    """Return the contacts of a pane whose key is wanted."""
    return among(pane.contacts, keys(pane), wanted)


def _reaching(rows: pl.DataFrame, column: str, least: float) -> pl.DataFrame:
    """Return the rows where a column reaches a number."""
    return rows[np.flatnonzero(rows[column].to_numpy() >= least)]


def _pair(pane: Pane) -> UInt64Array:
    return pane.pair


def _service(pane: Pane) -> UInt64Array:
    return pane.service


def _target(pane: Pane) -> UInt64Array:
    return pane.target


def _source(pane: Pane) -> UInt64Array:
    return pane.source


def _all_failed(pane: Pane) -> Int64Array:
    return pane.failed


def _failed(panes: Sequence[Pane], keys: _Keys, rows: _Rows = _all_failed) -> Counts:
    """Count the distinct contacts under each key that failed in some pane, among some rows of each pane."""
    chosen = [(pane, rows(pane)) for pane in panes]
    chosen = [(pane, own) for pane, own in chosen if len(own)]
    if not chosen:
        return Counts(_NONE, _NO_COUNTS)
    distinct = Groups(np.concatenate([pane.contact[own] for pane, own in chosen])).some
    groups = Groups(np.concatenate([keys(pane)[own] for pane, own in chosen])[distinct])
    return Counts(groups.keys, groups.sizes)


def _missing(keys: _Keys) -> _Narrow:
    """Keep keys under which own hosts had enough distinct contacts that failed in some pane."""

    def narrow(window: Window, least: float) -> tuple[_Keys, UInt64Array]:
        counted = _failed(window.panes, keys, lambda pane: pane.missed)
        return keys, counted.keys[counted.counts >= least]

    return narrow


def _failing(keys: _Keys) -> _Narrow:
    """Keep keys under which enough distinct contacts failed in some pane; in the window it may be fewer."""

    def narrow(window: Window, least: float) -> tuple[_Keys, UInt64Array]:
        return keys, window.failing(keys, least)

    return narrow


def _refusing(keys: _Keys) -> _Narrow:
    """Keep keys under which enough records were refused."""

    def narrow(window: Window, least: float) -> tuple[_Keys, UInt64Array]:
        panes = [pane for pane in window.panes if len(pane.refused)]
        if not panes:
            return keys, _NONE
        groups = Groups(np.concatenate([keys(pane)[pane.refused] for pane in panes]))
        counts = groups.sum(np.concatenate([pane.rejected[pane.refused] for pane in panes]))
        return keys, groups.keys[counts >= least]

    return narrow


NARROWED: Final[Mapping[tuple[str, str], _Narrow]] = {
    ("pair", "failed_ports"): _failing(_pair),
    ("pair", "rejected"): _refusing(_pair),
    ("service", "failed_targets"): _failing(_service),
    ("service", "own_misses"): _missing(_service),
    ("scanner", "failed_contacts"): _failing(_source),
    ("scanned", "failed_ports"): _failing(_target),
    ("target", "rejected"): _refusing(_target),
}
"""By table and column, what leaves out the contacts of rows that plainly cannot reach a number."""


def _of_contacts(make: Callable[[pl.DataFrame], pl.DataFrame]) -> "_Table":
    @cache
    def empty() -> pl.DataFrame:
        return make(_NO_CONTACTS)

    def table(window: Window, column: str | None, least: float) -> pl.DataFrame:
        needed = window.narrowed(make.__name__, column, least)
        return make(needed) if len(needed) else empty()

    return table


def _egress(window: Window, column: str | None, least: float) -> pl.DataFrame:
    sums = window.egress(least if column == "outbound_bytes" else 0)
    if sums.is_empty():
        return _no_egress()
    return tables.egress(sums, window.between(sums["source_key"].to_numpy(), sums["target_key"].to_numpy()))


def _outflow(window: Window, column: str | None, least: float) -> pl.DataFrame:
    return window.egress(least if column == "outbound_bytes" else 0)


@cache
def _no_egress() -> pl.DataFrame:
    return tables.egress(Window([], 1).egress(0), _NO_CONTACTS)


def _host(window: Window, column: str | None, least: float) -> pl.DataFrame:
    parts = [pane.hosts for pane in window.panes]
    if column in _SUMMED and least > 0 and len(parts) > 1:
        # Who reaches a sum reaches its share in one pane.
        reaching = [part["key"].to_numpy()[part[column].to_numpy() * len(parts) >= least] for part in parts]
        keys = Groups(np.concatenate(reaching)).keys
        parts = [among(part, part["key"].to_numpy(), keys) for part in parts]
    return tables.host(parts)


def _traffic(window: Window, _column: str | None, _least: float) -> pl.DataFrame:
    owners = volumes.owners(pl.concat([_NO_VOLUMES, *(pane.volumes for pane in window.panes)]))
    return tables.traffic([pane.traffic(*owners) for pane in window.panes])


_Table = Callable[[Window, str | None, float], pl.DataFrame]

TABLES: Final[Mapping[str, _Table]] = {
    **{
        make.__name__: _of_contacts(make)
        for make in (tables.contact, tables.pair, tables.service, tables.scanner, tables.scanned, tables.target)
    },
    "egress": _egress,
    "outflow": _outflow,
    "host": _host,
    "traffic": _traffic,
}
"""Every table, by name."""
