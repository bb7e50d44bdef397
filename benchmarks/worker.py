"""`flowhawk run` as a worker process, measured from outside: its metrics over HTTP, its CPU time from the system."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.processes import FLOWHAWK, usage
from benchmarks.progress import Sample
from streams.kafka_settings import Topic, TopicSettings

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.1
_ADDRESS: Final = re.compile(r"http://([\d.]+):(\d+)/metrics")


class WorkerError(RuntimeError):
    """The worker ended or did not get as far as it should; the text holds the end of its log."""


def topic_names(run: str, **given: str) -> dict[str, str]:
    """Name every topic of the service, so that runs on one broker have nothing in common but what is given."""
    topics = {name for name in TopicSettings.model_fields if isinstance(getattr(TopicSettings(), name), Topic)}
    return {name: f"{name}-{run}".replace("_", "-") for name in topics} | given


def environment(bootstrap: str, group: str, topics: Mapping[str, str], **more: object) -> dict[str, str]:
    """Write the settings of a worker as its environment; further ones as `section__name=value`."""
    settings = {
        "kafka__bootstrap_servers": bootstrap,
        "kafka__group_id": group,
        "http__port": 0,
        "sinks__terminal": "false",
        **{f"topics__{field}__name": name for field, name in topics.items()},
        **more,
    }
    return {f"FLOWHAWK__{key.upper()}": str(value) for key, value in settings.items()}


class Worker:
    """A worker that lives as long as the `with` block.

    Parameters
    ----------
    settings
        What `environment` wrote.
    log
        File for what it says.
    """

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._settings = settings
        self._log = log
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> Self:
        """Start it; returns before it is ready."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [FLOWHAWK, "run"], env=os.environ | dict(self._settings), cwd=self._log.parent, stdout=log, stderr=log
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it in order."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def metrics(self) -> dict[str, float]:
        """Read its metrics, by name with labels."""
        connection = self._connected()
        try:
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        except (OSError, HTTPException) as error:
            connection.close()
            raise WorkerError(f"the worker does not answer ({error}):\n{self._end_of_log()}") from error
        samples = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    @property
    def cpu_seconds(self) -> float:
        """CPU time that it has used."""
        return usage(self._process.pid).cpu_seconds

    def samples(self, until: Callable[[dict[str, float]], bool], seconds: float) -> Iterator[Sample]:
        """Watch it count records until something holds of its metrics.

        Raises
        ------
        WorkerError
            When it does not come to that in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            metrics = self.metrics()
            yield Sample(time.monotonic(), int(metrics["flowhawk_records_total"]), self.cpu_seconds)
            if until(metrics):
                return
            time.sleep(_PAUSE_SECONDS)
        raise WorkerError(f"the worker is not done within {seconds:.0f} s:\n{self._end_of_log()}")

    def wait(self, until: Callable[[dict[str, float]], bool], seconds: float) -> None:
        """Wait until something holds of its metrics.

        Raises
        ------
        WorkerError
            When it does not come to that in time.
        """
        for _ in self.samples(until, seconds):
            pass

    def _connected(self) -> HTTPConnection:
        if self._connection is None:
            deadline = time.monotonic() + _START_SECONDS
            while (found := _ADDRESS.search(self._log.read_text(errors="replace"))) is None:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise WorkerError(f"the worker does not start:\n{self._end_of_log()}")
                time.sleep(_PAUSE_SECONDS)
            self._connection = HTTPConnection(found[1], int(found[2]), timeout=30)
        return self._connection

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
