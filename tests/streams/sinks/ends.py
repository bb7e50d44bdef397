"""What is at the other end of a sink in a test."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel
from rich.console import Console

from streams.metrics import Metrics
from streams.sinks import Surroundings


class End(ABC):
    """Whoever hears of the findings: a file, a terminal, a server.

    A test module of a sink, `tests/streams/sinks/test_NAME.py`, has an asynchronous context manager `other_end(folder)`
    that gives one; that is all that the contract tests need to run on the sink.

    Attributes
    ----------
    settings
        The settings of a sink that leads there.
    surroundings
        What the sink is made in.
    """

    def __init__(self, settings: BaseModel, surroundings: Surroundings | None = None) -> None:
        self.settings = settings
        self.surroundings = surroundings or Surroundings(Console(quiet=True), Metrics())

    @abstractmethod
    async def heard(self) -> str:
        """Return all that was heard, in order, once it has arrived; somewhere in it are the summaries."""

    async def fail(self) -> None:
        """From now on take nothing, for a reason that passes, until `recover`."""
        raise NotImplementedError

    async def recover(self) -> None:
        """Take findings again."""
        raise NotImplementedError

    async def refuse(self) -> None:
        """From now on refuse whatever comes, for a reason that never passes."""
        raise NotImplementedError


class OtherEnd(Protocol):
    """A test module of a sink."""

    other_end: Callable[..., object]
