"""Records that were refused, and how much that comes to."""

import polars as pl

from detectors.statistics.refusals import Refusals
from detectors.table import Table
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt


def refused(**said: object) -> Row:
    return {**attempt(OUTSIDE, INSIDE, 8080, action="REJECT", end=at(0)), **said}


def kept(*tables: Table) -> Refusals:
    store = Refusals()
    for table in tables:
        store.add(table.flows)
    return store


def sums(store: Refusals, level: int, panes: int = 1, pane: int = 0) -> list[int]:
    table = store.table("refused", at(pane), panes)
    return sorted(table.filter(pl.col("level") == level)["rejected"])
