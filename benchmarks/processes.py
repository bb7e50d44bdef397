"""What processes cost: CPU time and memory of a process and of all that it started, as Linux counts them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
FLOWHAWK: Final = str(Path(sys.executable).with_name("flowhawk"))

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """What a process and its descendants have used.

    Attributes
    ----------
    cpu_seconds
        User and system time so far, of those that have ended too.
    resident_bytes
        Memory of those that live.
    """

    cpu_seconds: float
    resident_bytes: int


def usage(process: int) -> Usage:
    """Read what a process and its descendants have used so far; nothing where it has ended.

    >>> usage(os.getpid()).resident_bytes > 1_000_000
    True
    """
    parents: dict[int, int] = {}
    used: dict[int, Usage] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything.
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        used[number] = Usage(sum(map(int, fields[11:15])) / _TICKS, int(fields[21]) * _PAGE_BYTES)
    family = {process} & used.keys()
    while grown := {number for number, parent in parents.items() if parent in family} - family:
        family |= grown
    return Usage(
        sum(used[number].cpu_seconds for number in family), sum(used[number].resident_bytes for number in family)
    )


def most_resident_bytes() -> int:
    """Return the most memory that this process has had.

    >>> most_resident_bytes() > 1_000_000
    True
    """
    # What getrusage says begins with what the process had that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


class Run(NamedTuple):
    """One run of a contender.

    Attributes
    ----------
    records
        How many records were done in the time.
    seconds, cpu_seconds
        How long it took, and the CPU time it cost.
    """

    records: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def rate_of_a_core(self) -> float:
        """Records for each second of CPU time."""
        return self.records / self.cpu_seconds


def run(
    command: Sequence[str], records: int, environment: Mapping[str, str] | None = None, *, output: Path | None = None
) -> Run:
    """Run a command to its end, from its start on; what it says goes to a file, if one is named.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = output or Path(folder) / "output"
        before, begun = _children(), time.monotonic()
        with said.open("wb") as file:
            done = subprocess.run(
                command, env=os.environ | (environment or {}), cwd=folder, stdout=file, stderr=file, check=False
            )
        took, used = time.monotonic() - begun, _children() - before
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{said.read_text()[-2000:]}")
    return Run(records, took, used)


def figures(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module of the benchmarks in a process of its own; return the JSON object that it prints last."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
