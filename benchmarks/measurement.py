"""What every benchmark returns, and where the figures come from."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Measurement:
    """One figure.

    Attributes
    ----------
    name
        What was measured.
    value
        The median of the runs.
    unit
        Its unit.
    runs
        All runs.
    """

    name: str
    value: float
    unit: str
    runs: tuple[float, ...]

    @classmethod
    def median(cls, name: str, unit: str, runs: list[float]) -> "Measurement":
        """Take the median of several runs."""
        return cls(name, sorted(runs)[len(runs) // 2], unit, tuple(round(run, 3) for run in runs))


def surroundings() -> dict[str, str | int | None]:
    """Say on what the figures were measured: machine, versions and commit."""
    packages = ("aiokafka", "confluent-kafka", "faust-streaming", "kafka-python", "numpy", "polars")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return found.stdout.strip()
