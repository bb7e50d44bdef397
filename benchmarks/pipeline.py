"""The whole pipeline on an hour of generated traffic: from files, and through the embedded broker."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.measurement import Measurement
from streams.detect import detect
from streams.generate import Traffic
from streams.http_settings import HttpSettings
from streams.settings import Settings, load
from streams.sources.files import FileSource
from streams.up import Up

RUNS = 3


def measure() -> list[Measurement]:
    """Measure both, several times in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "flows.log"
        with path.open("wb") as file:
            file.writelines(block + b"\n" for block in Traffic().blocks())
        settings = load().model_copy(update={"http": HttpSettings(port=0)})
        contenders: dict[str, Callable[[], int]] = {
            "flowhawk detect, one file, all detectors": lambda: _detect(path, settings),
            "flowhawk up, one file, embedded broker": lambda: _up(path, settings, folder),
        }
        rates: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in range(RUNS):
            for contender, run in contenders.items():
                begun = time.perf_counter()
                records = run()
                rates[contender].append(records / (time.perf_counter() - begun))
    return [Measurement.median(contender, "records/s", runs) for contender, runs in rates.items()]


def _detect(path: Path, settings: Settings) -> int:
    return sum(outcome.records for outcome, _ in detect([FileSource(str(path))], settings))


def _up(path: Path, settings: Settings, folder: Path) -> int:
    with (folder / "output").open("w") as output:
        console = Console(file=output)
        up = Up(settings, [FileSource(str(path))], folder / "findings.jsonl", console, console)
        return asyncio.run(up.run()).records
