"""`flowhawk detect` beside DuckDB: the same file, on one thread and on as many as they like."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.contenders import PEERS, alternate, compared, has
from benchmarks.measurement import Measurement
from benchmarks.processes import FLOWHAWK, ROOT, Run, run
from benchmarks.sizes import size
from benchmarks.traffic import file

ALL_THREADS: Final = "flowhawk detect"
ONE_THREAD: Final = "flowhawk detect, one thread"
DUCKDB: Final = "DuckDB"
DUCKDB_ONE_THREAD: Final = "DuckDB, one thread"


def measure() -> list[Measurement]:
    """Measure whole commands, from their start to their end."""
    records = size("RECORDS")
    with tempfile.TemporaryDirectory() as name:
        path, line = Path(name) / "flows.log", Path(name) / "line.log"
        file(path, records)
        file(line, 1)
        runs = alternate({**_flowhawk(path, records), **_duckdb(path, records)})
        starts = [_detect(line, 1).seconds for _ in range(size("ROUNDS"))]
    return [
        *compared(runs, [DUCKDB, DUCKDB_ONE_THREAD]),
        Measurement.median("flowhawk detect, a file of one line", "s", starts),
    ]


def _flowhawk(path: Path, records: int) -> dict[str, Callable[[], Run]]:
    return {
        ALL_THREADS: partial(_detect, path, records),
        ONE_THREAD: partial(_detect, path, records, POLARS_MAX_THREADS="1"),
    }


def _detect(path: Path, records: int, **environment: str) -> Run:
    return run([FLOWHAWK, "detect", str(path)], records, environment)


def _duckdb(path: Path, records: int) -> dict[str, Callable[[], Run]]:
    if not has("duckdb"):
        return {}
    command = [str(PEERS), "-m", "benchmarks.peers.duckdb_sums", str(path)]
    own = {"PYTHONPATH": str(ROOT)}
    return {
        DUCKDB: partial(run, [*command, "0"], records, own),
        DUCKDB_ONE_THREAD: partial(run, [*command, "1"], records, own),
    }
