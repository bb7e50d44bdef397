"""How fast records are decoded into the table, on one core, beside the bare columnar CSV reader.

All take turns, and CPU time counts: what else the machine does then strikes none more than the others.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.contenders import alternate
from benchmarks.measurement import Measurement
from benchmarks.processes import Run
from benchmarks.sizes import size
from streams.allocation import keep_freed_memory
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.settings import AWS_DEFAULT_FORMAT

BARE: Final = "bare CSV reader, typed, batches of"
TEXT: Final = "default text, batches of"
GARBAGE: Final = "default text, 10 % garbage, batches of 10,000"

_CLEAN: Final = f"{TEXT} 10,000"
_TURN_RECORDS: Final = 50_000
"""A contender goes on until it has decoded so many records before the next has its turn."""

_FIELDS: Final = tuple(AWS_DEFAULT_FORMAT.split())
_NUMBERS: Final = frozenset({"version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end"})


def measure() -> list[Measurement]:
    """Measure in a process of its own, since the number of threads is settled when Polars is first imported."""
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.records"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [Measurement(**{**each, "runs": tuple(each["runs"])}) for each in json.loads(found.stdout)]


def lines(count: int, *, garbage: float = 0, seed: int = 1) -> list[str]:
    """Write records of 5,000 hosts behind 200 interfaces, some of them spoilt in one of six ways."""
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    inside = [f"10.{source.randrange(4)}.{source.randrange(256)}.{source.randrange(256)}" for _ in range(2500)]
    outside = [".".join(str(source.randrange(1, 255)) for _ in range(4)) for _ in range(2500)]
    written = []
    for _ in range(count):
        start = 1_700_000_000 + source.randrange(3600)
        ends = [source.choice(inside), source.choice(outside)]
        source.shuffle(ends)
        fields = [
            *("2", "123456789010", f"eni-{source.randrange(200):017x}", *ends),
            *(str(source.randrange(65_536)), str(source.choice([22, 53, 80, 443, 8080]))),
            *(str(source.choice([6, 17])), str(source.randrange(1, 10_000)), str(source.randrange(40, 10_000_000))),
            *(str(start), str(start + source.randrange(60)), source.choice(["ACCEPT", "REJECT"]), "OK"),
        ]
        if source.random() < garbage:
            fields = _spoilt(fields, source)
        written.append(" ".join(fields))
    return written


def _spoilt(fields: list[str], source: random.Random) -> list[str]:
    return source.choice(
        [
            ["garbage"],
            fields[:9],
            [*fields[:3], "300.1.2.3", *fields[4:]],
            [*fields[:5], "70000", *fields[6:]],
            [*fields[:8], "-5", *fields[9:]],
            [*fields[:12], "MAYBE", *fields[13:]],
        ]
    )


def _objects(written: list[str]) -> bytes:
    return "\n".join(
        json.dumps(
            {name: int(text) if name in _NUMBERS else text for name, text in zip(_FIELDS, line.split(), strict=True)}
        )
        for line in written
    ).encode()


def _schema() -> dict[str, type[pl.DataType]]:
    small = {"version": pl.UInt8, "protocol": pl.UInt8, "srcport": pl.UInt16, "dstport": pl.UInt16}
    return {name: small.get(name, pl.Int64 if name in _NUMBERS else pl.String) for name in _FIELDS}


def _parquet(written: list[str]) -> bytes:
    text = "\n".join([" ".join(_FIELDS).replace("-", "_"), *written]).encode()
    narrow = {"version": pl.Int32, "protocol": pl.Int32, "srcport": pl.Int32, "dstport": pl.Int32}
    schema = {name.replace("-", "_"): narrow.get(name, dtype) for name, dtype in _schema().items()}
    file = io.BytesIO()
    pl.read_csv(text, separator=" ", quote_char=None, schema=schema).write_parquet(file, compression="gzip")
    return file.getvalue()


def _bare(text: bytes) -> Callable[[], object]:
    value = " ".join(_FIELDS).encode() + b"\n" + text
    return lambda: pl.read_csv(value, separator=" ", quote_char=None, schema=_schema())


def _turn(count: int, run: Callable[[], object]) -> Callable[[], Run]:
    """Make a contender whose turn is long enough for the clock, and for the cache to be its own."""
    times = max(_TURN_RECORDS // count, 1)

    def turn() -> Run:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            run()
        return Run(count * times, time.perf_counter() - begun, time.process_time() - begun_cpu)

    return turn


def _command(count: int, command: list[str]) -> Callable[[], Run]:
    def turn() -> Run:
        begun, before = time.perf_counter(), os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Run(count, time.perf_counter() - begun, used)

    return turn


def _contenders(text: Mapping[int, bytes]) -> dict[str, Callable[[], Run]]:
    """Return all that decode in this process; each bare reader right before what is compared with it."""
    records, networks = RecordSettings(), NetworkSettings()

    def decoding(count: int, *values: bytes) -> Callable[[], Run]:
        messages = [Message(value) for value in values]
        return _turn(count, lambda: decode_all(messages, records, networks))

    found: dict[str, Callable[[], Run]] = {}
    for count, value in text.items():
        found[f"{BARE} {count:,}"] = _turn(count, _bare(value))
        found[f"{TEXT} {count:,}"] = decoding(count, value)
    some = text[10_000].split(b"\n")
    return found | {
        GARBAGE: decoding(10_000, "\n".join(lines(10_000, garbage=0.1)).encode()),
        "default text, 10,000 messages of one record": decoding(10_000, *some),
        "default text, 1,000 messages of one record": decoding(1_000, *some[:1_000]),
        "JSON of 14 fields, batches of 10,000": decoding(10_000, _objects(lines(10_000))),
        "Parquet, 300,000 rows": decoding(300_000, _parquet(lines(300_000))),
    }


def _measurements() -> list[Measurement]:
    text = {count: "\n".join(lines(count)).encode() for count in (1_000, 10_000, 100_000)}
    contenders = _contenders(text)
    for turn in contenders.values():
        turn()
    runs = alternate(contenders, size("DECODING_ROUNDS"))
    found = _figures(runs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flows.log"
        path.write_bytes((text[100_000] + b"\n") * 10)
        command = [sys.executable, "-c", "from streams.cli import main; main()", "parse", str(path)]
        parse = "flowhawk parse, a file of a million lines"
        whole = alternate({_CLEAN: contenders[_CLEAN], parse: _command(1_000_000, command)})
    return [*found, *(each for each in _figures(whole) if each.name == parse)]


def _figures(runs: Mapping[str, Sequence[Run]]) -> list[Measurement]:
    """Say how fast each contender is by the CPU, beside clean text, and how long text takes beside the bare reader."""
    rates = {name: [run.rate_of_a_core for run in several] for name, several in runs.items()}
    found: list[Measurement] = []

    def ratio(name: str, quick: str, slow: str) -> None:
        pairs = zip(rates[quick], rates[slow], strict=True)
        found.append(Measurement.median(name, "times", [its / own for its, own in pairs]))

    for name, figures in rates.items():
        others = {} if name == _CLEAN or name.startswith(BARE) else {_CLEAN: rates[_CLEAN]}
        found.append(Measurement.median(name, "records/CPU s", figures, others))
        bare = name.replace(TEXT, BARE)
        if name.startswith(TEXT) and bare in rates:
            ratio(f"{name}, time against the bare CSV reader", bare, name)
        if name == GARBAGE:
            ratio("10 % garbage, time against clean text", _CLEAN, name)
    return found


if __name__ == "__main__":
    keep_freed_memory()
    print(json.dumps([vars(each) for each in _measurements()]))
