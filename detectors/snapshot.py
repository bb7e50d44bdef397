"""The statistics of a pane, worked out from a handful of records, for whoever holds detectors against them."""

from collections.abc import Iterable

import polars as pl

from detectors.addresses import written
from detectors.contract import Need
from detectors.statistics import (
    contacts,
    conversations,
    directory,
    forwarders,
    login_windows,
    refusal_sums,
    refusals,
    volumes,
)
from detectors.statistics.baselines import Baselines
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.conversations import REMEMBERED_SECONDS
from detectors.statistics.login_windows import LoginWindows
from detectors.statistics.pane import Counted, Pane
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.statistics.window import Window
from detectors.table import Table


class Snapshot:
    """The statistics of a pane, worked out from records: a `View` on a table.

    Parameters
    ----------
    table
        Records, in any order.
    pane
        Begin of the pane that closes, epoch seconds.
    """

    def __init__(self, table: Table, pane: int) -> None:
        self.pane = pane
        flows = forwarders.true_ends(table.flows)
        self._forwarders = forwarders.fold(flows)
        self._contacts = contacts.fold(flows)
        self._volumes = volumes.fold(flows)
        self._conversations = conversations.fold(flows)
        self._directory = directory.hosts(flows)
        self._logins = LoginWindows()
        self._logins.add(flows)
        self._refusals = refusals.Refusals()
        self._refusals.add(flows)
        self._tables: dict[tuple[Need, str | None, float], pl.DataFrame] = {}

    def table(self, need: Need, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return a statistic summed over its panes."""
        asked = need, column, least
        if asked not in self._tables:
            self._tables[asked] = self._summed(need, column, least)
        return self._tables[asked]

    def addresses(self, keys: Iterable[int]) -> list[str]:
        """Write the addresses behind keys, in their order."""
        known = {key: written(high, low) for key, high, low in self._directory.select("key", "high", "low").rows()}
        return [known[key] for key in keys if key in known]

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual for hosts."""
        return self._baselines().baseline(self.pane, column, keys, panes)

    def peers(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual among all hosts."""
        return self._baselines().among(self.pane, column, keys, panes)

    def destinations(self, hosts: pl.Series, peers: pl.Series) -> pl.DataFrame:
        """Return what is known of peers: nothing, as no hour is over."""
        return self._baselines().destinations.known(hosts.to_numpy(), peers.to_numpy())

    def forwarders(self, keys: pl.Series) -> pl.Series:
        """Say who forwards packets for outside hosts."""
        return keys.is_in(self._forwarders["key"].implode())

    def _baselines(self) -> Baselines:
        baselines = Baselines()
        for pane in self._contacts["pane"].unique().sort():
            if pane < self.pane:
                for each in refusal_sums.learned(self._pane(pane).hosts, self._refusals.table("refused", pane, 1)):
                    baselines.learn(pane, each)
        return baselines

    def _summed(self, need: Need, column: str | None, least: float) -> pl.DataFrame:
        if need.table == login_windows.TABLE:
            return self._logins.table(self.pane, need.panes, column, least)
        if need.table in refusals.TABLES:
            return self._refusals.table(need.table, self.pane, need.panes, column, least)
        first, end = self.pane - (need.panes - 1) * PANE_SECONDS, self.pane + PANE_SECONDS
        panes, following = self._panes(first, end), self._panes(end, end + SPREAD_SECONDS)
        return Window(panes, need.panes, lambda: following).table(need.table, column, least)

    def _panes(self, begin: int, end: int) -> list[Pane]:
        seen = {*self._contacts["pane"], *self._volumes["pane"]}
        return [self._pane(each) for each in range(begin, end, PANE_SECONDS) if each in seen]

    def _pane(self, begin: int) -> Pane:
        own = pl.col("pane") == begin
        counted = Counted(
            contacts.merged(self._contacts.filter(own), by_pane=True),
            volumes.merged(self._volumes.filter(own)),
            conversations.merged(self._conversations.filter(own)),
            self._conversations.filter(pl.col("pane").is_between(begin - REMEMBERED_SECONDS, begin)),
        )
        return Pane(begin, counted)
