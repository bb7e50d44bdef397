"""Leaks that must be found: fast and slow, to one address or several, in one connection or many."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from streams.generate.actors import jitter, paced, way_out
from streams.generate.conversation import conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role
from streams.generate.scans import PROTOCOLS

_MEGABYTE = 1_000_000

_ROLES: Final = ("database", "application server", "worker", "workstation")


@dataclass(frozen=True)
class ExfiltrationBurst(Episode):
    """A database server, which hardly talks to the outside, sends much to one outside address."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = True

    minute: int = 30
    seconds: int = 300
    bytes: int = parameter(400 * _MEGABYTE, "payload that is sent")
    connections: int = parameter(6, "connections that it is sent in, one after the other")
    targets: int = parameter(1, "outside addresses that it is sent to, by turns", most=500)
    port: int = parameter(443, "port that it is sent to", most=65_535)
    protocol: str = parameter("tcp", "protocol", choices=tuple(PROTOCOLS))
    host: str = parameter("database", "what kind of host sends", choices=_ROLES)
    gateway: int = parameter(0, "1: through the NAT gateway", least=0, most=1)
    jitter: float = jitter()

    def play(self, stage: Stage) -> Played:
        """Send it in connections that follow each other."""
        generator = stage.generator
        those = stage.vpc.roles[Role(self.host)]
        source = int(generator.choice(those[len(those) // 2 :]))
        strangers = stage.vpc.roles[Role.STRANGER]
        targets = np.array([generator.choice(strangers)])
        if self.targets > 1:
            targets = generator.choice(strangers, self.targets, replace=False)
        each = max(self.seconds // self.connections, 1)
        sent = conversations(
            generator,
            client=np.full(self.connections, source),
            server=np.resize(targets, self.connections),
            server_port=self.port,
            begin=paced(stage, self.seconds, self.connections, self.jitter),
            # One that begins late takes no longer than the whole.
            seconds=max(each - 1, 0) if not self.jitter else min(each // 10, 59),
            sent=self.bytes // self.connections,
            received=min(40_000, self.bytes // self.connections // 20),
            protocol=PROTOCOLS[self.protocol],
            translator=way_out(stage, "outward") if self.gateway else None,
        )
        whom = "one outside address" if self.targets == 1 else f"{self.targets} outside addresses"
        note = f"{self.bytes // _MEGABYTE} MB to {whom} within {self.seconds} s"
        return Played(sent, note, source, int(targets[0]) if self.targets == 1 else None)


@dataclass(frozen=True)
class SlowLeak(ExfiltrationBurst):
    """The same so slowly that no few minutes show it: a little every minute, or every few."""

    usual: ClassVar[bool] = False

    minute: int = 3
    seconds: int = 3400
    bytes: int = parameter(75 * _MEGABYTE, "payload that is sent")
    connections: int = parameter(60, "connections that it is sent in, one after the other")
    jitter: float = jitter(0.5)
