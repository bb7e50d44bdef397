"""Memory over many records whose addresses change all the time: it must stay flat."""

import json
import sys
from os import getpid
from statistics import median
from typing import Final

from benchmarks.hosts import batches
from benchmarks.measurement import Measurement
from benchmarks.processes import figures, usage
from benchmarks.sizes import size
from benchmarks.traffic import blocks
from streams.allocation import keep_freed_memory
from streams.generate.traffic import START
from streams.pipeline import Pipeline
from streams.settings import load

RECORDS_AT_A_TIME: Final = 500_000
"""Then all addresses are replaced by others."""

MINUTES: Final = 10
HOSTS: Final = 20_000

_MEGABYTE: Final = 1_000_000


def measure() -> list[Measurement]:
    """Measure once: it is a long run, and the question is whether it grows."""
    found = figures("memory", size("MEMORY_RECORDS"))
    resident = found["resident_megabytes"]
    quarter = len(resident) // 4
    early, late = resident[quarter : 2 * quarter], resident[-quarter:]
    return [
        Measurement("resident memory, second quarter of the records", median(early), "MB", tuple(early)),
        Measurement(
            "resident memory, last quarter of the records",
            median(late),
            "MB",
            tuple(late),
            {"resident memory, second quarter of the records": round(median(late) / median(early), 3)},
        ),
        Measurement("resident memory, the most", max(resident), "MB"),
        Measurement("records", found["records"], "records"),
        Measurement("addresses known at the end", found["hosts"], "addresses"),
    ]


def main(records: int) -> None:
    """Run records through the stages, piece by piece, and print the memory behind each piece."""
    keep_freed_memory()
    pipeline = Pipeline(load())
    counted = 0
    resident = []
    pieces = max(records // RECORDS_AT_A_TIME, 4)
    offset = 0
    for piece in range(pieces):
        start = START + piece * MINUTES * 60
        made = blocks(RECORDS_AT_A_TIME, hosts=HOSTS, minutes=MINUTES, start=start, seed=piece)
        for batch in batches(made, offset):
            counted += pipeline.process(batch).records
            offset = batch.end
        resident.append(round(usage(getpid()).resident_bytes / _MEGABYTE, 1))
    print(json.dumps({"records": counted, "resident_megabytes": resident, "hosts": pipeline.watch.hosts}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
