"""The `flowhawk` program and what tests ask it from outside."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

import pytest

from streams.kafka_settings import TopicSettings

FLOWHAWK: Final = str(Path(sys.executable).with_name("flowhawk"))

_PATIENCE_SECONDS: Final = 180
_TOLD: Final = 4_000
"""Characters at the end of a log that are shown where a test fails."""


def flowhawk(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None, text: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [FLOWHAWK, *map(str, arguments)],
        env=os.environ | (environment or {}),
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )


def environment_of(bootstrap: str, topics: TopicSettings) -> dict[str, str]:
    """Say in the environment which broker and which topics to use, with a free port for metrics."""
    return {
        "FLOWHAWK__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "FLOWHAWK__KAFKA__GROUP_ID": f"group-{topics.flows.name}",
        "FLOWHAWK__HTTP__PORT": "0",
        "FLOWHAWK__INGEST__HTTP__PORT": "0",
        "FLOWHAWK__TOPICS__FLOWS__NAME": topics.flows.name,
        "FLOWHAWK__TOPICS__FLOWS_DEAD_LETTER__NAME": topics.flows_dead_letter.name,
        "FLOWHAWK__TOPICS__FLOWS_LATE__NAME": topics.flows_late.name,
        "FLOWHAWK__TOPICS__FINDINGS__NAME": topics.findings.name,
        "FLOWHAWK__TOPICS__STATE__NAME": topics.state.name,
        "FLOWHAWK__TOPICS__POSITIONS__NAME": topics.positions.name,
        "FLOWHAWK__TOPICS__FLOWS_BY_HOST__NAME": topics.flows_by_host.name,
        "FLOWHAWK__TOPICS__PARTIALS__NAME": topics.partials.name,
        "FLOWHAWK__TOPICS__QUESTIONS__NAME": topics.questions.name,
    }


class Program:
    """A command that runs beside the test; what it writes goes to files.

    Parameters
    ----------
    arguments
        The command and its arguments.
    environment
        What to add to the environment.
    folder
        An existing folder to run in, and to write to.
    """

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str], folder: Path) -> None:
        self._arguments = [FLOWHAWK, *map(str, arguments)]
        self._environment = os.environ | dict(environment)
        self._folder = folder

    def __enter__(self) -> Self:
        with self._file("out").open("wb") as output, self._file("err").open("wb") as errors:
            self.process = subprocess.Popen(
                self._arguments, env=self._environment, cwd=self._folder, stdout=output, stderr=errors
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        print(f"{' '.join(self._arguments[1:])} ended with {status}:\n{self.errors[-_TOLD:]}")  # noqa: T201 - shown where a test fails

    @property
    def output(self) -> str:
        """What it wrote to standard output so far."""
        return self._file("out").read_text()

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        return self._file("err").read_text()

    def metrics_address(self) -> tuple[str, int]:
        """Wait until it says where its metrics are, and return host and port."""
        pattern = re.compile(r"http://([\d.]+):(\d+)/metrics")
        self.wait_until(lambda: pattern.search(self.errors) is not None)
        found = pattern.search(self.errors)
        assert found is not None
        return found[1], int(found[2])

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; fail when it does not in time, or when the program ends before."""
        for _ in every(0.05, seconds=_PATIENCE_SECONDS):
            if holds():
                return
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.errors}"
        pytest.fail(f"{holds} did not come true; {self.errors}")

    def feed(self, pipe: Path) -> TextIO:
        """Open a named pipe to write to, once the program has opened it to read."""
        opened: list[int] = []

        def is_open() -> bool:
            with suppress(OSError):
                opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            return bool(opened)

        self.wait_until(is_open)
        os.set_blocking(opened[0], True)
        return os.fdopen(opened[0], "w")

    def stop(self, number: signal.Signals, *, seconds: float) -> int:
        """Send a signal and return the exit status; fail when it does not end in time."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def _file(self, name: str) -> Path:
        return self._folder / f"{Path(self._arguments[1]).name}.{name}"


def free_port() -> int:
    """Find a port that nobody listens on, below those that the system gives to outgoing connections."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def every(pause: float, *, seconds: float) -> Iterator[None]:
    """Come round every `pause` seconds, for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)


def get(address: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str]:
    """Ask over HTTP; return status and text."""
    connection = HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def samples(page: str) -> dict[str, float]:
    """Read the samples of an exposition, by name with labels."""
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def installed(program: str) -> str:
    """Return the path of a program of Prometheus; where it is missing, CI fails and others are told."""
    path = shutil.which(program)
    if path is None:
        reason = f"not checked, for {program} is not installed; on Debian it is in prometheus, prometheus-alertmanager"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    assert path is not None
    return path


def check_metrics(page: str) -> None:
    """Let Prometheus' own tool judge an exposition."""
    done = subprocess.run(
        [installed("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
