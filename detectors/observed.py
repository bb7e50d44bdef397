"""What a detector makes of one attack in one pane, also where that stays below its threshold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from detectors.addresses import halves, host_key, scope_salt
from detectors.contract import SCORES, Card, Detector, Need, Parameters, View
from detectors.finding import Detection
from detectors.scaled import LoweredParameters, RememberedView, thresholds

_SHARES: Final = (0.125, 0.25, 0.5)
"""What comes to less than the first of these parts of its threshold is not told."""

_NARROW: Final = 1e-6
"""So little above and below a share tells whether that is where a detector turns."""

_HALVINGS: Final = 8
"""What finds a share within a two hundredth, where nothing else does."""

_ROWS: Final = 5
"""How many rows of a table are told where an attack has many."""

_ENDS: Final = ("source_key", "target_key")


class Rows(NamedTuple):
    """Rows of a statistic, the largest ones, and how many there are in all."""

    need: Need
    rows: list[dict[str, Any]]
    in_all: int


class Ends(NamedTuple):
    """The keys of both hosts of an attack; null where they are many."""

    source_key: int | None
    target_key: int | None

    @classmethod
    def of(cls, detection: Detection) -> "Ends":
        """Work out the keys of a detection's hosts.

        Where both ends bear the same address, the source is taken for the entity.
        """
        own, other = detection.scope, detection.counterpart_scope
        source, target = (own, other) if detection.entity == detection.source else (other, own)
        return cls(_host(source, detection.source), _host(target, detection.target))


@dataclass(frozen=True, slots=True)
class Figure:
    """What a detector compared with what.

    Attributes
    ----------
    value, threshold, baseline
        As in a finding.
    over
        Whether the value reached the threshold. Where it did not and the detector left it out, the threshold is
        worked out from what the detector says with lower parameters.
    told
        The other columns of the detector's scores.
    """

    value: float
    threshold: float
    baseline: float | None
    over: bool
    told: Mapping[str, Any]


def figures(detector: Detector, view: View, parameters: Parameters, ends: Ends) -> list[Figure]:
    """Score one attack with the parameters in force or, where that says nothing, with lower ones.

    Parameters
    ----------
    detector, view, parameters
        Who looks, at what, and how sharply.
    ends
        Whom to tell of.

    Returns
    -------
    list of Figure
        The furthest above its threshold first. Empty where the detector leaves the attack out, or where it comes
        to less than an eighth of its threshold.
    """
    rows = _rows(detector.score(view, parameters), ends)
    if len(rows):
        return _told(rows, view)
    lower = _Lower(detector, RememberedView(view), parameters, ends)
    # From the lowest on, so that each table is read once.
    found = [(near, share) for share in _SHARES for near in lower.figures(share)]
    return [replace(near, threshold=lower.threshold(near, share), over=False) for near, share in found[-1:]]


class _Lower:
    """What a detector says of one attack with lower thresholds, of which it says nothing with those in force."""

    def __init__(self, detector: Detector, view: View, parameters: Parameters, ends: Ends) -> None:
        self._score = partial(detector.score, view)
        self._view = view
        self._parameters = parameters
        self._ends = ends
        self._names = [parameter.name for parameter in thresholds(detector.card)]
        self._hosts = pl.Series([key for key in ends if key is not None], dtype=pl.UInt64)
        values = in_force(detector.card, parameters, ends)
        self._limits = [values[name] for name in self._names]

    def figures(self, share: float) -> list[Figure]:
        """Return the strongest figure with a share of the thresholds, or none."""
        parameters = LoweredParameters(self._parameters, self._names, share, self._hosts)
        return _told(_rows(self._score(parameters), self._ends).head(1), self._view)

    def threshold(self, near: Figure, share: float) -> float:
        """Work out the threshold in force from what is said with a share of the parameters, and with half of it.

        Thresholds are in proportion to parameters, for the most part, or rest on what is usual with a parameter as a
        floor, below which nothing is said at all.
        """
        further = self.figures(share / 2)
        rise = (near.threshold - further[0].threshold) / (share / 2) if further else 0
        reckoned = near.threshold + rise * (1 - share)
        for limit in self._limits:
            if limit > near.value and _turns(self._speaks, near.value / limit):
                return max(limit, reckoned)
        if not near.over and not rise:
            return reckoned
        if rise and _turns(self._reaches, share + (near.value - near.threshold) / rise):
            return reckoned
        low, high = share, 2 * share
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._reaches(middle) else (low, middle)
        return near.value / low

    def _speaks(self, share: float) -> bool:
        return bool(self.figures(share))

    def _reaches(self, share: float) -> bool:
        return any(figure.over for figure in self.figures(share))


def _turns(holds: Callable[[float], bool], share: float) -> bool:
    """Say whether something holds just below a share, and no longer just above it."""
    return holds(share * (1 - _NARROW)) and not holds(share * (1 + _NARROW))


def statistics(detector: Detector, view: View, ends: Ends, figure: Figure | None) -> Iterator[Rows]:
    """Return the rows of the statistics that a detector reads of one attack, a few of the largest.

    Parameters
    ----------
    detector, view, ends
        As for `figures`.
    figure
        Its port, where it has one, is that of the rows.

    Yields
    ------
    Rows
        Of each statistic that has any.
    """
    wanted: dict[str, Any] = {name: key for name, key in ends._asdict().items() if key is not None}
    wanted["key"] = ends.target_key if detector.card.entity == "target" else ends.source_key
    if figure is not None and figure.told.get("port"):
        wanted["port"] = figure.told["port"]
    for need in detector.needs:
        table = view.table(need)
        same = {name: value for name, value in wanted.items() if name in table.columns and value is not None}
        if not same.keys() - {"port"}:
            continue
        rows = table.filter(*(pl.col(name) == value for name, value in same.items()))
        first = next((name for name, dtype in rows.schema.items() if dtype == pl.Int64 and name != "pane"), None)
        if first is not None:
            rows = rows.sort(first, *(name for name in _ENDS if name in rows.columns), descending=True)
        if len(rows):
            yield Rows(need, _named(rows.head(_ROWS), view), len(rows))


def in_force(card: Card, parameters: Parameters, ends: Ends) -> dict[str, float]:
    """Return the values of a detector's parameters for the entity of an attack, by name."""
    own, other = ends if card.entity == "source" else reversed(ends)
    keys = pl.Series([other if own is None else own], dtype=pl.UInt64)
    return {each.name: parameters.column(each.name, keys).item() for each in card.parameters}


def _named(rows: pl.DataFrame, view: View) -> list[dict[str, Any]]:
    """Write addresses for the keys of hosts, and leave out what is null or names nothing."""
    hosts = [name for name, dtype in rows.schema.items() if dtype == pl.UInt64 and name.endswith("key")]
    lists = [name for name, dtype in rows.schema.items() if dtype == pl.List(pl.UInt64)]
    kept = rows.select(pl.exclude(pl.UInt64), *hosts).drop("pane", strict=False)
    written = []
    for row in kept.rows(named=True):
        said = {name: value for name, value in row.items() if value is not None}
        said |= {name: sorted(view.addresses(said[name])) for name in lists if name in said}
        ends = {name: next(iter(view.addresses([said.pop(name)])), None) for name in hosts if name in said}
        written.append({name.removesuffix("_key"): address for name, address in ends.items()} | said)
    return written


def _host(scope: str, address: str | None) -> int | None:
    if address is None:
        return None
    high, low = (np.array([half], np.uint64) for half in halves(address))
    return int(host_key(np.array([scope_salt(scope)], np.uint64), high, low)[0])


def _rows(scores: pl.DataFrame, ends: Ends) -> pl.DataFrame:
    """Return the rows of an attack, the furthest above its threshold first."""
    if scores.is_empty():
        return scores
    own = scores.filter(*(pl.col(name).eq_missing(pl.lit(key, pl.UInt64)) for name, key in ends._asdict().items()))
    return own.sort(pl.col("value") / pl.col("threshold"), "value", descending=True)


def _told(rows: pl.DataFrame, view: View) -> list[Figure]:
    own = _named(rows.drop(SCORES.names()), view)
    columns = rows.select("value", "threshold", "baseline").rows()
    return [
        Figure(value, threshold, baseline, over=value >= threshold, told=told)
        for (value, threshold, baseline), told in zip(columns, own, strict=True)
    ]
