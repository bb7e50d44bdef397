"""Sums of refusals: how much was refused for every target, source and interface, and for the network."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.route import Part
from detectors.statistics.frames import frame
from detectors.statistics.grouping import Groups, Int64Array, UInt64Array, rows_of

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

_ENTITIES: Final = {
    TARGET: ("target_key", "target_internal"),
    SOURCE: ("source_key", "source_internal"),
    INTERFACE: ("interface_key", None),
}
"""Key of the entity at each level, and the column that says whether it is one's own."""

KEY_OF: Final = {level: key for level, (key, _) in _ENTITIES.items()}


class Sums(NamedTuple):
    """How much was refused, for every target, source and interface, and for the network; each of shape (entities,)."""

    level: npt.NDArray[np.uint8]
    key: UInt64Array
    internal: npt.NDArray[np.bool_]
    rejected: Int64Array

    @classmethod
    def of(cls, table: pl.DataFrame) -> "Sums":
        """Take them from a table with the columns of `SUMS`, in ascending order of level and key."""
        return cls(*(table[name].to_numpy() for name in SUMS))

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Sums":
        """Return some of them."""
        return Sums(self.level[chosen], self.key[chosen], self.internal[chosen], self.rejected[chosen])

    def table(self) -> pl.DataFrame:
        """Return them as a table with the columns of `SUMS`."""
        return frame(self._asdict())


def sums(refusals: pl.DataFrame, part: Part | None = None) -> Sums:
    """Sum refusals for everybody, in ascending order of level and key.

    Parameters
    ----------
    refusals
        What `detectors.statistics.refusals.counted_once` returned.
    part
        Whose hosts alone are told of, and of interfaces and the network what was refused at these hosts; else all.
    """
    parts = []
    at_hosts = of_part(refusals, TARGET, part)
    for level, (key, internal) in _ENTITIES.items():
        own = at_hosts if level != SOURCE else of_part(refusals, SOURCE, part)
        rejected, groups = own["rejected"].to_numpy(), Groups(own[key].to_numpy())
        inside = np.ones(len(groups), np.bool_) if internal is None else groups.max(own[internal].to_numpy())
        # Where no interface was logged there is none to speak of.
        kept = (groups.keys != 0) | (level != INTERFACE)
        parts.append(Sums(np.full(len(groups), level, np.uint8), groups.keys, inside, groups.sum(rejected)).where(kept))
    rejected = at_hosts["rejected"].to_numpy()
    total = np.array([rejected.sum()]) if len(rejected) else rejected[:0]
    network = np.full(len(total), NETWORK, np.uint8), np.full(len(total), NETWORK_KEY, np.uint64)
    parts.append(Sums(*network, np.ones(len(total), np.bool_), total))
    return Sums(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def of_part(refusals: pl.DataFrame, level: int, part: Part | None) -> pl.DataFrame:
    """Return the refusals of which the target, or the source, lies in a part."""
    return refusals if part is None else refusals.filter(pl.Series(part.holds(refusals[KEY_OF[level]].to_numpy())))


def together(several: Sequence[pl.DataFrame], least: float = 0) -> pl.DataFrame:
    """Put together what parts tell of their hosts, columns of `SUMS`; what they tell of interfaces is summed.

    Parameters
    ----------
    several
        The table `refused` of each part, without what is less in the sum.
    least
        Only entities of which so much was refused.
    """
    return (
        pl.concat(several)
        .group_by("level", "key")
        .agg(pl.col("internal").max(), pl.col("rejected").sum())
        .filter(pl.col("rejected") >= least)
        .sort("level", "key")
    )


def learned(hosts: pl.DataFrame, summed: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield what baselines learn of a pane that closes.

    Parameters
    ----------
    hosts
        Its table `host`, of which what was refused is left out: it is counted by every report.
    summed
        Its table `refused`.
    """
    yield hosts.drop("rejected")
    level, key, internal, rejected = (summed[name].to_numpy() for name in SUMS)
    for column, levels in LEARNED.items():
        begin, end = np.searchsorted(level, (levels[0], levels[-1] + 1))
        own = {"key": key[begin:end], "internal": internal[begin:end], column: rejected[begin:end]}
        yield frame(own)


def with_most(rows: pl.DataFrame, summed: Sums) -> pl.DataFrame:
    """Add `most` to refusals: the largest of the sums of a row's target, source and interface."""
    most = np.zeros(len(rows), np.int64)
    for level, key in KEY_OF.items():
        own = summed.where(summed.level == level)
        places, found = rows_of(own.key, rows[key].to_numpy())
        if len(own.key):
            most = np.maximum(most, np.where(found, own.rejected[places], 0))
    return rows.with_columns(pl.Series("most", most))
