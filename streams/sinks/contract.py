"""The contract of a sink: who hears of findings."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

from detectors.finding import Finding


class Delivery(Enum):
    """What became of a batch."""

    DELIVERED = "delivered"
    RETRY = "retry later"
    HOPELESS = "hopeless"


class Sink(ABC):
    """Takes batches of findings, in order. The same finding may come more than once; its id says so.

    Attributes
    ----------
    name
        Its name.
    hears_observed
        Whether it is told what detectors say that only observe: a record is, whatever wakes people is not.
    """

    name: ClassVar[str]
    hears_observed: ClassVar[bool] = False

    @abstractmethod
    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Hand over a batch; whether and when to try again is the caller's business."""

    async def close(self) -> None:
        """Let go of files and connections."""
        return
