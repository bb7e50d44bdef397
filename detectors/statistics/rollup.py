"""Long windows: what closed panes leave behind in blocks of five minutes and of an hour."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.state import Change, below, prefixed
from detectors.statistics.contacts import CONTACTS, PANE_SECONDS
from detectors.statistics.conversations import CONVERSATIONS
from detectors.statistics.grouping import Groups, UInt64Array
from detectors.statistics.pane import Counted, Pane
from detectors.statistics.panes import Panes
from detectors.statistics.volumes import VOLUMES
from detectors.statistics.window import Window

SHORT_PANES: Final = 15
"""Windows of up to so many panes are summed from the panes themselves."""

TABLES: Final = frozenset({"pair", "service", "egress"})
"""The tables that long windows have: they count what failed, and what went out."""

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


class Rollup:
    """Failed contacts and volumes across the border of the network, by block; older panes need not be kept.

    Parameters
    ----------
    sums
        By name (`contacts`, `volumes`), what sums parts of each and keeps them within their caps.
    """

    def __init__(self, sums: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]) -> None:
        self._tiers = {tier: (Panes(CONTACTS, sums["contacts"]), Panes(VOLUMES, sums["volumes"])) for tier in TIERS}

    def add(self, begin: int, window: Window, volumes: Sequence[pl.DataFrame]) -> None:
        """Take up a block of five minutes whose panes, and the margin behind it, are closed.

        Parameters
        ----------
        begin
            Begin of the block, epoch seconds.
        window
            The panes of the block and its margin.
        volumes
            Volumes of the block's own panes.
        """
        vain = Groups(np.concatenate([_NONE, *(pane.contact[pane.failed] for pane in window.panes)])).keys
        contacts = window.contacts(_contact, vain)
        failed = (pl.col("answers") == 0) & ((pl.col("rejected") > 0) | ~pl.col("lasting"))
        own = (pl.col("last_seen") >= begin) & (pl.col("first_seen") < begin + BLOCK_SECONDS)
        contacts = contacts.filter(failed & own)
        crossing = pl.concat([VOLUMES.to_frame(), *volumes]).filter(
            pl.col("sender_internal") != pl.col("receiver_internal")
        )
        for tier, (failures, sent) in self._tiers.items():
            block = pl.lit(begin // tier.seconds * tier.seconds, pl.Int64).alias("pane")
            failures.add(contacts.with_columns(block))
            sent.add(crossing.with_columns(block))

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
        blocks = [each for each in range(first, end, tier.seconds) if each in failures or each in sent]
        nothing = CONVERSATIONS.to_frame()
        return Window(
            [
                Pane(each, Counted(failures.summed(each), sent.summed(each), nothing, nothing), tier.seconds)
                for each in blocks
            ],
            max(panes * PANE_SECONDS // tier.seconds, 1),
        )

    def drop_before(self, closed_until: int) -> None:
        """Forget the blocks that no window reaches any more."""
        for tier, stores in self._tiers.items():
            for store in stores:
                store.drop_before(closed_until - tier.kept_panes * PANE_SECONDS - tier.seconds)

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


_NONE: Final = np.zeros(0, np.uint64)


def _contact(pane: Pane) -> UInt64Array:
    return pane.contact
