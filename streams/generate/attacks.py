"""Attacks that must be found."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.conversation import Numbers, Outcome, conversations
from streams.generate.episode import Episode, Played, Stage
from streams.generate.network import Role

_MEGABYTE = 1_000_000


def _paced(stage: Stage, seconds: int, count: int) -> Numbers:
    """Spread moments evenly over a time, the first at its first second and the last before its end."""
    return stage.begin + np.arange(count) * seconds // count


@dataclass(frozen=True)
class VerticalScan(Episode):
    """One outside address tries the ports of one public host."""

    kind: ClassVar[str] = "vertical_scan"
    expect: ClassVar[bool] = True

    minute: int = 4
    seconds: int = 170
    ports: int = 240
    closed: float = 0.05
    """Part of the ports that the security group lets through to nobody."""

    def play(self, stage: Stage) -> Played:
        """Try low ports in random order."""
        source = int(stage.generator.choice(stage.vpc.roles[Role.STRANGER]))
        target = int(stage.generator.choice(stage.vpc.roles[Role.WEB][:6]))
        ports = stage.generator.choice(np.arange(1, 4096), self.ports, replace=False)
        tried = conversations(
            stage.generator,
            client=np.full(self.ports, source),
            server=np.full(self.ports, target),
            server_port=ports,
            begin=_paced(stage, self.seconds, self.ports),
            outcome=np.where(stage.generator.random(self.ports) < self.closed, Outcome.RESET, Outcome.REFUSED),
        )
        return Played(tried, f"{self.ports} ports of one host within {self.seconds} s", source, target)


@dataclass(frozen=True)
class HorizontalScan(Episode):
    """A workstation tries one port on many hosts of its own network, used addresses or not."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = True

    minute: int = 15
    seconds: int = 230
    targets: int = 140
    unused: float = 0.15
    """Part of the targets that no host has."""
    port: int = 445

    def play(self, stage: Stage) -> Played:
        """Try hosts in random order; where hosts are too few, more of the addresses are unused."""
        vpc, generator = stage.vpc, stage.generator
        source = int(generator.choice(vpc.roles[Role.WORKSTATION]))
        hosts = np.setdiff1d(
            vpc.having(Role.WEB, Role.APPLICATION, Role.DATABASE, Role.CACHE, Role.WORKER, Role.WORKSTATION), [source]
        )
        used = generator.permutation(hosts)[: round(self.targets * (1 - self.unused))]
        unused = generator.permutation(vpc.roles[Role.UNUSED])[: self.targets - len(used)]
        targets = generator.permutation(np.concatenate([used, unused]))
        refusal = generator.choice([Outcome.REFUSED, Outcome.SILENT, Outcome.RESET], len(targets), p=[0.85, 0.05, 0.1])
        tried = conversations(
            generator,
            client=np.full(len(targets), source),
            server=targets,
            server_port=self.port,
            begin=_paced(stage, self.seconds, len(targets)),
            outcome=np.where(np.isin(targets, unused), Outcome.SILENT, refusal),
        )
        return Played(tried, f"port {self.port} on {len(targets)} internal hosts within {self.seconds} s", source)


@dataclass(frozen=True)
class ExfiltrationBurst(Episode):
    """A database server, which hardly talks to the outside, sends much to one outside address."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = True

    minute: int = 30
    seconds: int = 300
    bytes: int = 400 * _MEGABYTE
    connections: int = 6

    def play(self, stage: Stage) -> Played:
        """Send it in connections that follow each other."""
        databases = stage.vpc.roles[Role.DATABASE]
        source = int(stage.generator.choice(databases[len(databases) // 2 :]))
        target = int(stage.generator.choice(stage.vpc.roles[Role.STRANGER]))
        each = self.seconds // self.connections
        sent = conversations(
            stage.generator,
            client=np.full(self.connections, source),
            server=np.full(self.connections, target),
            server_port=443,
            begin=_paced(stage, self.seconds, self.connections),
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
    sources: int = 4000
    port: int = 8443

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
