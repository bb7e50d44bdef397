"""Run the benchmarks: `python -m benchmarks [NAME]...`; figures are printed and written to benchmarks/results."""

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.measurement import Measurement, surroundings
from streams.allocation import keep_freed_memory

HERE = Path(__file__).parent


def benchmarks() -> list[str]:
    """Name every benchmark: the modules that have a function `measure`."""
    names = sorted(info.name for info in iter_modules([str(HERE)]) if info.name not in {"__main__", "measurement"})
    return [name for name in names if hasattr(import_module(f"benchmarks.{name}"), "measure")]


def main(names: list[str]) -> int:
    """Run benchmarks by name, all when none is given."""
    # As `flowhawk` itself does at its start.
    keep_freed_memory()
    known = benchmarks()
    for name in names or known:
        if name not in known:
            print(f"no benchmark is called {name}; there are {', '.join(known)}", file=sys.stderr)
            return 2
        measurements: list[Measurement] = import_module(f"benchmarks.{name}").measure()
        for each in measurements:
            print(f"{name:12} {each.name:60} {each.value:>14,.2f} {each.unit}", flush=True)
        result = {
            "benchmark": name,
            "surroundings": surroundings(),
            "measurements": [vars(each) for each in measurements],
        }
        (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
