"""Run the benchmarks: `python -m benchmarks [NAME]...`; figures are printed and written to benchmarks/results."""

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.contenders import versions
from benchmarks.measurement import Measurement, surroundings
from benchmarks.sizes import DEFAULTS, size
from benchmarks.tables import aligned, table
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
        head, rows = table(measurements)
        print(f"{aligned([[f'{name}: {head[0]}', *head[1:]], *rows])}\n", flush=True)
        result = {
            "benchmark": name,
            "surroundings": surroundings() | versions(),
            "changed_sizes": {name: size(name) for name, (default, _) in DEFAULTS.items() if size(name) != default},
            "measurements": [vars(each) for each in measurements],
        }
        (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
