"""Contenders take turns, round after round, so that whatever else the machine does strikes all of them."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.measurement import Measurement
from benchmarks.processes import ROOT, Run, usage
from benchmarks.progress import Sample, stretch
from benchmarks.sizes import size
from benchmarks.traffic import fill, lines

PEERS: Final = Path(os.environ.get("BENCH_PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
"""Python with the packages of the dependency group `peers`."""

FLINK: Final = Path(os.environ.get("BENCH_FLINK_PYTHON", ROOT / ".venv-flink" / "bin" / "python"))
"""Python with the packages of the dependency group `flink`; used when PEERS=flink."""

CONNECTOR: Final = "org.apache.flink:flink-sql-connector-kafka:4.0.1-2.0"

TEXTBOOK: Final = "textbook Faust"
FLINK_SENDERS: Final = "Flink SQL, senders"
FLINK_HOSTS: Final = "Flink SQL, both hosts"

PER_CORE: Final = ", per core"

_PATIENCE_SECONDS: Final = 300.0


def alternate(contenders: Mapping[str, Callable[[], Run]], rounds: int | None = None) -> dict[str, list[Run]]:
    """Run each contender once a round; as many rounds as the size `ROUNDS` says where nothing else is said."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(size("ROUNDS") if rounds is None else rounds):
        for name, contender in contenders.items():
            runs[name].append(contender())
            found = runs[name][-1]
            print(
                f"  round {number + 1}: {name}: {found.rate:,.0f} records/s, {found.rate_of_a_core:,.0f} a core",
                file=sys.stderr,
                flush=True,
            )
    return runs


def compared(runs: Mapping[str, Sequence[Run]], against: Sequence[str]) -> list[Measurement]:
    """Say how fast each contender is by the clock, then by the CPU, and its ratios to some of them."""
    found = []
    by_clock = {name: [run.rate for run in several] for name, several in runs.items()}
    by_core = {name: [run.rate_of_a_core for run in several] for name, several in runs.items()}
    for suffix, unit, rates in (("", "records/s", by_clock), (PER_CORE, "records/CPU s", by_core)):
        for name, figures in rates.items():
            others = {other: rates[other] for other in against if other in rates and other != name}
            found.append(Measurement.median(f"{name}{suffix}", unit, figures, others))
    return found


def program(python: Path, module: str, *arguments: object, libraries: Mapping[str, str] | None = None) -> Run:
    """Run a contender that prints how many records it has done; its CPU time is read whenever it does.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    command = [str(python), "-m", f"benchmarks.peers.{module}", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(libraries or {})
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        # A reader of its output would wait for ever on one that hangs.
        patience = threading.Timer(_PATIENCE_SECONDS, process.kill)
        patience.start()
        with process:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            samples.extend(
                Sample(time.monotonic(), int(line), usage(process.pid).cpu_seconds)
                for line in process.stdout
                if line.strip().isdecimal()
            )
        patience.cancel()
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{module} ended with {process.returncode}:\n{errors.read().decode()[-3000:]}")
    return Run(*stretch(samples))


def has(module: str) -> bool:
    """Say whether a package of the peers is installed; where it is not, say so loudly."""
    return _imports(PEERS, module)


def wants_flink() -> bool:
    """Say whether Flink is asked for and installed; where it only is asked for, say so loudly."""
    return "flink" in os.environ.get("PEERS", "").split(",") and _imports(FLINK, "pyflink")


def _imports(python: Path, module: str) -> bool:
    if python.exists():
        command = [str(python), "-c", f"import {module}"]
        if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return True
    print(f"!!! {module} IS NOT MEASURED, FOR {python} DOES NOT HAVE IT; `make bench` INSTALLS IT !!!", file=sys.stderr)
    return False


def connector(folder: Path) -> Path:
    """Let Maven copy Flink's connector for Kafka into a folder.

    Raises
    ------
    RuntimeError
        When it cannot.
    """
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={CONNECTOR}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Maven cannot fetch {CONNECTOR}:\n{done.stdout[-2000:]}")
    return next(folder.glob("flink-sql-connector-kafka-*.jar"))


def textbook(bootstrap: str, topic: str) -> Run:
    """Let the textbook program count the records that it is given on a new topic.

    The group and the changelog bear the topic's name, and every run begins anew.
    """
    limit = size("TEXTBOOK_RECORDS")
    fill(bootstrap, topic, lines(limit), complete=False)
    return program(Path(sys.executable), "textbook_faust", bootstrap, topic, limit)


def flink(folder: Path, bootstrap: str, topic: str) -> dict[str, Callable[[], Run]]:
    """Let Flink count senders, and both hosts of a record, as Flowhawk does; ask first who `wants_flink`.

    Parameters
    ----------
    folder
        Where its connector goes.
    bootstrap, topic
        The records, one in a message, in one partition.
    """
    jar = connector(folder)
    # Flink's own scripts call `python` by name.
    path = {"PATH": f"{FLINK.parent}{os.pathsep}{os.environ['PATH']}"}
    records = min(size("FLINK_RECORDS"), size("RECORDS"))
    return {
        name: partial(program, FLINK, "flink", bootstrap, topic, records, jar, hosts, libraries=path)
        for name, hosts in ((FLINK_SENDERS, 1), (FLINK_HOSTS, 2))
    }


def versions() -> dict[str, str]:
    """Name the versions of the peers that are installed."""
    script = (
        "import json, importlib.metadata as all; print(json.dumps({each.name: each.version for each in "
        "all.distributions() if each.name in ('apache-flink', 'duckdb', 'quixstreams')}))"
    )
    found: dict[str, str] = {}
    for python in (PEERS, FLINK):
        if python.exists():
            done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
            found |= json.loads(done.stdout)
    return found
