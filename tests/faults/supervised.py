"""Workers under a supervisor, as systemd or Kubernetes would keep them: whatever ends is started again."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.streams.programs import FLOWHAWK, every

_PAUSE_SECONDS: Final = 0.3
_START_SECONDS: Final = 60
_LET_GO: Final = " let go "


class Ended(NamedTuple):
    """How a process ended: its status, and what it wrote to standard error."""

    status: int
    errors: str


class Worker:
    """A `flowhawk run` that is started again whenever it ends, for as long as the `with` block lasts.

    Parameters
    ----------
    name
        Names its log files.
    environment
        What to add to the environment.
    folder
        Where its log files go.
    """

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.ended: list[Ended] = []
        self._environment = os.environ | dict(environment)
        self._folder = folder
        self._starts = 0
        self._over = threading.Event()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        while self._thread.is_alive():
            if self._running.is_set():
                self._process.kill()
            self._thread.join(_PAUSE_SECONDS)

    @property
    def errors(self) -> str:
        """What the process that runs now wrote to standard error so far; nothing when none runs."""
        return self._log.read_text(errors="replace") if self._running.is_set() else ""

    @property
    def is_supervised(self) -> bool:
        """Whether it is started again when it ends."""
        return not self._over.is_set()

    def kill(self) -> None:
        """End it at once, also when it is paused."""
        self._end(signal.SIGKILL, seconds=_START_SECONDS)

    def pause(self) -> None:
        """Stop it in the middle of whatever it does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def resume_until_it_lets_go(self) -> None:
        """Let it go on, and wait until it knows that others have what it had: it lets go, or ends."""
        ended, let_go = len(self.ended), self.errors.count(_LET_GO)
        self.resume()
        for _ in every(0.02, seconds=_START_SECONDS):
            # It may have been paused while it was still taking over, and then has nothing to let go.
            known = not self.has_any or self.errors.count(_LET_GO) > let_go
            if known or len(self.ended) > ended:
                return
        raise AssertionError(f"{self.name} does not let go: {self.errors}")

    @property
    def has_any(self) -> bool:
        """Whether the process that runs now says that it has a partition of anything."""
        said = self.errors
        return said.count(" took over ") > said.count(_LET_GO)

    def has(self, source: str) -> bool:
        """Whether the process that runs now says that it has a partition."""
        return self._last_said_of(source) == "took over"

    def takes(self, source: str) -> bool:
        """Whether it says that it has a partition, or is about to."""
        return self._last_said_of(source) in {"taking over", "took over"}

    def terminate(self, *, seconds: float) -> int:
        """Ask it to end, and return its status; fail when it takes longer."""
        return self._end(signal.SIGTERM, seconds=seconds)

    def stop(self, *, seconds: float) -> int:
        """Ask it to end for good, and return its status."""
        self._over.set()
        status = self.terminate(seconds=seconds)
        self._thread.join()
        return status

    def wait_for(self, text: str, *, seconds: float = _START_SECONDS) -> None:
        """Wait until the process that runs says something."""
        for _ in every(0.01, seconds=seconds):
            if text in self.errors:
                return
        raise AssertionError(f"{self.name} never said {text!r}: {self.errors}")

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.{self._starts}.err"

    def _last_said_of(self, source: str) -> str:
        said = re.findall(rf" (taking over|took over|let go) .* source={re.escape(source)}$", self.errors, re.MULTILINE)
        return str(said[-1]) if said else ""

    def _end(self, number: signal.Signals, *, seconds: float) -> int:
        before = len(self.ended)
        self._signal(number)
        for _ in every(0.02, seconds=seconds):
            if len(self.ended) > before:
                return self.ended[before].status
        raise AssertionError(f"{self.name} did not end within {seconds} s: {self.errors}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._running.wait(_START_SECONDS), f"{self.name} does not start"
        self._process.send_signal(number)

    def _supervise(self) -> None:
        while True:
            self._starts += 1
            with self._log.open("wb") as errors, (self._folder / f"{self.name}.out").open("ab") as output:
                self._process = subprocess.Popen(
                    [FLOWHAWK, "run"], env=self._environment, stdout=output, stderr=errors, cwd=self._folder
                )
                self._running.set()
                status = self._process.wait()
                self._running.clear()
            self.ended.append(Ended(status, self._log.read_text(errors="replace")))
            if self._over.wait(_PAUSE_SECONDS):
                return
