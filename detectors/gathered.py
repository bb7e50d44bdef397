"""A pane as all parts of the shards together know it: a `View` that asks each of them, and a judge that reads it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import UInt64Array
from detectors.closed import Closed
from detectors.contract import Detector, Need, Parameters
from detectors.finding import Detection
from detectors.questions import REFUSAL, REFUSED, Question
from detectors.state import Change
from detectors.statistics import login_windows
from detectors.statistics.baselines import Baselines
from detectors.statistics.frames import frame
from detectors.statistics.peers import ENOUGH_WINDOWS, usual_of
from detectors.statistics.refusal_sums import COLUMN, INTERFACE, NETWORK, NETWORK_KEY, Sums, together, with_most
from detectors.verdicts import verdicts
from detectors.view import RememberedView

Ask = Callable[[Question], Sequence[pl.DataFrame]]
"""Returns what each part answers, in the order of the parts."""

_SPANNING: Final = COLUMN[INTERFACE]
"""The number that baselines learn of what belongs to no part."""


class GatheredView(RememberedView):
    """The statistics as they stand when a pane closes, from all parts: a `View`.

    Parameters
    ----------
    pane
        Begin of the pane, epoch seconds.
    ask
        Asks all parts.
    spanning
        What is usual for what belongs to no part: interfaces, and the network.
    """

    def __init__(self, pane: int, ask: Ask, spanning: Baselines) -> None:
        super().__init__(pane)
        self._ask = ask
        self._spanning = spanning

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual for hosts; see `View`."""
        if column == _SPANNING:
            return self._spanning.baseline(self.pane, column, keys, panes)
        return self._of_each("baseline", keys, column, panes).select("median", "spread", "windows")

    def peers(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual among all own hosts; see `View`."""
        own = self._of_each("peers", keys, column, panes).select("own_windows")
        usual = None
        if (own["own_windows"] < ENOUGH_WINDOWS).any():
            several = pl.concat(self._ask(Question("sampled", column, panes)))
            usual = usual_of(several["shard"].to_numpy(), several["much"].to_numpy())
        return own.with_columns(peers=pl.lit(usual, pl.Float64))

    def destinations(self, hosts: pl.Series, peers: pl.Series) -> pl.DataFrame:
        """Return what is known of outside peers; see `View`."""
        pairs = frame({"key": hosts.to_numpy(), "peer": peers.to_numpy()})
        asked = pairs.unique().sort("key", "peer")
        several = self._ask(Question("destinations", hosts=asked))
        # A pair is known in one part only, and others to the same peer may be known in any.
        summed = {name: np.sum([each[name].to_numpy() for each in several], axis=0) for name in _SUMMED}
        learned = np.max([each["learned"].to_numpy() for each in several], axis=0)
        known = frame(summed | {"learned": learned}).select(several[0].columns)
        return pairs.join(asked.hstack(known), on=("key", "peer"), how="left", maintain_order="left").select(
            known.columns
        )

    def forwarders(self, keys: pl.Series) -> pl.Series:
        """Say who forwards packets for outside hosts; see `View`."""
        return self._of_each("forwarders", keys)["forwards"]

    def known(self, keys: pl.Series) -> pl.DataFrame:
        """Say who hosts are that anything is kept of; see `detectors.watch.Watch.known`."""
        wanted = keys.drop_nulls().unique().sort()
        return pl.concat(self._ask(Question("known", hosts=wanted.alias("key").to_frame())))

    def spanning(self) -> pl.DataFrame:
        """Return what was refused at interfaces and in the network, as baselines learn it."""
        summed = self.table(Need(REFUSED, 1), "rejected", _BEYOND).filter(pl.col("level") >= INTERFACE)
        return summed.select("key", "internal", pl.col("rejected").alias(_SPANNING))

    def _named(self, wanted: UInt64Array) -> pl.DataFrame:
        return pl.concat(self._ask(Question("hosts", hosts=frame({"key": wanted}))))

    def _summed(self, need: Need, column: str | None, least: float) -> pl.DataFrame:
        if need.table == REFUSAL:
            return self._refusals(need.panes, column, least)
        several = self._ask(Question("table", need.table, need.panes, column, least))
        if need.table == REFUSED:
            return together(several, 0 if least == _BEYOND else least)
        rows = pl.concat(several)
        return login_windows.together(rows) if need.table == login_windows.TABLE else rows

    def _refusals(self, panes: int, column: str | None, least: float) -> pl.DataFrame:
        """Return refusals with the largest sum that each is part of; of small sums, none are fetched."""
        refused = Need(REFUSED, panes)
        if column != "most":
            rows = pl.concat(self._ask(Question("refusals", panes=panes)))
            rows = with_most(rows, Sums.of(self.table(refused)))
            return rows if column is None else rows.filter(pl.col(column) >= least)
        summed = self.table(refused, "rejected", least)
        # Whom nothing is told of is the network, which refusals are not gathered by.
        concerned = summed.select("level", "key") if len(summed) else _THE_NETWORK
        rows = with_most(pl.concat(self._ask(Question("refusals", panes=panes, hosts=concerned))), Sums.of(summed))
        return rows.filter(pl.col(column) >= least)

    def _of_each(self, call: str, keys: pl.Series, name: str = "", panes: int = 1) -> pl.DataFrame:
        """Ask about hosts, each once and in an order that is always the same, and return the answers in theirs."""
        asked, places = np.unique(keys.to_numpy(), return_inverse=True)
        question = Question(call, name, panes, hosts=frame({"key": asked}))
        return pl.concat(self._ask(question)).sort("place")[places]


_THE_NETWORK: Final = frame({"level": np.full(1, NETWORK, np.uint8), "key": np.full(1, NETWORK_KEY, np.uint64)})

_SUMMED: Final = ("hours", "age", "most", "others")

_BEYOND: Final = float(2**62)
"""More than anything: what is told all the same is told whatever it comes to."""


class Judge:
    """The detectors, where no part alone can tell what they need to know.

    Parameters
    ----------
    detectors, parameters
        Detectors by kind, and the values of their parameters; one without is not asked.
    """

    def __init__(self, detectors: Mapping[str, Detector], parameters: Mapping[str, Parameters]) -> None:
        self._detectors = detectors
        self._parameters = parameters
        self._view: GatheredView | None = None
        self.baselines = Baselines()
        """What is usual for interfaces and for the network."""
        self.judge = verdicts
        """Judges a pane; whoever measures how long that takes puts something else in its place."""
        self.observe: Callable[[Closed], None] | None = None
        """Is shown each pane once it is judged; changes nothing."""

    def set(self, parameters: Mapping[str, Parameters]) -> None:
        """Judge by other parameters from now on, by kind."""
        self._parameters = parameters

    def close(self, pane: int, ask: Ask) -> list[Detection]:
        """Judge a pane that closes, and learn from it; each once, in their order, and before any part learns from it.

        Parameters
        ----------
        pane
            Its begin, epoch seconds.
        ask
            Asks all parts, each of which has prepared the pane.
        """
        self._view = view = GatheredView(pane, ask, self.baselines)
        found: list[Detection] = []
        for kind, parameters in self._parameters.items():
            found += self.judge(self._detectors[kind], view, parameters, view.hosts)
        if self.observe is not None:
            self.observe(Closed(view, view.hosts, self._parameters, found))
        self.baselines.learn(pane, view.spanning())
        self._view = None
        return found

    def known(self, keys: pl.Series) -> pl.DataFrame:
        """Say who hosts are that anything is kept of, while a pane is being judged.

        Raises
        ------
        RuntimeError
            When none is.
        """
        if self._view is None:
            raise RuntimeError("hosts are known to the parts, which can be asked only while a pane is judged")
        return self._view.known(keys)

    def changes(self, *, whole: bool = False) -> list[Change]:
        """Return what changed since the last call, to be stored; or all there is."""
        return list(self.baselines.changes(whole=whole))

    def restore(self, changes: Sequence[Change]) -> None:
        """Take up the state that `changes` returned, in a new judge."""
        self.baselines.restore(changes)
