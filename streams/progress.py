"""How far a command has come, for people who watch it in a terminal."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streams.sources import Source

_PAUSE_SECONDS: Final = 0.1


class ProgressBar:
    """A line with what part of the input was read, records a second and the time left; nothing where nobody watches.

    Parameters
    ----------
    sources
        What is read.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._shown = 0.0
        self._begun = time.monotonic()
        self._progress = Progress(
            BarColumn(),
            TextColumn(
                "{task.percentage:>3.0f} %  {task.fields[records]:,} records  {task.fields[rate]:,.0f} records/s"
            ),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("", total=self._total(), records=0, rate=0.0)

    def show(self, records: int) -> None:
        """Show that so many records are done; most calls do nothing."""
        now = time.monotonic()
        if self._progress.disable or now - self._shown < _PAUSE_SECONDS:
            return
        self._shown = now
        self._progress.update(
            self._task,
            total=self._total(),
            completed=sum(source.consumed for source in self._sources),
            records=records,
            rate=records / max(now - self._begun, _PAUSE_SECONDS),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _total(self) -> int | None:
        sizes = [source.size for source in self._sources]
        return sum(sizes) if sizes and all(sizes) else None
