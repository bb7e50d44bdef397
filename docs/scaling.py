"""What in docs/explanation/scaling.md follows from the results of the benchmarks."""  # noqa: INP001 - a folder of pages, not a package

import json
from math import ceil
from typing import Final, NamedTuple

from docs.markdown import table
from docs.performance import RESULTS

RATES: Final = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Records a second to size for."""

_BUSY: Final = 0.5
"""Part of a core that is planned with: the other half is for peaks, for catching up, and for whoever takes over."""

_MOST_PARTITIONS: Final = 256
_FEWEST_PARTITIONS: Final = 4
_PARTITIONS_OF_A_WORKER: Final = 2
"""So that what a lost worker had can be shared among several others."""

_MEMORY_OF_A_WORKER: Final = 400
"""Megabytes of code, threads, and freed memory that is kept, before anything is counted."""

_TEXT_BYTES: Final = 110
"""Bytes of a line in AWS's default format, before compression."""


class Figures(NamedTuple):
    """What was measured.

    Attributes
    ----------
    rate_of_a_core
        Records for each second of CPU time of a worker.
    block_bytes
        Bytes of a record between the stages.
    state_factor
        How many times as much all partitions keep as one process would.
    address_bytes
        Memory of an address in one process.
    recovery_seconds
        From kill -9 until a new worker has caught up.
    """

    rate_of_a_core: float
    block_bytes: float
    state_factor: float
    address_bytes: float
    recovery_seconds: float


def figures() -> Figures:
    """Read them from the newest results."""
    by_host, hosts, recovery = (_measured(name) for name in ("by_host", "hosts", "recovery"))
    kept = by_host["state of open panes, by-host"] / by_host["state of open panes, direct"]
    return Figures(
        by_host["by-host, one worker, per core"],
        by_host["block bytes of a record"],
        kept,
        hosts["resident memory of an address, 100,000 hosts"],
        recovery["kill -9 to caught up"],
    )


def scaling_part() -> str:
    """Write a row for each rate."""
    known = figures()
    head = ("records/s", "workers of a core", "partitions of hosts", "lines, uncompressed", "blocks, written and read")
    return table(head, [_row(rate, known) for rate in RATES])


def memory_part() -> str:
    """Say what memory is planned with."""
    known = figures()
    each = known.address_bytes * known.state_factor
    return (
        f"{each:,.0f} bytes for each address that is active within the last 25 minutes, over all workers together "
        f"({known.address_bytes:,.0f} in one process, times {known.state_factor:.2f}), and {_MEMORY_OF_A_WORKER} MB "
        f"for each worker. After kill -9 a worker had caught up {known.recovery_seconds:.0f} seconds later, with "
        "130,000 addresses in one partition."
    )


def _row(rate: int, known: Figures) -> tuple[str, ...]:
    workers = max(ceil(rate / (known.rate_of_a_core * _BUSY)), 1)
    wanted = 1 << (workers * _PARTITIONS_OF_A_WORKER - 1).bit_length()
    return (
        f"{rate:,}",
        f"{workers:,}",
        f"{max(_FEWEST_PARTITIONS, min(wanted, _MOST_PARTITIONS))}",
        f"{rate * _TEXT_BYTES / 1e6:,.1f} MB/s",
        f"{rate * known.block_bytes / 1e6:,.1f} MB/s each",
    )


def _measured(name: str) -> dict[str, float]:
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return {each["name"]: each["value"] for each in result["measurements"]}
