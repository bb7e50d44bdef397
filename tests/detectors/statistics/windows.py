"""Panes and windows made of records, as a watch makes them once everything has arrived."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from detectors.examples import records
from detectors.statistics import contacts, conversations, volumes
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.conversations import REMEMBERED_SECONDS
from detectors.statistics.pane import Counted, Pane
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.statistics.window import Window
from tests.detectors.records import Row, at


def pane(flows: pl.DataFrame, begin: int) -> Pane:
    """One pane of flow records."""
    own = pl.col("pane") == begin
    talks = conversations.fold(flows)
    counted = Counted(
        contacts.merged(contacts.fold(flows).filter(own), by_pane=True),
        volumes.merged(volumes.fold(flows).filter(own)),
        conversations.merged(talks.filter(own)),
        talks.filter(pl.col("pane").is_between(begin - REMEMBERED_SECONDS, begin)),
    )
    return Pane(begin, counted)


def panes(flows: pl.DataFrame, first: int, end: int) -> list[Pane]:
    """The panes from `first` up to `end`, not included, that hold something; both counted from the first pane."""
    held = {*contacts.fold(flows)["pane"], *volumes.fold(flows)["pane"]}
    return [pane(flows, begin) for begin in range(at(first), at(end), PANE_SECONDS) if begin in held]


def window(flows: pl.DataFrame, first: int = 0, end: int = 1) -> Window:
    """A window over some panes."""
    behind = panes(flows, end, end + SPREAD_SECONDS // PANE_SECONDS)
    return Window(panes(flows, first, end), end - first, lambda: behind)


def table(name: str, rows: Sequence[Row], first: int = 0, end: int = 1) -> pl.DataFrame:
    """All rows of a table, over some panes."""
    return window(records(rows).flows, first, end).table(name)


def by_key(frame: pl.DataFrame, *names: str) -> Mapping[Any, dict[str, Any]]:
    """Rows by one column, or by several."""
    rows = frame.to_dicts()
    keyed = {row[names[0]] if len(names) == 1 else tuple(row[name] for name in names): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed
