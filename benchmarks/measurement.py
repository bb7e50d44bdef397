"""What every benchmark returns, and where the figures come from."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median


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
    ratios
        How many times the figure of another contender it is, by the name of that contender; measured in the same
        rounds.
    """

    name: str
    value: float
    unit: str
    runs: tuple[float, ...] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def median(
        cls, name: str, unit: str, runs: Sequence[float], against: Mapping[str, Sequence[float]] | None = None
    ) -> "Measurement":
        """Take the median of several runs, and their ratios to the runs of others in the same rounds.

        >>> Measurement.median("a", "records/s", [30, 10, 20], {"b": [10, 5, 5]})
        Measurement(name='a', value=20, unit='records/s', runs=(30, 10, 20), ratios={'b': 3.0})
        """
        ratios = {
            other: round(median(own / its for own, its in zip(runs, others, strict=True)), 3)
            for other, others in (against or {}).items()
        }
        return cls(name, median(runs), unit, tuple(round(run, 3) for run in runs), ratios)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that a share of all values does not exceed (the nearest rank).

    Parameters
    ----------
    values
        At least one.
    share
        Above 0, at most 1.

    Examples
    --------
    >>> percentile([5, 1, 4, 2, 3], 0.5), percentile(range(1, 101), 0.99), percentile([7], 0.95)
    (3, 99, 7)
    """
    ordered = sorted(values)
    # In whole numbers: 0.07 * 100 is a little more than 7.
    rank = -(-round(share * 10_000) * len(ordered) // 10_000)
    return ordered[max(rank, 1) - 1]


def surroundings() -> dict[str, str | int | None]:
    """Say on what the figures were measured: machine, versions and commit."""
    packages = ("aiokafka", "confluent-kafka", "faust-streaming", "isal", "kafka-python", "numpy", "polars")
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
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return found.stdout.strip()
