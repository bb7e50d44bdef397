"""Refusals: what security groups and network ACLs refused, by whom it was told, at which port and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.addresses import mix
from detectors.state import Change
from detectors.statistics import contacts
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.grouping import Groups, UInt64Array, combined, rows_of
from detectors.statistics.panes import Panes
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

TARGET, SOURCE, INTERFACE, NETWORK = range(4)
"""Whom refusals are summed for: the values of the column `level`."""

SUMS: Final = pl.Schema({"level": pl.UInt8(), "key": pl.UInt64(), "internal": pl.Boolean(), "rejected": pl.Int64()})
"""Columns of the table `refused`: one row per entity at which, or of which, something was refused."""

LEARNED: Final = {
    "rejected": (TARGET,),
    "refusals_met": (SOURCE,),
    "rejected_together": (INTERFACE, NETWORK),
}
"""What baselines learn of refusals: the levels in each of their columns."""

COLUMN: Final = {level: column for column, levels in LEARNED.items() for level in levels}
"""In which column of the baselines each level is."""

NETWORK_KEY: Final = 0x6E_65_74_77_6F_72_6B_00
"""Stands for the network beside the keys of interfaces."""

TABLES: Final = ("refused", "refusal")
"""The tables that detectors read."""


def fold(flows: pl.DataFrame) -> pl.DataFrame:
    """Fold refused requests into refusals. Refused answers are nobody's requests, and do not count.

    Parameters
    ----------
    flows
        Rows of a record table that tell of flows, with `reject_reason` where it was logged.

    Returns
    -------
    pl.DataFrame
        Columns of `REFUSALS`, in no particular order.
    """
    rejected = np.flatnonzero(contacts.refused(flows))
    if not len(rejected):
        return REFUSALS.to_frame()
    told = flows[rejected]
    flags = told["tcp_flags"].fill_null(0).to_numpy()
    ports = told["source_port"].to_numpy(), told["destination_port"].to_numpy()
    asked = told.filter(pl.Series(~contacts.answering(*ports, flags) & contacts.counting(flags)))
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


def sums(refusals: pl.DataFrame) -> pl.DataFrame:
    """Sum refusals for every target, source and interface, and for the network: columns of `SUMS`.

    Parameters
    ----------
    refusals
        What `counted_once` returned.
    """
    rejected = refusals["rejected"].to_numpy()
    parts = [SUMS.to_frame()]
    for level, (key, internal) in _ENTITIES.items():
        groups = Groups(refusals[key].to_numpy())
        inside = np.ones(len(groups), np.bool_) if internal is None else groups.max(refusals[internal].to_numpy())
        parts.append(_part(level, groups.keys, inside, groups.sum(rejected)))
    if len(rejected):
        parts.append(
            _part(NETWORK, np.array([NETWORK_KEY], np.uint64), np.ones(1, np.bool_), np.array([rejected.sum()]))
        )
    # Where no interface was logged there is none to speak of.
    return pl.concat(parts).filter((pl.col("level") != INTERFACE) | (pl.col("key") != 0))


def learned(hosts: pl.DataFrame, summed: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield what baselines learn of a pane that closes.

    Parameters
    ----------
    hosts
        Its table `host`, of which what was refused is left out: it is counted by every report.
    summed
        What `sums` returned.
    """
    yield hosts.drop("rejected")
    for column, levels in LEARNED.items():
        chosen = summed.filter(pl.col("level").is_in(levels))
        yield chosen.select("key", "internal", pl.col("rejected").alias(column))


class Refusals:
    """Refusals by pane, and the tables that detectors read of them.

    Parameters
    ----------
    merge
        Sums parts of them and keeps them within their caps.
    """

    def __init__(self, merge: Callable[[pl.DataFrame], pl.DataFrame] = merged) -> None:
        self.refusals = Panes(REFUSALS, merge)
        self._known: tuple[tuple[int, int], pl.DataFrame, pl.DataFrame] | None = None

    def add(self, flows: pl.DataFrame) -> None:
        """Count records."""
        self._known = None
        self.refusals.add(fold(flows))

    def table(self, name: str, pane: int, panes: int, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return one of `TABLES` over the last `panes` panes up to and with one.

        `refused` has the columns of `SUMS`. `refusal` has those of `counted_once`, and `most`: the largest of the sums
        of a row's target, source and interface.

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
        table = summed if name == "refused" else rows.with_columns(pl.Series("most", _most(rows, summed)))
        return table if column is None else table.filter(pl.col(column) >= least)

    def drop_before(self, begin: int) -> None:
        """Forget the panes before a time, epoch seconds."""
        self._known = None
        self.refusals.drop_before(begin)

    def changes(self, *, whole: bool) -> Iterator[Change]:
        """Yield what changed since the last call, or all there is."""
        return self.refusals.changes(whole=whole)

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up what `changes` yielded."""
        self._known = None
        self.refusals.restore(changes)

    def _window(self, pane: int, panes: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        asked = pane, panes
        if self._known is None or self._known[0] != asked:
            first = pane - (panes - 1) * PANE_SECONDS
            parts = [
                self.refusals.summed(each)
                for each in range(first, pane + PANE_SECONDS, PANE_SECONDS)
                if each in self.refusals
            ]
            rows = counted_once(_over_panes(parts))
            self._known = asked, rows, sums(rows)
        return self._known[1:]


def _over_panes(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if len(parts) < 2:
        return parts[0] if parts else REFUSALS.to_frame()
    together = pl.concat(parts)
    return merged(together.with_columns(pl.col("pane").max()))


_ENTITIES: Final = {
    TARGET: ("target_key", "target_internal"),
    SOURCE: ("source_key", "source_internal"),
    INTERFACE: ("interface_key", None),
}
"""Key of the entity at each level, and the column that says whether it is one's own."""

KEY_OF: Final = {level: key for level, (key, _) in _ENTITIES.items()}


def _most(rows: pl.DataFrame, summed: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the largest of the sums that each row is part of, shape (rows,)."""
    most = np.zeros(len(rows), np.int64)
    for level, key in KEY_OF.items():
        own = summed.filter(pl.col("level") == level).sort("key")
        places, found = rows_of(own["key"].to_numpy(), rows[key].to_numpy())
        if len(own):
            most = np.maximum(most, np.where(found, own["rejected"].to_numpy()[places], 0))
    return most


def _part(
    level: int, keys: UInt64Array, internal: npt.NDArray[np.bool_], rejected: npt.NDArray[np.int64]
) -> pl.DataFrame:
    levels = np.full(len(keys), level, np.uint8)
    columns = {"level": levels, "key": keys, "internal": internal, "rejected": rejected}
    return pl.DataFrame(columns, schema=SUMS)


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
