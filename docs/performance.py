"""What in docs/explanation/performance.md follows from the results of the benchmarks."""  # noqa: INP001 - a folder of pages, not a package

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.measurement import Measurement
from benchmarks.sizes import DEFAULTS, PREFIX
from benchmarks.tables import table as cells
from docs.markdown import table

RESULTS: Final = Path(__file__).parent.parent / "benchmarks" / "results"

_TITLES: Final = {
    "service": "The service beside its peers",
    "detect": "Files, beside DuckDB",
    "by_host": "Many workers",
    "hosts": "More hosts",
    "memory": "Many records",
    "sources": "Into Kafka, from files and S3",
    "latency": "From publish to finding",
    "recovery": "After kill -9",
    "records": "Decoding alone",
    "metrics": "What metrics cost",
    "profile": "Where the CPU time of the stages goes",
}
_MACHINE: Final = ("processor", "cores", "system", "python", "commit")


def performance_part() -> str:
    """Write a section for each benchmark, out of its newest results."""
    return "\n\n".join(
        _section(title, json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))
        for name, title in _TITLES.items()
    )


def _section(title: str, result: Mapping[str, Any]) -> str:
    measurements = [Measurement(**each) for each in result["measurements"]]
    around = result["surroundings"]
    machine = f"{around['processor']}, {around['cores']} cores, Python {around['python']}"
    packages = ", ".join(f"{name} {each}" for name, each in around.items() if name not in _MACHINE)
    changed = ", ".join(f"`{PREFIX}{name}={value}`" for name, value in result.get("changed_sizes", {}).items())
    measured = f"Measured at commit `{around['commit']}` on {machine}, with {packages}"
    return f"## {title}\n\n{measured}{f'; sizes: {changed}' if changed else ''}.\n\n{table(*cells(measurements))}"


def sizes_part() -> str:
    """Write a table of the sizes that the environment may change."""
    rows = [(f"`{PREFIX}{name}`", f"{default:,}", meaning) for name, (default, meaning) in DEFAULTS.items()]
    return table(("variable", "default", "meaning"), rows)
