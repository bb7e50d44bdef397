"""What more hosts cost: a thousand to a million of them through the stages, in processes of their own."""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from os import getpid
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.crowd import crowd
from benchmarks.measurement import Measurement
from benchmarks.processes import figures, usage
from benchmarks.sizes import size
from streams.allocation import keep_freed_memory
from streams.detect import BATCH_BYTES
from streams.pipeline import Batch, Pipeline
from streams.records import Message
from streams.settings import load
from streams.sources.files import FileSource

FEWEST: Final = 1_000
ENOUGH: Final = 100_000
"""Hosts whose memory stands out of what a run differs by from the next."""

SOURCE: Final = "flows/0"

_WARMING_BATCHES: Final = 10

WITH_FEWEST: Final = f"CPU time of a record, {FEWEST:,} hosts"


def measure() -> list[Measurement]:
    """Measure every number of hosts once a round."""
    counts = list(takewhile(lambda hosts: hosts <= size("HOSTS_MOST"), (FEWEST * 10**power for power in range(4))))
    with tempfile.TemporaryDirectory() as name:
        # Lines that were made in the measured process would leave memory behind, which hosts would then hide in.
        paths = {hosts: Path(name) / f"{hosts}.log" for hosts in counts}
        for hosts, path in paths.items():
            with path.open("wb") as file:
                file.writelines(block + b"\n" for block in crowd(size("HOSTS_RECORDS"), hosts))
        rounds: list[dict[int, dict[str, Any]]] = [
            {hosts: figures("hosts", path, paths[FEWEST]) for hosts, path in paths.items()}
            for _ in range(size("ROUNDS"))
        ]
    found = []
    for hosts in counts:
        cost = [each[hosts]["cpu_seconds"] / each[hosts]["records"] * 1e6 for each in rounds]
        least = [each[FEWEST]["cpu_seconds"] / each[FEWEST]["records"] * 1e6 for each in rounds]
        found.append(
            Measurement.median(f"CPU time of a record, {hosts:,} hosts", "µs", cost, {WITH_FEWEST: least})
            if hosts != FEWEST
            else Measurement.median(WITH_FEWEST, "µs", cost)
        )
    for hosts in counts:
        known = int(median(each[hosts]["hosts"] for each in rounds))
        found.append(Measurement(f"addresses known at the end, {hosts:,} hosts", known, "addresses"))
        if hosts >= ENOUGH:
            # Against the fewest: what a batch needs while it is worked on is no memory of hosts.
            sizes = [_bytes_of_a_host(each[FEWEST], each[hosts]) for each in rounds]
            found.append(Measurement.median(f"resident memory of an address, {hosts:,} hosts", "bytes", sizes))
    return found


def _bytes_of_a_host(few: dict[str, Any], many: dict[str, Any]) -> float:
    more: float = (many["resident_bytes"] - few["resident_bytes"]) / (many["hosts"] - few["hosts"])
    return more


def batches(several: Iterable[bytes], begin: int = 0) -> Iterator[Batch]:
    """Bind blocks to batches as `flowhawk detect` does; the offset of the first is `begin`."""
    now = int(time.time() * 1000)
    waiting: list[Message] = []
    for block in several:
        waiting.append(Message(block.rstrip(b"\n"), {}, now))
        if sum(len(message.value) for message in waiting) >= BATCH_BYTES:
            yield _batch(waiting, begin)
            begin += len(waiting)
            waiting = []
    if waiting:
        yield _batch(waiting, begin)


def _batch(messages: list[Message], begin: int) -> Batch:
    end = begin + len(messages)
    return Batch(SOURCE, messages, np.arange(begin, end), begin, end)


def main(path: str, warming: str) -> None:
    """Run a file through the stages, after a piece of another one, and print what that cost."""
    keep_freed_memory()
    settings = load()
    warm = Pipeline(settings)
    for batch in islice(_read(warming), _WARMING_BATCHES):
        warm.process(batch)
    warm.finish(SOURCE)
    del warm, batch
    gc.collect()
    before, begun = usage(getpid()).resident_bytes, time.process_time()
    pipeline = Pipeline(settings)
    counted = sum(pipeline.process(batch).records for batch in _read(path))
    known, resident = pipeline.watch.hosts, usage(getpid()).resident_bytes
    pipeline.finish(SOURCE)
    used = time.process_time() - begun
    print(json.dumps({"records": counted, "cpu_seconds": used, "hosts": known, "resident_bytes": resident - before}))


def _read(path: str) -> Iterator[Batch]:
    return batches(block.value for block in FileSource(path).blocks())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
