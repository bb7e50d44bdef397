"""Long windows: what closed panes leave behind in blocks of five minutes and of an hour."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.state import Change, below, prefixed
from detectors.statistics import tables
from detectors.statistics.contacts import CONTACTS, PANE_SECONDS
from detectors.statistics.conversations import CONVERSATIONS
from detectors.statistics.directory import HOSTS
from detectors.statistics.frames import among
from detectors.statistics.grouping import Groups, UInt64Array, combined, rows_of
from detectors.statistics.pane import Counted, Egress, Pane
from detectors.statistics.panes import Panes
from detectors.statistics.sizes import Size
from detectors.statistics.volumes import VOLUMES
from detectors.statistics.window import Counts, Window

_Keys = Callable[[Pane], UInt64Array]

SHORT_PANES: Final = 15
"""Windows of up to so many panes are summed from the panes themselves."""

TABLES: Final = frozenset({"pair", "service", "scanner", "egress", "outflow"})
"""The tables that long windows have: they count what failed, and what went out."""

LEAST_BYTES: Final = 50_000
"""What a host sends a peer within five minutes at least, to be kept for long: a leak of 15 MB a day sends so much."""

ANSWERED_PER_FAILED: Final = 4
"""A source that on some port found so many more hosts that answered than that failed is busy there, not searching."""

MARGIN_PANES: Final = 1
"""Panes before and behind a block in which an answer still makes an attempt of the block a success."""


class Tier(NamedTuple):
    """Blocks of one width.

    Attributes
    ----------
    seconds
        Width of a block.
    kept_panes
        Width of the widest window that is summed from them.
    """

    seconds: int
    kept_panes: int


TIERS: Final = (Tier(300, 60), Tier(3600, 1440))
"""Ascending."""

BLOCK_SECONDS: Final = TIERS[0].seconds
HOUR_SECONDS: Final = TIERS[1].seconds


class Rollup:
    """Failed contacts and volumes across the border of the network, by block; older panes need not be kept.

    Parameters
    ----------
    sums
        By name (`contacts`, `volumes`, `directory`), what sums parts of each and keeps them within their caps.
    egress
        Whether volumes are kept: only where somebody reads them.
    least_bytes
        What a host sends a peer within a block of five minutes at least, for it to be kept what they exchanged in
        it: hosts have many peers, and send most of them little.
    """

    def __init__(
        self,
        sums: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]],
        *,
        egress: bool = True,
        least_bytes: int = LEAST_BYTES,
    ) -> None:
        self._egress = egress
        self._least_bytes = least_bytes
        self._tiers = {tier: (Panes(CONTACTS, sums["contacts"]), Panes(VOLUMES, sums["volumes"])) for tier in TIERS}
        self._names = Panes(HOSTS, sums["directory"])
        self._blocks: dict[tuple[int, int], Pane] = {}
        self._windows: dict[int, Window] = {}
        self._earlier: dict[Tier, tuple[list[Pane], dict[_Keys, Counts]]] = {}

    @property
    def size(self) -> Size:
        """How much is kept."""
        return Size.total(
            panes.size for panes in (self._names, *(each for tier in self._tiers.values() for each in tier))
        )

    def add(self, begin: int, window: Window, known: pl.DataFrame) -> None:
        """Take up a block of five minutes whose panes, and the margin behind it, are closed.

        Parameters
        ----------
        begin
            Begin of the block, epoch seconds.
        window
            The panes of the block and its margin.
        known
            Who the hosts in them are, columns of `detectors.statistics.directory.HOSTS`.
        """
        contacts = _failures(window)
        own = (pl.col("last_seen") >= begin) & (pl.col("first_seen") < begin + BLOCK_SECONDS)
        contacts = contacts.filter(own)
        crossing = self._crossing(begin, window) if self._egress else _NO_VOLUMES
        ends = [contacts[name].to_numpy() for name in ("source_key", "target_key")]
        ends += [crossing[name].to_numpy() for name in ("sender_key", "receiver_key")]
        named = known.filter(pl.Series(rows_of(Groups(np.concatenate(ends)).keys, known["key"].to_numpy())[1]))
        widest = begin // TIERS[-1].seconds * TIERS[-1].seconds
        self._names.add(named.with_columns(pane=pl.lit(widest, pl.Int64)))
        for tier, (failures, sent) in self._tiers.items():
            block = begin // tier.seconds * tier.seconds
            failures.add(contacts.with_columns(pane=pl.lit(block, pl.Int64)))
            if self._egress:
                sent.add(crossing.with_columns(pane=pl.lit(block, pl.Int64)))
            self._blocks.pop((tier.seconds, block), None)

    def _crossing(self, begin: int, window: Window) -> pl.DataFrame:
        """Return the volumes between own hosts and the peers that they sent enough within a block."""
        panes = [pane for pane in window.panes if begin <= pane.begin < begin + BLOCK_SECONDS]
        block = Window(panes, BLOCK_SECONDS // PANE_SECONDS).egress(self._least_bytes)
        wanted = Groups(combined(block["source_key"].to_numpy(), block["target_key"].to_numpy())).keys
        parts = [_NO_VOLUMES]
        for pane in panes:
            ends = {end: pane.volumes[f"{end}_key"].to_numpy() for end in ("sender", "receiver")}
            for own, other in (("sender", "receiver"), ("receiver", "sender")):
                inside = pane.volumes[f"{own}_internal"].to_numpy()
                asked = rows_of(wanted, combined(ends[own], ends[other]))[1]
                parts.append(pane.volumes[np.flatnonzero(asked & inside)])
        return pl.concat(parts)

    def hour(self, begin: int) -> Egress:
        """Return what own hosts exchanged with outside peers in an hour, epoch seconds, as far as it is kept."""
        return self._block(TIERS[-1], begin).egress

    def window(self, pane: int, panes: int) -> Window:
        """Return a window of blocks that reaches back no more than `panes` panes from the end of one.

        Raises
        ------
        ValueError
            When nothing is kept for so long.
        """
        tier = next((tier for tier in TIERS if panes <= tier.kept_panes), None)
        if tier is None:
            raise ValueError(f"a window of {panes} panes is wider than what is kept, {TIERS[-1].kept_panes} panes")
        end = pane + PANE_SECONDS
        first = -(-(end - panes * PANE_SECONDS) // tier.seconds) * tier.seconds
        failures, sent = self._tiers[tier]
        blocks = [
            self._block(tier, each) for each in range(first, end, tier.seconds) if each in failures or each in sent
        ]
        known = self._windows.get(panes)
        if known is None or known.panes != blocks:
            known = Window(blocks, max(panes * PANE_SECONDS // tier.seconds, 1), earlier=self._counts(tier, blocks))
            self._windows[panes] = known
        return known

    def names(self, keys: UInt64Array) -> pl.DataFrame:
        """Say who hosts, ascending, are that failed, were tried in vain, or exchanged much; columns of `HOSTS`."""
        listed = (self._names.summed(pane) for pane in self._names.panes)
        named = (among(each, each["key"].to_numpy(), keys) for each in listed)
        return pl.concat([_NO_HOSTS, *named])

    def _block(self, tier: Tier, begin: int) -> Pane:
        """Work out the statistics of a block once, until something is added to it."""
        of = tier.seconds, begin
        if of not in self._blocks:
            failures, sent = self._tiers[tier]
            counted = Counted(failures.summed(begin), sent.summed(begin), _NO_CONVERSATIONS, _NO_CONVERSATIONS)
            self._blocks[of] = Pane(begin, counted, tier.seconds)
        return self._blocks[of]

    def _counts(self, tier: Tier, blocks: Sequence[Pane]) -> "dict[_Keys, Counts]":
        """Return what is remembered of all blocks but the last one, which alone is still added to."""
        earlier = list(blocks[:-1])
        known, counts = self._earlier.get(tier, ([], {}))
        if known != earlier:
            counts = {}
            self._earlier[tier] = earlier, counts
        return counts

    def drop_before(self, closed_until: int) -> None:
        """Forget the blocks that no window reaches any more."""
        for tier, stores in self._tiers.items():
            for store in stores:
                store.drop_before(closed_until - tier.kept_panes * PANE_SECONDS - tier.seconds)
        self._names.drop_before(closed_until - TIERS[-1].kept_panes * PANE_SECONDS - TIERS[-1].seconds)
        oldest = closed_until - max(tier.kept_panes * PANE_SECONDS + tier.seconds for tier in TIERS)
        self._blocks = {of: block for of, block in self._blocks.items() if block.begin >= oldest}

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        for name, store in self._named():
            yield from prefixed(name, store.changes(whole=whole))

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up what `changes` yielded."""
        known = list(changes)
        for name, store in self._named():
            store.restore(below(name, known))

    def _named(self) -> Iterator[tuple[str, Panes]]:
        for tier, (failures, sent) in self._tiers.items():
            yield f"{tier.seconds}/contacts", failures
            yield f"{tier.seconds}/volumes", sent
        yield "names", self._names


_NONE: Final = np.zeros(0, np.uint64)
_NO_VOLUMES: Final = VOLUMES.to_frame()
_NO_HOSTS: Final = HOSTS.to_frame()
_NO_CONVERSATIONS: Final = CONVERSATIONS.to_frame()


def _failures(window: Window) -> pl.DataFrame:
    """Return the contacts that failed, but for those of sources that are busy on the port and mostly find answers."""
    vain = Groups(np.concatenate([_NONE, *(pane.service[pane.failed] for pane in window.panes)])).keys
    busy = ANSWERED_PER_FAILED * pl.col("failed").sum() < (pl.col("answers") > 0).sum()
    tried = tables.contact(window.contacts(_service, vain))
    return tried.filter(pl.col("failed") & ~busy.over("source_key", "port")).drop("failed")


def _service(pane: Pane) -> UInt64Array:
    return pane.service
