"""Refusals: what security groups and network ACLs refused, by whom it was told, at which port and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from detectors.addresses import mix
from detectors.route import Part
from detectors.state import Change
from detectors.statistics import contacts
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, UInt64Array, combined, rows_of
from detectors.statistics.panes import Panes
from detectors.statistics.refusal_sums import TARGET, Sums, of_part, sums, with_most
from detectors.statistics.sizes import Size
from detectors.statistics.volumes import SENDER, reporters

REFUSALS: Final = pl.Schema(
    {
        "pane": pl.Int64(),
        "contact": pl.UInt64(),
        "source_key": pl.UInt64(),
        "target_key": pl.UInt64(),
        "port": pl.UInt16(),
        "protocol": pl.UInt8(),
        "source_internal": pl.Boolean(),
        "target_internal": pl.Boolean(),
        "by_source": pl.Boolean(),
        "interface_id": pl.String(),
        "reason": pl.String(),
        "rejected": pl.Int64(),
        "first_seen": pl.Int64(),
        "last_seen": pl.Int64(),
    }
)
"""One row per pane, contact, interface that told of it and reason; both texts are empty where they were not logged.

`rejected` counts refused requests, and `by_source` says that the interface is the one of the source.
"""

TABLES: Final = ("refused", "refusal")
"""The tables that detectors read."""


_READ: Final = (
    *("source_key", "destination_key", "source_port", "destination_port", "protocol", "source_internal"),
    *("destination_internal", "tcp_flags", "direction", "interface_id", "weight", "start", "end"),
)
"""Columns of the record table that refusals are made from."""


def refused(flows: pl.DataFrame) -> pl.DataFrame:
    """Return the records that were refused, with the columns that `fold` reads.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows, with `reject_reason` where it was logged.
    """
    rejected = np.flatnonzero(contacts.refused(flows))
    if not len(rejected):
        return flows.clear()
    reason = ["reject_reason"] if "reject_reason" in flows.columns else []
    return flows.select(*_READ, *reason)[rejected]


def fold(rejected: pl.DataFrame) -> pl.DataFrame:
    """Fold refused requests into refusals. Refused answers are nobody's requests, and do not count.

    Parameters
    ----------
    rejected
        What `refused` returned.

    Returns
    -------
    pl.DataFrame
        Columns of `REFUSALS`, in no particular order.
    """
    if rejected.is_empty():
        return REFUSALS.to_frame()
    flags = rejected["tcp_flags"].fill_null(0).to_numpy()
    ports = rejected["source_port"].to_numpy(), rejected["destination_port"].to_numpy()
    asked = rejected.filter(pl.Series(~contacts.answering(*ports, flags) & contacts.counting(flags)))
    ends = asked["source_key"].to_numpy(), asked["destination_key"].to_numpy()
    service = asked["destination_port"].to_numpy(), asked["protocol"].to_numpy()
    reason = pl.col("reject_reason").fill_null("") if "reject_reason" in asked.columns else pl.lit("")
    return merged(
        asked.select(
            pane=pl.col("end") // PANE_SECONDS * PANE_SECONDS,
            contact=pl.Series(contacts.contact_keys(*ends, *service), dtype=pl.UInt64),
            source_key="source_key",
            target_key="destination_key",
            port="destination_port",
            protocol="protocol",
            source_internal="source_internal",
            target_internal="destination_internal",
            by_source=pl.Series(reporters(asked) == SENDER, dtype=pl.Boolean),
            # Copied: as they come, texts are views that would keep the text of a whole batch.
            interface_id=pl.concat_str(pl.col("interface_id").fill_null(""), pl.lit("")),
            reason=pl.concat_str(reason, pl.lit("")),
            rejected=pl.col("weight").cast(pl.Int64),
            first_seen="start",
            last_seen="end",
        )
    )


def merged(refusals: pl.DataFrame) -> pl.DataFrame:
    """Sum refusals that came in parts; panes stay apart.

    Returns
    -------
    pl.DataFrame
        Columns of `REFUSALS`, in no particular order.
    """
    # Hashes of texts are those of this process, so they only bring together what is in memory.
    texts = [refusals[name].hash().to_numpy() for name in ("interface_id", "reason")]
    same = [refusals[name].to_numpy() for name in ("contact", "pane", "by_source")]
    groups = Groups(combined(*same, *texts))
    if len(groups) == len(refusals):
        return refusals.select(REFUSALS.names())
    return (
        refusals[groups.some]
        .with_columns(
            pl.Series("rejected", groups.sum(refusals["rejected"].to_numpy())),
            pl.Series("first_seen", groups.min(refusals["first_seen"].to_numpy())),
            pl.Series("last_seen", groups.max(refusals["last_seen"].to_numpy())),
        )
        .select(REFUSALS.names())
    )


def counted_once(refusals: pl.DataFrame) -> pl.DataFrame:
    """Leave out what the source's interface told of a contact that the target's own told of too.

    Returns
    -------
    pl.DataFrame
        Columns of `REFUSALS` and `interface_key`, the same in every process, 0 where no interface was logged.
    """
    contact, by_source = refusals["contact"].to_numpy(), refusals["by_source"].to_numpy()
    if by_source.any():
        told_by_target = Groups(contact[~by_source]).keys
        refusals = refusals.filter(pl.Series(~by_source | ~rows_of(told_by_target, contact)[1]))
    return refusals.with_columns(pl.Series("interface_key", _keys_of(refusals["interface_id"])))


_MOST_WAITING: Final = 32
"""Batches of which refused records wait to be folded together: they are few, and folding them costs the same."""


class Refusals:
    """Refusals by pane, and the tables that detectors read of them.

    Parameters
    ----------
    merge
        Sums parts of them and keeps them within their caps.
    part
        Whose hosts alone the tables tell of; None for all.
    """

    def __init__(self, merge: Callable[[pl.DataFrame], pl.DataFrame] = merged, part: Part | None = None) -> None:
        self._part = part
        self._refusals = Panes(REFUSALS, merge)
        self._waiting: list[pl.DataFrame] = []
        self._known: tuple[tuple[int, int], pl.DataFrame, Sums] | None = None

    @property
    def size(self) -> Size:
        """How much is kept."""
        return self._refusals.size

    def add(self, flows: pl.DataFrame) -> None:
        """Count records."""
        rejected = refused(flows)
        if len(rejected):
            self._waiting.append(rejected)
        if len(self._waiting) >= _MOST_WAITING:
            self._fold()

    def table(self, name: str, pane: int, panes: int, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return one of `TABLES` over the last `panes` panes up to and with one.

        `refused` has the columns of `detectors.statistics.refusal_sums.SUMS`, in ascending order of level and key.
        `refusal` has those of `counted_once`, and `most`: the largest of the sums of a row's target, source and
        interface.

        Parameters
        ----------
        name
            The table.
        pane, panes
            Begin of the pane, epoch seconds, and the width of the window.
        column, least
            Only rows where this column reaches this number.
        """
        rows, summed = self._window(pane, panes)
        if name == "refused" and column == "rejected":
            return summed.where(summed.rejected >= least).table()
        table = summed.table() if name == "refused" else with_most(of_part(rows, TARGET, self._part), summed)
        return table if column is None else table.filter(pl.col(column) >= least)

    def drop_before(self, begin: int) -> None:
        """Forget the panes before a time, epoch seconds."""
        # What waits was accepted just now, so it is newer.
        self._refusals.drop_before(begin)
        self._known = None

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        self._fold()
        return self._refusals.changes(whole=whole)

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up what `changes` yielded, in new refusals."""
        self._refusals.restore(changes)

    def _fold(self) -> None:
        if self._waiting:
            self._refusals.add(fold(pl.concat(self._waiting, how="diagonal")))
            self._waiting.clear()
            self._known = None

    def _window(self, pane: int, panes: int) -> tuple[pl.DataFrame, Sums]:
        self._fold()
        asked = pane, panes
        if self._known is None or self._known[0] != asked:
            first = pane - (panes - 1) * PANE_SECONDS
            held = [each for each in range(first, pane + PANE_SECONDS, PANE_SECONDS) if each in self._refusals]
            rows = counted_once(_over_panes([self._refusals.summed(each) for each in held], pane))
            self._known = asked, rows, sums(rows, self._part)
        return self._known[1:]


def _over_panes(parts: Sequence[pl.DataFrame], pane: int) -> pl.DataFrame:
    """Sum several panes as if all were in the last one."""
    together = pl.concat([REFUSALS.to_frame(), *parts]).with_columns(pl.lit(pane, pl.Int64).alias("pane"))
    return together if len(parts) < 2 else merged(together)


def _keys_of(names: pl.Series) -> UInt64Array:
    """Hash names, shape (n,): each different one once."""
    if not len(names):
        return np.zeros(0, np.uint64)
    _, some, places = np.unique(names.hash().to_numpy(), return_index=True, return_inverse=True)
    return text_keys(names[some])[places]


_WORD: Final = 8
"""Bytes of a number."""


def text_keys(names: pl.Series) -> UInt64Array:
    """Hash texts to 64 bits, the same in every process, for ever; the empty text is 0.

    Parameters
    ----------
    names
        Texts, without nulls, shape (n,).

    Examples
    --------
    >>> first, second, nothing = text_keys(pl.Series(["eni-1", "eni-0123456789abcdef0", ""]))
    >>> first == text_keys(pl.Series(["eni-1"]))[0], first == second, int(nothing)
    (np.True_, np.False_, 0)
    """
    encoded = np.array(names.cast(pl.Binary).to_list(), dtype=np.bytes_)
    width = -(-encoded.dtype.itemsize // _WORD)
    words = encoded.astype(f"S{width * _WORD}").view("<u8").reshape(len(encoded), width)
    keys = np.zeros(len(encoded), np.uint64)
    for word in words.T:
        # What a text is padded with depends on the others.
        keys = np.where(word == 0, keys, mix(mix(keys) + word))
    return keys
