"""What looks like an attack and is none: nothing is to be found in it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.conversation import UDP, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class InternalBackup(Episode):
    """A database is copied to the backup server of its own network."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False

    minute: int = 10
    seconds: int = 480
    bytes: int = parameter(2_000 * _MEGABYTE, "payload that is copied")

    def play(self, stage: Stage) -> Played:
        """Copy it in one connection."""
        source = stage.vpc.roles[Role.DATABASE][:1]
        target = stage.vpc.roles[Role.BACKUP][:1]
        copied = conversations(
            stage.generator,
            client=source,
            server=target,
            server_port=873,
            begin=np.array([stage.begin]),
            seconds=self.seconds - 1,
            sent=self.bytes,
            received=self.bytes // 2000,
        )
        note = f"backup of {self.bytes // _MEGABYTE} MB inside the network"
        return Played(copied, note, int(source[0]), int(target[0]))


@dataclass(frozen=True)
class BusyWebClient(Episode):
    """A worker visits very many web sites, all of which answer."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = False

    minute: int = 20
    seconds: int = 1200
    sites: int = parameter(500, "web sites", most=800)
    visits: int = parameter(2000, "visits of all sites together", most=1_000_000)

    def play(self, stage: Stage) -> Played:
        """Visit all of them, through the NAT gateway."""
        generator = stage.generator
        source = int(generator.choice(stage.vpc.roles[Role.WORKER]))
        sites = generator.permutation(stage.vpc.roles[Role.SITE])[: self.sites]
        visited = conversations(
            generator,
            client=np.full(self.visits, source),
            server=generator.permutation(np.resize(sites, self.visits)),
            server_port=443,
            begin=np.sort(generator.integers(0, self.seconds, self.visits)) + stage.begin,
            seconds=generator.integers(0, 5, self.visits),
            sent=generator.integers(500, 3_000, self.visits),
            received=generator.integers(5_000, 200_000, self.visits),
            translator=int(stage.vpc.roles[Role.NAT_GATEWAY][0]),
        )
        return Played(visited, f"web client on {len(sites)} sites, all of which answer", source)


@dataclass(frozen=True)
class VideoCall(Episode):
    """A workstation holds a long call, as much in either direction."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False

    minute: int = 12
    seconds: int = 1800
    bytes_per_minute: int = parameter(15 * _MEGABYTE, "payload each way in a minute")

    def play(self, stage: Stage) -> Played:
        """Talk and listen all the time."""
        source = stage.generator.choice(stage.vpc.roles[Role.WORKSTATION], 1)
        target = stage.generator.choice(stage.vpc.roles[Role.STRANGER], 1)
        volume = self.bytes_per_minute * self.seconds // 60
        call = conversations(
            stage.generator,
            client=source,
            server=target,
            server_port=3478,
            begin=np.array([stage.begin]),
            seconds=self.seconds - 1,
            sent=volume,
            received=volume,
            protocol=UDP,
        )
        note = f"video call, {self.bytes_per_minute // _MEGABYTE} MB a minute each way"
        return Played(call, note, int(source[0]), int(target[0]))
