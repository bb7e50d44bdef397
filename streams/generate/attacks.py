"""Attacks that must be found, besides scans and guesses."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.actors import paced
from streams.generate.conversation import Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class ExfiltrationBurst(Episode):
    """A database server, which hardly talks to the outside, sends much to one outside address."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = True

    minute: int = 30
    seconds: int = 300
    bytes: int = parameter(400 * _MEGABYTE, "payload that is sent")
    connections: int = parameter(6, "connections that it is sent in, one after the other")

    def play(self, stage: Stage) -> Played:
        """Send it in connections that follow each other."""
        databases = stage.vpc.roles[Role.DATABASE]
        source = int(stage.generator.choice(databases[len(databases) // 2 :]))
        target = int(stage.generator.choice(stage.vpc.roles[Role.STRANGER]))
        each = max(self.seconds // self.connections, 1)
        sent = conversations(
            stage.generator,
            client=np.full(self.connections, source),
            server=np.full(self.connections, target),
            server_port=443,
            begin=paced(stage, self.seconds, self.connections),
            seconds=each - 1,
            sent=self.bytes // self.connections,
            received=40_000,
        )
        note = f"{self.bytes // _MEGABYTE} MB to one outside address within {self.seconds} s"
        return Played(sent, note, source, target)


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
