"""What is asked of each part of the shards about a pane that closes, and what it answers.

Where shards are watched in several places, nobody has all statistics of a pane. Who judges it asks every part the
same question, and puts the answers together (`detectors.gathered`): each part tells of its own hosts alone, of which
it has seen everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from detectors.contract import Need
from detectors.statistics.refusal_sums import INTERFACE, KEY_OF
from detectors.view import PaneView

REFUSED: Final = "refused"
REFUSAL: Final = "refusal"

NOBODY: Final = pl.Schema({"key": pl.UInt64()}).to_frame()
"""The hosts of a question that asks about none."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a pane.

    Attributes
    ----------
    call
        What is asked for: one of `CALLS`.
    name
        Name of a table, or of a number that baselines learn.
    panes
        Width of the window.
    column, least
        Only rows where this column reaches this number.
    hosts
        Whom it is about: `key`, UInt64, and what else belongs to each.
    """

    call: str
    name: str = ""
    panes: int = 1
    column: str | None = None
    least: float = 0
    hosts: pl.DataFrame = field(default_factory=lambda: NOBODY)


def answer(question: Question, view: PaneView) -> pl.DataFrame:
    """Answer a question about the own hosts of the part that a view shows."""
    return CALLS[question.call](question, view)


def _table(question: Question, view: PaneView) -> pl.DataFrame:
    need = Need(question.name, question.panes)
    if need.table != REFUSED or question.column is None:
        return view.table(need, question.column, question.least)
    # What is refused at an interface, or anywhere, may be refused in many parts.
    spanning = pl.col("level") >= INTERFACE
    return view.table(need).filter(spanning | (pl.col(question.column) >= question.least))


def _refusals(question: Question, view: PaneView) -> pl.DataFrame:
    """Return the refusals of entities of some levels, or all."""
    rows = view.table(Need(REFUSAL, question.panes)).drop("most")
    if question.hosts.is_empty():
        return rows
    concerned = pl.lit(value=False)
    for level, key in KEY_OF.items():
        keys = question.hosts.filter(pl.col("level") == level)["key"]
        concerned |= pl.col(key).is_in(keys.implode())
    return rows.filter(concerned)


def _baseline(question: Question, view: PaneView) -> pl.DataFrame:
    own = _own(question, view)
    return own.hstack(view.baseline(question.name, own["key"], question.panes))


def _peers(question: Question, view: PaneView) -> pl.DataFrame:
    own = _own(question, view)
    return own.hstack(view.peers(question.name, own["key"], question.panes).select("own_windows"))


def _sampled(question: Question, view: PaneView) -> pl.DataFrame:
    return view.sampled(question.name, question.panes)


def _destinations(question: Question, view: PaneView) -> pl.DataFrame:
    return view.destinations(question.hosts["key"], question.hosts["peer"])


def _forwarders(question: Question, view: PaneView) -> pl.DataFrame:
    own = _own(question, view)
    return own.with_columns(view.forwarders(own["key"]).alias("forwards"))


def _hosts(question: Question, view: PaneView) -> pl.DataFrame:
    return view.hosts(_own(question, view)["key"])


def _known(question: Question, view: PaneView) -> pl.DataFrame:
    return view.known(_own(question, view)["key"])


def _own(question: Question, view: PaneView) -> pl.DataFrame:
    """Return the hosts of the question that are told of here, and their `place` in it."""
    placed = question.hosts.with_row_index("place")
    return placed.filter(view.own(placed["key"]))


CALLS: Final[Mapping[str, Callable[[Question, PaneView], pl.DataFrame]]] = {
    "table": _table,
    "refusals": _refusals,
    "baseline": _baseline,
    "peers": _peers,
    "sampled": _sampled,
    "destinations": _destinations,
    "forwarders": _forwarders,
    "hosts": _hosts,
    "known": _known,
}
"""What may be asked."""
