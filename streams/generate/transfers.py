"""What looks like a leak and is none: much that is fetched, or that stays inside."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.actors import paced, way_out
from streams.generate.conversation import conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class InternalMigration(Episode):
    """Databases move to other hosts of their own network, all at once."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 6
    seconds: int = 1200
    bytes: int = parameter(8_000 * _MEGABYTE, "payload that is copied in all")
    targets: int = parameter(4, "hosts that move, each to another one", most=1000)

    def play(self, stage: Stage) -> Played:
        """Copy each in a connection of its own, at the same time."""
        generator = stage.generator
        sources = generator.permutation(stage.vpc.roles[Role.DATABASE])[: self.targets]
        new = generator.permutation(stage.vpc.roles[Role.APPLICATION])[: len(sources)]
        moved = conversations(
            generator,
            client=sources[: len(new)],
            server=new,
            server_port=22,
            begin=np.full(len(new), stage.begin),
            seconds=self.seconds - 1,
            sent=self.bytes // len(new),
            received=self.bytes // len(new) // 2000,
        )
        return Played(moved, f"{len(new)} databases move inside, {self.bytes // _MEGABYTE} MB", None, None)


@dataclass(frozen=True)
class SoftwareUpdate(Episode):
    """Many hosts fetch the same update from one web site."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 9
    seconds: int = 1500
    clients: int = parameter(30, "programs that fetch it", most=4000)
    bytes: int = parameter(300 * _MEGABYTE, "payload that each fetches")

    def play(self, stage: Stage) -> Played:
        """Let one after the other fetch it, through the NAT gateway, and say what it has."""
        generator = stage.generator
        clients = generator.permutation(stage.vpc.having(Role.WORKER, Role.APPLICATION))[: self.clients]
        site = int(generator.choice(stage.vpc.roles[Role.SITE]))
        fetched = conversations(
            generator,
            client=clients,
            server=np.full(len(clients), site),
            server_port=443,
            begin=paced(stage, self.seconds // 2, len(clients), 1.0),
            seconds=self.seconds // 2 - 1,
            sent=generator.integers(20_000, 200_000, len(clients)),
            received=self.bytes,
            translator=way_out(stage, "outward"),
        )
        note = f"{len(clients)} hosts fetch an update of {self.bytes // _MEGABYTE} MB"
        return Played(fetched, note, None, site)


@dataclass(frozen=True)
class LargeDownload(Episode):
    """A workstation fetches a very large file from outside."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 18
    seconds: int = 600
    bytes: int = parameter(4_000 * _MEGABYTE, "payload that is fetched")

    def play(self, stage: Stage) -> Played:
        """Fetch it in one connection; what acknowledges it alone comes to much."""
        generator = stage.generator
        source = generator.choice(stage.vpc.roles[Role.WORKSTATION], 1)
        site = generator.choice(stage.vpc.roles[Role.STRANGER], 1)
        fetched = conversations(
            generator,
            client=source,
            server=site,
            server_port=443,
            begin=np.array([stage.begin]),
            seconds=self.seconds - 1,
            sent=2_000,
            received=self.bytes,
        )
        return Played(fetched, f"a file of {self.bytes // _MEGABYTE} MB is fetched", int(source[0]), int(site[0]))
