"""Sinks that do as a test tells them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from pydantic import BaseModel

from detectors.finding import Finding
from streams.sinks import Delivery, Sink, Surroundings


class Obedient(Sink):
    """Answers as it was told, then takes everything, and writes down what it was asked."""

    name = "obedient"
    settings = BaseModel

    def __init__(self, *answers: Delivery | Exception) -> None:
        self._answers = list(answers)
        self.hopeless: Callable[[Finding], bool] = lambda _: False
        self.offered: list[list[str]] = []
        self.taken: list[Finding] = []
        self.log: list[str] = []

    @classmethod
    def make(cls, settings: BaseModel, surroundings: Surroundings) -> Self:
        del settings, surroundings
        return cls()

    async def start(self) -> None:
        self.log.append("start")

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        self.log.append("deliver")
        self.offered.append([each.id for each in findings])
        answer = self._answers.pop(0) if self._answers else Delivery.DELIVERED
        if isinstance(answer, Exception):
            raise answer
        if any(map(self.hopeless, findings)):
            return Delivery.HOPELESS
        if answer is Delivery.DELIVERED:
            self.taken += findings
        return answer

    async def restart(self) -> None:
        self.log.append("restart")

    async def caught_up(self) -> None:
        self.log.append("caught up")

    async def close(self) -> None:
        self.log.append("close")

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.taken]


class Other(Obedient):
    """Another one, with a name of its own."""

    name = "other"


class Replaying(Obedient):
    """Wants to hear everything anew."""

    name = "replaying"
    replays = True


class Recording(Obedient):
    """Hears of what is only observed."""

    name = "recording"
    hears_observed = True


class Stuck(Obedient):
    """Never answers."""

    name = "stuck"

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        del findings
        await asyncio.Event().wait()
        raise AssertionError
