"""How fast the building blocks of statistics take records, and what an entity takes, from a thousand to a million."""

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.measurement import Measurement
from detectors.addresses import mix
from detectors.statistics.bottom_k import BottomK
from detectors.statistics.distinct import DistinctCounts, union
from detectors.statistics.first_contacts import FirstContacts
from detectors.statistics.keyed import KeyedTable

_ENTITIES: Final = (1_000, 100_000, 1_000_000)
_BATCH: Final = 10_000
_RUNS: Final = 41
_VALUES: Final = 8
"""How many distinct values an entity has."""

_SHARDS: Final = 256

Rows = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Take = Callable[[Rows, Keys], object]


def measure() -> list[Measurement]:
    """Measure every building block at every number of entities."""
    return [each for entities in _ENTITIES for each in _measurements(entities)]


def _measurements(entities: int) -> Iterator[Measurement]:
    counts, examples = DistinctCounts(), BottomK(10)
    cap = 2 * entities // _SHARDS + 64
    table = KeyedTable({"bytes": np.int64, "packets": np.int64}, inside_cap=cap, outside_cap=cap)
    contacts = FirstContacts(cap=_VALUES * cap, expiry_seconds=86_400, novel_per_pane=_VALUES)
    blocks: dict[str, tuple[Take, Callable[[], int]]] = {
        "distinct counts, add": (counts.add, lambda: counts.nbytes),
        "examples (k = 10), add": (examples.add, lambda: examples.nbytes),
        "keyed table, look up or insert": (
            lambda rows, _: table.rows(mix(rows.astype(np.uint64)), inside=True, pane=0),
            lambda: table.nbytes,
        ),
        "first contacts, look up": (
            lambda rows, values: contacts.novel(mix(rows.astype(np.uint64)), values),
            lambda: contacts.nbytes,
        ),
    }
    everything = np.repeat(np.arange(entities), _VALUES), _values(np.arange(entities * _VALUES))
    contacts.learn(mix(everything[0].astype(np.uint64)), everything[1], 0)
    random = np.random.default_rng(1)
    for name, (take, nbytes) in blocks.items():
        if name != "first contacts, look up":
            take(*everything)
        rates = [_rate(take, random, entities) for _ in range(_RUNS)]
        yield Measurement.median(f"{name}, {entities:,} entities", "records/s", rates)
        yield Measurement(f"{name.partition(',')[0]}, {entities:,} entities", nbytes() / entities, "bytes/entity", ())
    yield _window(counts, min(entities, 100_000))


def _rate(take: Take, random: np.random.Generator, entities: int) -> float:
    rows = random.integers(0, entities, _BATCH)
    values = _values(rows * _VALUES + random.integers(0, _VALUES, _BATCH))
    begun = time.perf_counter()
    take(rows, values)
    return _BATCH / (time.perf_counter() - begun)


def _values(numbers: Rows) -> Keys:
    return mix(numbers.astype(np.uint64) + np.uint64(1 << 40))


def _window(counts: DistinctCounts, entities: int) -> Measurement:
    rows = np.arange(entities)
    runs = []
    for _ in range(3):
        begun = time.perf_counter()
        union([counts] * 5, rows).counts(rows)
        runs.append(entities / (time.perf_counter() - begun))
    return Measurement.median(f"distinct counts, windows of 5 panes, {entities:,} entities", "entities/s", runs)
