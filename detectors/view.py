"""What detectors see of a pane: statistics, baselines and names, worked out when they are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from detectors.addresses import UInt64Array, written
from detectors.contract import Need
from detectors.statistics import directory, login_windows, refusals
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.frames import among
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.statistics.window import Window

if TYPE_CHECKING:
    from detectors.watch import Watch


_OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    "host": ("key",),
    "traffic": ("key",),
    "scanned": ("target_key",),
    "target": ("target_key",),
    # What a client did, and what was done to a server, are both known in whole where either lies.
    login_windows.TABLE: ("source_key", "target_key"),
}


def owners(table: str) -> tuple[str, ...]:
    """Say which hosts' part tells of the rows of a table: names of their columns; where there are two, either does."""
    return _OWNERS.get(table, ("source_key",))


class RememberedView(ABC):
    """What views have in common: each statistic is worked out once, and hosts that were named are known.

    Parameters
    ----------
    pane
        Begin of the pane, epoch seconds.
    """

    def __init__(self, pane: int) -> None:
        self.pane = pane
        self._tables: dict[tuple[Need, str | None, float], pl.DataFrame] = {}
        self._names: dict[int, str | None] = {}

    def table(self, need: Need, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return a statistic summed over its panes; see `View`."""
        asked = need, column, least
        if asked not in self._tables:
            self._tables[asked] = self._summed(need, column, least)
        return self._tables[asked]

    def hosts(self, keys: pl.Series) -> pl.DataFrame:
        """Say who hosts are, columns of `detectors.statistics.directory.HOSTS`, but for those without a name."""
        wanted = np.unique(keys.drop_nulls().to_numpy())
        found = self._named(wanted)
        self._names |= dict.fromkeys(wanted.tolist())
        self._names |= {key: written(high, low) for key, high, low in found.select("key", "high", "low").rows()}
        return found

    def addresses(self, keys: Iterable[int]) -> list[str]:
        """Write the addresses behind keys; see `View`."""
        wanted = list(keys)
        if unknown := [key for key in wanted if key not in self._names]:
            self.hosts(pl.Series(unknown, dtype=pl.UInt64))
        # What went beyond the caps has no name any more, and is counted there.
        return [name for key in wanted if (name := self._names[key]) is not None]

    @abstractmethod
    def _summed(self, need: Need, column: str | None, least: float) -> pl.DataFrame:
        """Work out a statistic."""

    @abstractmethod
    def _named(self, wanted: UInt64Array) -> pl.DataFrame:
        """Look up hosts by their keys, each once and ascending."""


class PaneView(RememberedView):
    """The statistics as they stand at the end of a pane, summed when first asked for: a `View`.

    Parameters
    ----------
    pane
        Begin of the pane, epoch seconds.
    watch
        What was counted.
    closing
        Whether the pane closes; else it is looked at while more may come.
    """

    def __init__(self, pane: int, watch: "Watch", *, closing: bool) -> None:
        super().__init__(pane)
        self._closing = closing
        self._watch = watch
        self._windows: dict[int, Window] = {}

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual for hosts; see `View`."""
        return self._watch.baselines.baseline(self.pane, column, keys, panes, closing=self._closing)

    def peers(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual among all own hosts; see `View`."""
        return self._watch.baselines.among(self.pane, column, keys, panes, closing=self._closing)

    def destinations(self, hosts: pl.Series, peers: pl.Series) -> pl.DataFrame:
        """Return what is known of outside peers; see `View`."""
        return self._watch.baselines.destinations.known(hosts.to_numpy(), peers.to_numpy())

    def forwarders(self, keys: pl.Series) -> pl.Series:
        """Say who forwards packets for outside hosts; see `View`."""
        end = self.pane + PANE_SECONDS
        listed = self._watch.forwarders.between(end - self._watch.kept_seconds, end)
        return keys.is_in(listed["key"].implode())

    def _named(self, wanted: UInt64Array) -> pl.DataFrame:
        recent = among(self._recent, self._recent["key"].to_numpy(), wanted)
        silent = wanted[~np.isin(wanted, recent["key"].to_numpy())]
        return directory.summed(pl.concat([recent, self._watch.rollup.names(silent)]) if len(silent) else recent)

    @cached_property
    def _recent(self) -> pl.DataFrame:
        end = self.pane + PANE_SECONDS
        # Who sent something in a window may be named only by the record that ends behind it.
        return self._watch.directory.between(end - self._watch.kept_seconds, end + SPREAD_SECONDS)

    def sampled(self, column: str, panes: int) -> pl.DataFrame:
        """Tell of the hosts that stand for all; see `detectors.statistics.baselines.Baselines.sampled`."""
        return self._watch.baselines.sampled(self.pane, column, panes, closing=self._closing)

    def known(self, keys: pl.Series) -> pl.DataFrame:
        """Say who hosts are that anything is kept of; see `Watch.known`."""
        return self._watch.known(keys)

    def own(self, keys: pl.Series) -> pl.Series:
        """Say which hosts are told of here, by their keys, Boolean, shape (n,)."""
        part = self._watch.part
        return pl.repeat(True, len(keys), eager=True) if part is None else pl.Series(part.holds(keys.to_numpy()))

    def _summed(self, need: Need, column: str | None, least: float) -> pl.DataFrame:
        if need.table in refusals.TABLES:
            return self._watch.refusals.table(need.table, self.pane, need.panes, column, least)
        if need.table == login_windows.TABLE:
            rows = self._watch.logins.table(self.pane, need.panes, column, least)
        else:
            rows = self._window(need.panes).table(need.table, column, least)
        if self._watch.part is None or rows.is_empty():
            return rows
        own = (self.own(rows[end]) for end in owners(need.table))
        return rows.filter(reduce(or_, own))

    def _window(self, panes: int) -> Window:
        if panes not in self._windows:
            self._windows[panes] = self._watch.window(self.pane, panes)
        return self._windows[panes]
