"""How fast records are decoded into the table, on one core, beside the bare columnar CSV reader."""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.measurement import Measurement
from streams.allocation import keep_freed_memory
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.settings import AWS_DEFAULT_FORMAT

_RUNS: Final = 60
_FIELDS: Final = tuple(AWS_DEFAULT_FORMAT.split())
_NUMBERS: Final = frozenset({"version", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end"})


def measure() -> list[Measurement]:
    """Measure in a process of its own, since the number of threads is settled when Polars is first imported."""
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.records"], env=environment, check=True, capture_output=True, text=True
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


def _seconds(run: Callable[[], object], runs: int = _RUNS) -> list[float]:
    run()
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        found.append(time.perf_counter() - begun)
    return found


def _measurements() -> list[Measurement]:
    records, networks = RecordSettings(), NetworkSettings()
    found: list[Measurement] = []

    def rate(name: str, count: int, run: Callable[[], object], runs: int = _RUNS) -> float:
        found.append(Measurement.median(name, "records/s", [count / each for each in _seconds(run, runs)]))
        return found[-1].value

    def decoding(*values: bytes) -> Callable[[], object]:
        messages = [Message(value) for value in values]
        return lambda: decode_all(messages, records, networks)

    text = {count: "\n".join(lines(count)).encode() for count in (1_000, 10_000, 100_000)}
    decode_all([Message(text[100_000])], records, networks)
    for count, value in text.items():
        bare = rate(f"bare CSV reader, typed, batches of {count:,}", count, _bare(value))
        decoded = rate(f"default text, batches of {count:,}", count, decoding(value))
        ratio = f"default text, batches of {count:,}, time against the bare CSV reader"
        found.append(Measurement(ratio, bare / decoded, "times", ()))
    clean = found[4].value
    rate("default text, 10,000 messages of one record", 10_000, decoding(*text[10_000].split(b"\n")))
    spoilt = rate(
        "default text, batches of 10,000, 10 % garbage",
        10_000,
        decoding("\n".join(lines(10_000, garbage=0.1)).encode()),
    )
    found.append(Measurement("10 % garbage, time against clean text", clean / spoilt, "times", ()))
    rate("JSON of 14 fields, batches of 10,000", 10_000, decoding(_objects(lines(10_000))))
    rate("Parquet, 300,000 rows", 300_000, decoding(_parquet(lines(300_000))), runs=9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flows.log"
        path.write_bytes((text[100_000] + b"\n") * 10)
        command = [sys.executable, "-c", "from streams.cli import main; main()", "parse", str(path)]
        rate("flowhawk parse, a file of a million lines", 1_000_000, lambda: _run(command), runs=3)
    return found


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    keep_freed_memory()
    print(json.dumps([vars(each) for each in _measurements()]))
