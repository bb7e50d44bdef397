"""Attacks that must be found, besides scans, guesses and leaks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.conversation import Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role


@dataclass(frozen=True)
class RejectedSpike(Episode):
    """Very many outside addresses knock at one closed port of a public host."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = True

    minute: int = 42
    seconds: int = 180
    sources: int = parameter(4000, "outside addresses, each of which comes once", most=8000)
    port: int = parameter(8443, "port that they try", most=65_535)

    def play(self, stage: Stage) -> Played:
        """Let every source come once, at any time."""
        target = int(stage.generator.choice(stage.vpc.roles[Role.LOAD_BALANCER]))
        sources = stage.generator.permutation(stage.vpc.roles[Role.CROWD])[: self.sources]
        tried = conversations(
            stage.generator,
            client=sources,
            server=np.full(len(sources), target),
            server_port=self.port,
            begin=np.sort(stage.generator.integers(0, self.seconds, len(sources))) + stage.begin,
            outcome=Outcome.REFUSED,
        )
        return Played(
            tried, f"{len(sources)} sources refused at port {self.port} within {self.seconds} s", None, target
        )
