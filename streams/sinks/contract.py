"""The contract of a sink: who hears of findings.

A sink is one module of `streams.sinks`, and nothing else names it: `streams.sink_settings` finds it, gives it the
section `sinks.NAME` of the settings, and makes it when that section is there. All settings are read by importing
all sinks, so a sink imports what is heavy only when it is made or used.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import BaseModel

from detectors.finding import Finding

if TYPE_CHECKING:
    from rich.console import Console


class Delivery(Enum):
    """What became of a batch."""

    DELIVERED = "delivered"
    RETRY = "retry later"
    HOPELESS = "hopeless"


class Timing(Protocol):
    """How long something takes, each time."""

    def observe(self, amount: float) -> None:
        """Add a time, seconds."""


class Meter(Protocol):
    """Where a sink counts what only it can count, in metrics that `streams.metrics` declares."""

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Add to a counter."""

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""

    def forget(self, name: str, *labels: str) -> None:
        """Take a series away."""

    def timing(self, name: str, *labels: str) -> Timing:
        """Return a histogram, and let it begin."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a sink may use of the process that it is made in.

    Attributes
    ----------
    console
        Where people read.
    meter
        Where it counts.
    """

    console: "Console"
    meter: Meter


class Sink(ABC):
    """Takes batches of findings, in order. The same finding may come more than once; its id says so.

    Each sink reads the findings topic for itself, and has a loop and a position of its own: it may be slow, or fail
    for hours, without others noticing. An error that it does not expect counts as `RETRY`, and so does a batch that
    takes longer than `streams.sink_loop.DELIVERY_SECONDS`. A hopeless batch is offered again in halves, so that only
    what is hopeless by itself is passed over.

    Attributes
    ----------
    name
        Its name in settings, metrics and logs: a word or several with underscores.
    settings
        Its section of the settings. Fields that hold a secret are `SecretStr`, and have a twin `..._file`, see
        `streams.secret`.
    default
        The section where the settings say nothing; None where the sink is off then.
    hears_observed
        Whether it is told what detectors say that only observe: a record is, whatever wakes people is not.
    replays
        Whether it needs the whole topic from its beginning whenever it begins to read, since it keeps what is open.
    skipped_checks
        Contract tests that it cannot pass, by name, each with the reason.
    """

    name: ClassVar[str]
    settings: ClassVar[type[BaseModel]]
    default: ClassVar[BaseModel | None] = None
    hears_observed: ClassVar[bool] = False
    replays: ClassVar[bool] = False
    skipped_checks: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abstractmethod
    def make(cls, settings: Any, surroundings: Surroundings) -> Self:
        """Make it from its section of the settings.

        Raises
        ------
        streams.errors.FlowhawkError
            When what the settings name cannot be used, such as a file; nobody need be reachable yet.
        """

    @abstractmethod
    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Hand over a batch; whether and when to try again is the caller's business.

        It may be cancelled at any point, and is never called twice at once.
        """

    async def start(self) -> None:
        """Begin whatever goes on beside deliveries; called once, before all else."""
        return

    async def restart(self) -> None:
        """Forget what was heard, and say nothing of it: the topic is read anew, or somebody else reads it now.

        Only sinks that replay are asked to.
        """
        return

    async def caught_up(self) -> None:
        """Take note that all was handed over that was on the topic when reading it anew began."""
        return

    def forget(self) -> None:
        """Take away what it showed in metrics; called once it is closed, where the service goes on without it."""
        return

    async def close(self) -> None:
        """Let go of files and connections; closing twice does no harm."""
        return
