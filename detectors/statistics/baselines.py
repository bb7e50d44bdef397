"""What is usual for hosts: learned from closed panes alone, over days, and not from an attack."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.state import Change, below, prefixed
from detectors.statistics import baseline_pieces
from detectors.statistics.column_baseline import ColumnBaseline
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.destinations import Destinations
from detectors.statistics.frames import frame
from detectors.statistics.peers import ENOUGH_WINDOWS, among, sampled
from detectors.statistics.recent import WIDTHS
from detectors.statistics.sizes import Size

HOSTS_PER_SHARD: Final = 8192
"""How many hosts of a shard are remembered: two millions in all 256."""

_DESTINATIONS: Final = "destinations"
BYTES_SENT: Final = "outbound_bytes"
"""The number beside which files keep destinations."""


class Baselines:
    """The past of one's own hosts, in every column that is learned.

    All follows from the panes in their order: no clock, no batches, no fractions are kept.

    Parameters
    ----------
    hosts_per_shard
        How many hosts a shard remembers in a column; beyond that, those go that were not seen for longest.

    Examples
    --------
    >>> key = pl.Series("key", [7], dtype=pl.UInt64)
    >>> baselines = Baselines()
    >>> for pane in range(0, 600, 60):
    ...     baselines.learn(pane, pl.DataFrame([key, pl.Series("internal", [True]), pl.Series("sent", [12])]))
    >>> baselines.baseline(600, "sent", key, 1).rows()
    [(12.0, 0.0, 10)]
    """

    def __init__(self, hosts_per_shard: int = HOSTS_PER_SHARD) -> None:
        self._hosts_per_shard = hosts_per_shard
        self._columns: dict[str, ColumnBaseline] = {}
        self._journals: dict[str, baseline_pieces.Journal] = {}
        self.destinations = Destinations()
        """Where own hosts have sent much before."""

    @property
    def hosts(self) -> int:
        """How many hosts are remembered, once for every column that they have a past in."""
        return sum(len(column.rows) for column in self._columns.values())

    @property
    def size(self) -> Size:
        """How much is kept: a row for each host and column."""
        return Size(self.hosts, self.nbytes)

    @property
    def evicted(self) -> int:
        """How many hosts had to go."""
        return sum(column.evicted for column in self._columns.values())

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.destinations.nbytes + sum(column.nbytes for column in self._columns.values())

    def learn(self, pane: int, hosts: pl.DataFrame) -> None:
        """Learn a pane that closes; those before it that are left out had nothing in them.

        Parameters
        ----------
        pane
            Its begin, epoch seconds, after all before it.
        hosts
            `key`, UInt64, each once; `internal`, Boolean; and a column of Int64, not negative, for each number.
            Hosts that are left out had nothing. Outside hosts are passed over.

        Raises
        ------
        ValueError
            When the pane, or one after it, was learned already.
        """
        keys, own = hosts["key"].to_numpy(), hosts["internal"].to_numpy()
        for name in hosts.columns:
            if name not in {"key", "internal"}:
                values = hosts[name].to_numpy()
                something = np.flatnonzero(own & (values > 0))
                self._column(name).learn(pane // PANE_SECONDS, keys[something], values[something])

    def baseline(self, pane: int, column: str, keys: pl.Series, panes: int, *, closing: bool = True) -> pl.DataFrame:
        """Say what is usual for hosts in a pane.

        Parameters
        ----------
        pane
            Its begin, epoch seconds, after all that were learned.
        column
            One of the numbers that are learned.
        keys
            Hosts, UInt64, shape (n,).
        panes
            Width of the windows, one of `WIDTHS`.
        closing
            Whether the pane is about to close; else panes before it may still be open, and nothing is concluded.

        Returns
        -------
        pl.DataFrame
            `median`, `spread` and `windows`, shape (n, 3), in the order of `keys`; see
            `detectors.contract.View.baseline`.

        Raises
        ------
        ValueError
            When the pane was learned already, or windows of that width are not learned.
        """
        if panes not in WIDTHS:
            raise ValueError(f"windows of {panes} panes are not learned; choose from {', '.join(map(str, WIDTHS))}")
        if column not in self._columns:
            return frame({"median": np.zeros(len(keys)), "spread": np.zeros(len(keys)), "windows": _no_windows(keys)})
        usual = self._columns[column].usual(pane // PANE_SECONDS, keys.to_numpy(), panes, closing=closing)
        return frame({"median": usual.median, "spread": usual.spread, "windows": usual.known.astype(np.uint32)})

    def among(self, pane: int, column: str, keys: pl.Series, panes: int, *, closing: bool = True) -> pl.DataFrame:
        """Say what is usual among all hosts in a pane, for those that have no past of their own.

        Parameters are those of `baseline`.

        Returns
        -------
        pl.DataFrame
            `own_windows` and `peers`, shape (n, 2), in the order of `keys`; see `detectors.contract.View.peers`.
        """
        if column not in self._columns:
            return frame({"own_windows": _no_windows(keys)}).with_columns(peers=pl.lit(None, pl.Float64))
        known = self._columns[column]
        own, usual = among(known, known.reached(pane // PANE_SECONDS, closing=closing), keys.to_numpy(), panes)
        return frame({"own_windows": own.astype(np.uint32)}).with_columns(peers=pl.lit(usual, pl.Float64))

    def sampled(self, pane: int, column: str, panes: int, *, closing: bool = True) -> pl.DataFrame:
        """Tell of the hosts that stand for all in a pane: `shard`, Int64, and `much`, Float64, see `peers.usual_of`.

        Parameters are those of `baseline`. Too short a past tells nothing.
        """
        if column in self._columns:
            known = self._columns[column]
            reached = known.reached(pane // PANE_SECONDS, closing=closing)
            windows = known.windows(reached, panes)
            if windows >= ENOUGH_WINDOWS:
                shards, much = sampled(known, reached, panes, windows)
                return frame({"shard": shards, "much": much})
        return frame({"shard": np.zeros(0, np.int64), "much": np.zeros(0)})

    def changes(self, *, whole: bool = False) -> Iterator[Change]:
        """Yield what changed since the last call, or since it was taken up, or all there is."""
        yield from prefixed(_DESTINATIONS, self.destinations.changes(whole=whole))
        for name, column in self._columns.items():
            if name in self._journals:
                yield from prefixed(name, self._journals[name].changes(whole=whole))
            else:
                # Nobody may ever ask, as when files are read; what changes is noted from the first time on.
                self._journals[name] = baseline_pieces.Journal(name, column)
                yield from prefixed(name, self._journals[name].changes(whole=True))

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the state that `changes` yielded.

        Raises
        ------
        detectors.statistics.baseline_pieces.BaselineError
            When it was written in a version that is not known, or makes no sense.
        """
        present = [change for change in changes if change.content is not None]
        self.destinations.restore(below(_DESTINATIONS, present))
        for name in sorted({change.name.partition("/")[0] for change in present} - {_DESTINATIONS}):
            self._journals[name] = baseline_pieces.Journal(name, self._column(name), below(name, present))

    def exported(self) -> pl.DataFrame:
        """Return what was learned over days: columns of `baseline_pieces.SHARD`, one row per column and shard."""
        frames = [pl.DataFrame(schema=baseline_pieces.SHARD)]
        for name, column in sorted(self._columns.items()):
            numbers = baseline_pieces.shards_in_use(column)
            if name != BYTES_SENT:
                frames.append(baseline_pieces.shards(name, column, numbers, timeless=True))
                continue
            numbers = np.union1d(numbers, np.array(self.destinations.shards, np.int64))
            rows = baseline_pieces.shards(name, column, numbers, timeless=True).iter_slices(1)
            frames += map(self._with_destinations, rows, numbers.tolist())
        return pl.concat(frames)

    def take(self, exported: pl.DataFrame) -> None:
        """Take up what was exported, in new baselines.

        The last hour is no part of it: what follows is learned as after a break, at any time.

        Raises
        ------
        detectors.statistics.baseline_pieces.BaselineError
            When it was written in a version that is not known, or makes no sense.
        """
        for row in exported.iter_slices(1):
            column = self._column(row["column"][0])
            present = baseline_pieces.take(column, row)
            self.destinations.count = max(self.destinations.count, present["destination_hours"][0])
            self.destinations.take(present["destinations"].explode(empty_as_null=False).struct.unnest())

    def _with_destinations(self, row: pl.DataFrame, number: int) -> pl.DataFrame:
        pairs = self.destinations.shard(number).to_struct()
        return row.with_columns(
            pl.Series("destinations", [pairs], baseline_pieces.SHARD["destinations"]),
            pl.lit(self.destinations.count, pl.Int32).alias("destination_hours"),
        )

    def _column(self, name: str) -> ColumnBaseline:
        if name not in self._columns:
            self._columns[name] = ColumnBaseline(self._hosts_per_shard)
        return self._columns[name]


def _no_windows(keys: pl.Series) -> npt.NDArray[np.uint32]:
    return np.zeros(len(keys), np.uint32)
