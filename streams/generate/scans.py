"""Scans that must be found."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from streams.generate.actors import INSIDE, INWARD, OUTWARD, attackers, hosts, jitter, paced, place, way_out
from streams.generate.conversation import ICMP, TCP, UDP, Numbers, Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role
from streams.generate.patterns import INSIDE as WORKING

PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}


_CLOSED: Final = 0.1
"""Part of the attempts that are let through, to a port where nobody listens."""


@dataclass(frozen=True)
class VerticalScan(Episode):
    """One address tries the ports of one host."""

    kind: ClassVar[str] = "vertical_scan"
    expect: ClassVar[bool] = True

    minute: int = 4
    seconds: int = 170
    ports: int = parameter(240, "ports that are tried, of the first 4,095", most=4095)
    closed: float = parameter(0.05, "part of the ports that the security group lets through to nobody", least=0, most=1)
    place: str = place(INWARD)
    protocol: str = parameter("tcp", "protocol", choices=("tcp", "udp"))
    jitter: float = jitter()

    def play(self, stage: Stage) -> Played:
        """Try low ports in random order."""
        generator = stage.generator
        if self.place == INWARD:
            source = int(generator.choice(stage.vpc.roles[Role.STRANGER]))
            target = int(generator.choice(stage.vpc.roles[Role.WEB][:6]))
        else:
            source = int(attackers(stage, self.place, 1)[0])
            target = int(hosts(stage, self.place, 1, source)[0])
        ports = generator.choice(np.arange(1, 4096), self.ports, replace=False)
        protocol = PROTOCOLS[self.protocol]
        # Outside nobody reports a refusal: a port that is closed there is silent.
        refused = Outcome.SILENT if self.place == OUTWARD else Outcome.REFUSED
        closed = Outcome.RESET if protocol == TCP else Outcome.SILENT
        tried = conversations(
            generator,
            client=np.full(self.ports, source),
            server=np.full(self.ports, target),
            server_port=ports,
            begin=paced(stage, self.seconds, self.ports, self.jitter),
            protocol=protocol,
            outcome=np.where(generator.random(self.ports) < self.closed, closed, refused),
            translator=way_out(stage, self.place),
        )
        return Played(tried, f"{self.ports} ports of one host within {self.seconds} s", source, target)


@dataclass(frozen=True)
class DistributedScan(Episode):
    """Many outside addresses share the ports of one host among them."""

    kind: ClassVar[str] = "vertical_scan"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 8
    seconds: int = 600
    sources: int = parameter(60, "addresses that take part", least=2, most=4000)
    ports: int = parameter(300, "ports that are tried, each by one of them", most=4095)
    jitter: float = jitter()

    def play(self, stage: Stage) -> Played:
        """Try each port once, the sources by turns."""
        sources = attackers(stage, INWARD, self.sources)
        target = int(stage.generator.choice(stage.vpc.public))
        tried = conversations(
            stage.generator,
            client=np.resize(sources, self.ports),
            server=np.full(self.ports, target),
            server_port=stage.generator.choice(np.arange(1, 4096), self.ports, replace=False),
            begin=paced(stage, self.seconds, self.ports, self.jitter),
            outcome=Outcome.REFUSED,
        )
        note = f"{self.ports} ports of one host from {len(sources)} addresses within {self.seconds} s"
        return Played(tried, note, None, target)


@dataclass(frozen=True)
class HorizontalScan(Episode):
    """One address tries one port of many hosts, used addresses or not."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = True

    minute: int = 15
    seconds: int = 230
    targets: int = parameter(140, "addresses that are tried", most=4000)
    unused: float = parameter(0.15, "part of them that no host has", least=0, most=1)
    port: int = parameter(445, "port that is tried", most=65_535)
    place: str = place(INSIDE)
    protocol: str = parameter("tcp", "protocol", choices=tuple(PROTOCOLS))
    jitter: float = jitter()

    def play(self, stage: Stage) -> Played:
        """Try hosts in random order; where hosts are too few, more of the addresses are unused."""
        generator = stage.generator
        if self.place == INSIDE:
            source = int(generator.choice(stage.vpc.roles[Role.WORKSTATION]))
        else:
            source = int(attackers(stage, self.place, 1)[0])
        targets, dark = self._targets(stage, source)
        refusal = generator.choice([Outcome.REFUSED, Outcome.SILENT, Outcome.RESET], len(targets), p=[0.85, 0.05, 0.1])
        if self.place == OUTWARD:
            refusal = np.where(refusal == Outcome.REFUSED, Outcome.SILENT, refusal)
        if self.protocol != "tcp":
            refusal = np.where(refusal == Outcome.RESET, Outcome.SILENT, refusal)
        tried = conversations(
            generator,
            client=np.full(len(targets), source),
            server=targets,
            server_port=self.port,
            begin=paced(stage, self.seconds, len(targets), self.jitter),
            protocol=PROTOCOLS[self.protocol],
            outcome=np.where(np.isin(targets, dark), Outcome.SILENT, refusal),
            translator=way_out(stage, self.place),
        )
        what = f"port {self.port}" if self.protocol == "tcp" else f"port {self.port} by UDP"
        what = "ICMP" if self.protocol == "icmp" else what
        where = {INSIDE: "internal hosts", INWARD: "own hosts from outside", OUTWARD: "outside hosts"}[self.place]
        return Played(tried, f"{what} on {len(targets)} {where} within {self.seconds} s", source)

    def _targets(self, stage: Stage, source: int) -> tuple[Numbers, Numbers]:
        """Choose the addresses, and say which of them nobody has."""
        generator = stage.generator
        if self.place == OUTWARD:
            return hosts(stage, OUTWARD, self.targets, source), np.empty(0, np.int64)
        used = generator.permutation(np.setdiff1d(stage.vpc.having(*WORKING), [source]))
        used = used[: round(self.targets * (1 - self.unused))]
        unused = generator.permutation(stage.vpc.roles[Role.UNUSED])[: self.targets - len(used)]
        targets = generator.permutation(np.concatenate([used, unused]))
        # Where nobody is, no interface refuses what comes from outside, and nothing is logged.
        return (used, unused) if self.place == INWARD else (targets, unused)


@dataclass(frozen=True)
class BlockScan(Episode):
    """One address tries several ports of several hosts."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 22
    seconds: int = 300
    targets: int = parameter(20, "hosts that are tried", least=2, most=4000)
    ports: int = parameter(20, "ports of each", least=2, most=4095)
    place: str = place(INSIDE)
    jitter: float = jitter()

    def play(self, stage: Stage) -> Played:
        """Try every port of every host, in random order."""
        return _block(stage, self)


@dataclass(frozen=True)
class SlowScan(Episode):
    """One address tries ports and hosts over hours, so slowly that no short window holds many."""

    kind: ClassVar[str] = "slow_scan"
    expect: ClassVar[bool] = True
    grade: ClassVar[str] = "should"
    usual: ClassVar[bool] = False

    minute: int = 1
    seconds: int = 3500
    targets: int = parameter(1, "hosts that are tried", most=4000)
    ports: int = parameter(60, "ports of each", most=4095)
    place: str = place(INWARD)
    jitter: float = jitter(0.5)

    def play(self, stage: Stage) -> Played:
        """Try every port of every host, in random order."""
        return _block(stage, self)


def _block(stage: Stage, scan: BlockScan | SlowScan) -> Played:
    source = int(attackers(stage, scan.place, 1)[0])
    targets = hosts(stage, scan.place, scan.targets, source)
    ports = stage.generator.choice(np.arange(1, 4096), scan.ports, replace=False)
    order = stage.generator.permutation(len(targets) * scan.ports)
    closed = stage.generator.random(len(order)) < _CLOSED
    tried = conversations(
        stage.generator,
        client=np.full(len(order), source),
        server=targets[order // scan.ports],
        server_port=ports[order % scan.ports],
        begin=paced(stage, scan.seconds, len(order), scan.jitter),
        outcome=np.where(closed, Outcome.RESET, Outcome.SILENT if scan.place == OUTWARD else Outcome.REFUSED),
        translator=way_out(stage, scan.place),
    )
    hosts_tried = "one host" if len(targets) == 1 else f"each of {len(targets)} hosts"
    note = f"{scan.ports} ports of {hosts_tried} within {scan.seconds} s"
    return Played(tried, note, source, int(targets[0]) if len(targets) == 1 else None)
