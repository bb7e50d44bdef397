"""Guesses: connections to a service that are too many, and too much alike, to be anything else."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.contract import SCORES, Need, Parameters
from detectors.statistics import logins
from detectors.statistics.grouping import Groups, combined
from detectors.statistics.tables import EXAMPLES

Float64Array = npt.NDArray[np.float64]


class Rule(NamedTuple):
    """How many guesses are too many in a window, and in how many of its parts there must be some."""

    need: Need
    parameter: str
    parts: str | None = None


FOUND: Final = pl.Schema(
    {
        **SCORES,
        "severity": pl.String(),
        "window_panes": pl.Int64(),
        "port": pl.UInt16(),
        "sources": pl.Int64(),
        "targets": pl.Int64(),
        "example_hosts": pl.List(pl.UInt64()),
        "guesses": pl.Int64(),
        "sessions": pl.Int64(),
        "refused": pl.Int64(),
        "sent_bytes": pl.Int64(),
        "received_bytes": pl.Int64(),
    }
)

PAIR: Final = ("source_key", "target_key", "port")

ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    "one source": ("source_key", "port"),
    "one target": ("target_key", "port"),
    "one pair": PAIR,
}
"""What attempts are counted by; the first that tells of them tells alone."""

NOTHING: Final = FOUND.to_frame()


class Guesses:
    """The logins of one window that may be guessing.

    Parameters
    ----------
    table
        The logins.
    parameters
        The detector's.
    """

    def __init__(self, table: pl.DataFrame, parameters: Parameters) -> None:
        self._table = table
        self._parameters = parameters

    def without(self, hits: pl.DataFrame, by: str) -> "Guesses":
        """Leave out what is told."""
        return Guesses(self._table.join(hits, on=list(ENDS[by]), how="anti"), self._parameters)

    def over(self, rule: Rule, by: str, parameters: Parameters) -> pl.DataFrame:
        """Return the columns of `FOUND` where there are too many attempts that are alike."""
        table = self._active(by)
        guesses = table["guesses"].to_numpy()
        # A row is a pair.
        most = guesses.max(initial=0) if by == "one pair" else guesses.sum()
        if most < parameters.least(rule.parameter):
            return NOTHING
        groups = Groups(combined(*(table[name].to_numpy() for name in ENDS[by])))
        total = groups.sum(guesses)
        if total.max() < parameters.least(rule.parameter):
            return NOTHING
        entities = table["target_key" if by == "one target" else "source_key"].gather(groups.some)

        def needed(name: str) -> Float64Array:
            return parameters.column(name, entities).to_numpy()

        programs = groups.max(table["programs"].to_numpy())
        most, hosts = groups.max(guesses), groups.sum((guesses > 0).astype(np.int64))
        threshold = needed(rule.parameter) * np.where(programs, needed("elsewhere_factor"), 1)
        hit = (total >= threshold) & (total > 0)
        if rule.parts is not None:
            hit &= ~programs & (groups.max(table["active"].to_numpy()) >= needed(rule.parts))
        if by == "one source":
            hit &= hosts >= needed("targets")
        elif by == "one target":
            hit &= (hosts >= needed("sources")) & (2 * most <= total)
        if not hit.any():
            return NOTHING
        sessions = groups.sum(table["sessions"].to_numpy())
        unlike = logins.spread(total, *(groups.sum(table[name].to_numpy()) for name in ("sizes", "squares")))
        hit &= (total >= needed("share") * (total + sessions)) & (
            unlike <= np.where(programs, needed("spread_elsewhere"), needed("spread"))
        )
        columns = {"contact": table["contact"].to_numpy()[groups.some], "threshold": threshold}
        return self._told(rule, by, pl.DataFrame(columns).filter(pl.Series(hit)))

    def _active(self, by: str) -> pl.DataFrame:
        """Leave out the ends that have nothing to do with an attempt now: not all of what they did is known here."""
        end = {"one source": "source_active", "one target": "target_active"}.get(by)
        return self._table if end is None else self._table.filter(pl.col(end))

    def _told(self, rule: Rule, by: str, hits: pl.DataFrame) -> pl.DataFrame:
        """Bring together what is told of hits, each named by one of its contacts."""
        if hits.is_empty():
            return NOTHING
        ends = list(ENDS[by])
        named = hits.join(self._table.select("contact", *ends), on="contact").drop("contact")
        many = {"one source": "target_key", "one target": "source_key"}.get(by)
        told = (
            self._table.join(named, on=ends)
            .group_by(ends)
            .agg(
                pl.col("threshold").first(),
                pl.col("guesses", "sessions", "refused", "sent_bytes", "received_bytes").sum(),
                pl.col("source_internal", "target_internal").filter(pl.col("guesses") > 0).min(),
                pl.col("first_seen").filter(pl.col("guesses") > 0).min(),
                pl.col("last_seen").filter(pl.col("guesses") > 0).max(),
                sources=pl.col("source_key").filter(pl.col("guesses") > 0).n_unique().cast(pl.Int64),
                targets=pl.col("target_key").filter(pl.col("guesses") > 0).n_unique().cast(pl.Int64),
                example_hosts=pl.col(many or "target_key").filter(pl.col("guesses") > 0).unique().bottom_k(EXAMPLES),
            )
            .with_columns(
                pl.col("guesses").cast(pl.Float64).alias("value"), window_panes=pl.lit(rule.need.panes, pl.Int64)
            )
        )
        return complete(told if many is not None else told.drop("example_hosts"))


def complete(hits: pl.DataFrame) -> pl.DataFrame:
    """Bring hits into the columns of `FOUND`; what is missing is null."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in FOUND.items() if name not in hits.columns]
    return hits.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in FOUND.items())
