"""Pasts of hosts, written by hand, for baselines to learn."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import polars as pl

from detectors.statistics.baselines import Baselines

MONDAY: Final = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 60
"""Number of its first pane."""

DAY: Final = 24 * 60

FIRST, SECOND, THIRD = ((shard << 56) + number for number, shard in enumerate((3, 100, 250), 1))
"""Hosts whose hours end at different minutes."""

KEYS: Final = pl.Series("key", [FIRST, SECOND, THIRD], dtype=pl.UInt64)

Amount = Callable[[int], int]


def hosts(amounts: Mapping[int, int], *, internal: bool = True) -> pl.DataFrame:
    """The table `host` of a pane, with one number."""
    columns = {"key": list(amounts), "internal": [internal] * len(amounts), "sent": list(amounts.values())}
    return pl.DataFrame(columns, schema={"key": pl.UInt64, "internal": pl.Boolean, "sent": pl.Int64})


def learn(baselines: Baselines, panes: Iterable[int], amount: Amount, *, key: int = FIRST) -> None:
    """Let one host have so much in each pane."""
    for pane in panes:
        baselines.learn(60 * pane, hosts({key: amount(pane)}))


def usual(baselines: Baselines, pane: int, width: int = 1, key: int = FIRST) -> tuple[float, float, int]:
    """What is usual for a host in a pane: median, spread and windows."""
    found = baselines.baseline(60 * pane, "sent", pl.Series([key], dtype=pl.UInt64), width)
    row: tuple[float, float, int] = found.row(0)
    return row


def threshold(baselines: Baselines, pane: int, width: int = 1, key: int = FIRST) -> float:
    """Where the detectors' default lies, without their floors."""
    median, spread, _ = usual(baselines, pane, width, key)
    return median + 8 * max(spread, 0.1 * median)
