"""What looks like an attack and is none: hosts that go wrong, and hosts that work hard."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.actors import paced, way_out
from streams.generate.conversation import TCP, UDP, Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role
from streams.generate.patterns import INSIDE, Spread

_MEGABYTE = 1_000_000
_TURNS = 200
"""Bytes of payload in a packet where both ends take turns."""


@dataclass(frozen=True)
class Backscatter(Episode):
    """A victim of spoofing answers to ports of an own host that never asked: the forged addresses were its."""

    kind: ClassVar[str] = "vertical_scan"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 2
    seconds: int = 900
    answers: int = parameter(400, "answers that come, each to another port", most=28_000)

    def play(self, stage: Stage) -> Played:
        """Let the answers come to ports of clients."""
        generator = stage.generator
        victim = int(generator.choice(stage.vpc.roles[Role.STRANGER]))
        target = int(generator.choice(stage.vpc.public))
        ports = generator.choice(np.arange(32_768, 61_000), self.answers, replace=False)
        answered = conversations(
            generator,
            client=np.full(self.answers, target),
            server=np.full(self.answers, victim),
            server_port=443,
            begin=paced(stage, self.seconds, self.answers, 1.0),
            outcome=Outcome.UNASKED,
        ).with_columns(client_port=ports.astype(np.uint16))
        return Played(answered, f"answers of a spoofed victim to {self.answers} ports", victim, target)


@dataclass(frozen=True)
class DeadService(Episode):
    """Programs go on trying an address at which nobody is any more."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 5
    seconds: int = 3200
    clients: int = parameter(30, "programs that try", most=4000)
    pause: int = parameter(20, "seconds between two attempts of one", most=3600)

    def play(self, stage: Stage) -> Played:
        """Let each try again and again, and hear nothing."""
        generator = stage.generator
        clients = generator.permutation(stage.vpc.having(Role.APPLICATION, Role.WORKER))[: self.clients]
        target = int(generator.choice(stage.vpc.roles[Role.UNUSED]))
        rounds = max(self.seconds // self.pause, 1)
        begin = stage.begin + np.arange(rounds)[:, None] * self.pause + generator.integers(0, 5, len(clients))
        tried = conversations(
            generator,
            client=np.tile(clients, rounds),
            server=np.full(rounds * len(clients), target),
            server_port=8443,
            begin=begin.ravel(),
            outcome=Outcome.SILENT,
        )
        return Played(tried, f"{len(clients)} programs try a service that is gone", None, target)


@dataclass(frozen=True)
class ServerDown(Episode):
    """A client tries the few ports of its server, which is down, until it is up again."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 25
    seconds: int = 900
    pause: int = parameter(3, "seconds between two attempts", most=3600)

    def play(self, stage: Stage) -> Played:
        """Try each port in turn; a reset comes at once."""
        generator = stage.generator
        source = int(generator.choice(stage.vpc.roles[Role.APPLICATION]))
        target = int(generator.choice(stage.vpc.roles[Role.DATABASE]))
        count = max(self.seconds // self.pause, 1)
        tried = conversations(
            generator,
            client=np.full(count, source),
            server=np.full(count, target),
            server_port=np.resize([5432, 5433, 6432], count),
            begin=paced(stage, self.seconds, count),
            outcome=Outcome.RESET,
        )
        return Played(tried, f"a client tries its server, which is down, {count} times", source, target)


@dataclass(frozen=True)
class MonitoringPoll(Episode):
    """A monitor asks hundreds of hosts for several of their services, and all answer."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 7
    seconds: int = 300
    ports: int = parameter(5, "services that each host is asked for", most=7)

    def play(self, stage: Stage) -> Played:
        """Ask every host once at every port."""
        generator = stage.generator
        source = int(stage.vpc.roles[Role.MONITOR][0])
        ports = np.array([9100, 22, 161, 443, 10_250, 8301, 111][: self.ports])
        asked = generator.permutation(stage.vpc.having(*INSIDE))
        order = generator.permutation(len(asked) * len(ports))
        polled = conversations(
            generator,
            client=np.full(len(order), source),
            server=asked[order // len(ports)],
            server_port=ports[order % len(ports)],
            begin=paced(stage, self.seconds, len(order)),
            sent=generator.integers(100, 400, len(order)),
            received=generator.integers(200, 3_000, len(order)),
        )
        return Played(polled, f"a monitor polls {len(ports)} ports of {len(asked)} hosts, all answer", source)


@dataclass(frozen=True)
class ConnectionPool(Episode):
    """A program opens a new connection to its database for every query."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 11
    seconds: int = 1800
    connections: int = parameter(2500, "connections that are opened", most=1_000_000)
    port: int = parameter(3306, "port of the database", most=65_535)

    def play(self, stage: Stage) -> Played:
        """Ask in short connections that differ in what they bring."""
        generator = stage.generator
        source = int(generator.choice(stage.vpc.roles[Role.APPLICATION]))
        target = int(generator.choice(stage.vpc.roles[Role.DATABASE]))
        asked = conversations(
            generator,
            client=np.full(self.connections, source),
            server=np.full(self.connections, target),
            server_port=self.port,
            begin=paced(stage, self.seconds, self.connections, 1.0),
            sent=Spread(700, 0.5, 20_000).draw(generator, self.connections),
            received=Spread(2_500, 1.0, 500_000).draw(generator, self.connections),
            segment=_TURNS,
        )
        return Played(asked, f"{self.connections} short connections of a program to its database", source, target)


@dataclass(frozen=True)
class CiOverSsh(Episode):
    """A build server logs in to many hosts over SSH, again and again, to deploy."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 17
    seconds: int = 1200
    targets: int = parameter(40, "hosts it deploys to", most=4000)
    logins: int = parameter(8, "connections to each", most=1000)

    def play(self, stage: Stage) -> Played:
        """Log in to host after host, and run something there."""
        generator = stage.generator
        source = int(stage.vpc.roles[Role.BASTION][0])
        targets = generator.permutation(stage.vpc.having(Role.WEB, Role.APPLICATION, Role.WORKER))[: self.targets]
        count = len(targets) * self.logins
        deployed = conversations(
            generator,
            client=np.full(count, source),
            server=np.repeat(targets, self.logins),
            server_port=22,
            begin=paced(stage, self.seconds, count, 0.5),
            seconds=np.minimum(Spread(6, 1.0, 120).draw(generator, count), self.seconds),
            sent=Spread(6_000, 1.0, 2_000_000).draw(generator, count),
            received=Spread(5_000, 0.8, 500_000).draw(generator, count),
            segment=_TURNS,
        )
        return Played(deployed, f"CI logs in to {len(targets)} hosts over SSH, {self.logins} times each", source)


@dataclass(frozen=True)
class BusyGateway(Episode):
    """Very many clients behind one NAT gateway visit the same sites, a few of which are down."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 29
    seconds: int = 1500
    visits: int = parameter(4000, "visits of all clients together", most=1_000_000)
    failing: float = parameter(0.02, "part of the visits that find nobody", least=0, most=1)

    def play(self, stage: Stage) -> Played:
        """Visit any site from any client."""
        generator, gateway = stage.generator, way_out(stage, "outward")
        clients = stage.vpc.having(Role.WORKSTATION, Role.WORKER)
        failed = generator.random(self.visits) < self.failing
        visited = conversations(
            generator,
            client=generator.choice(clients, self.visits),
            server=generator.choice(stage.vpc.roles[Role.SITE], self.visits),
            server_port=443,
            begin=paced(stage, self.seconds, self.visits, 1.0),
            seconds=generator.integers(0, 5, self.visits),
            sent=generator.integers(500, 3_000, self.visits),
            received=generator.integers(5_000, 100_000, self.visits),
            outcome=np.where(failed, Outcome.SILENT, Outcome.ANSWERED),
            translator=gateway,
        )
        return Played(visited, f"{len(clients)} clients behind a NAT gateway make {self.visits} visits", gateway)


@dataclass(frozen=True)
class PeerToPeer(Episode):
    """A workstation with a public address looks for peers of a file-sharing network, most of which are gone."""

    kind: ClassVar[str] = "horizontal_scan"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 31
    seconds: int = 1500
    peers: int = parameter(1200, "peers that are asked, each once", most=8000)
    gone: float = parameter(0.6, "part of them that do not answer", least=0, most=1)
    usual_port: float = parameter(0.25, "part of them at the port that is usual; others choose theirs", least=0, most=1)

    def play(self, stage: Stage) -> Played:
        """Ask peer after peer, over UDP and TCP."""
        generator = stage.generator
        source = int(generator.choice(stage.vpc.roles[Role.WORKSTATION]))
        peers = generator.permutation(stage.vpc.roles[Role.CROWD])[: self.peers]
        count = len(peers)
        asked = conversations(
            generator,
            client=np.full(count, source),
            server=peers,
            server_port=np.where(
                generator.random(count) < self.usual_port, 6881, generator.integers(1_025, 65_536, count)
            ),
            begin=paced(stage, self.seconds, count, 1.0),
            sent=generator.integers(60, 400, count),
            received=generator.integers(60, 2_000, count),
            protocol=np.where(generator.random(count) < 0.6, UDP, TCP),
            outcome=np.where(generator.random(count) < self.gone, Outcome.SILENT, Outcome.ANSWERED),
        )
        return Played(asked, f"a workstation asks {count} peers of a file-sharing network", source)


@dataclass(frozen=True)
class NightlyBackup(Episode):
    """A database is copied to the same storage outside, at the same hour of every night."""

    kind: ClassVar[str] = "exfiltration_burst"
    expect: ClassVar[bool] = False
    grade: ClassVar[str] = "hard"
    usual: ClassVar[bool] = False

    minute: int = 3
    seconds: int = 1800
    every: int = 24
    bytes: int = parameter(2_000 * _MEGABYTE, "payload that is sent")

    def play(self, stage: Stage) -> Played:
        """Copy it in four connections."""
        source, target = int(stage.vpc.roles[Role.DATABASE][0]), int(stage.vpc.roles[Role.SITE][0])
        each = max(self.seconds // 4, 1)
        copied = conversations(
            stage.generator,
            client=np.full(4, source),
            server=np.full(4, target),
            server_port=443,
            begin=stage.begin + np.arange(4) * each,
            seconds=each - 1,
            sent=self.bytes // 4,
            received=100_000,
        )
        return Played(copied, f"nightly backup of {self.bytes // _MEGABYTE} MB to storage outside", source, target)


@dataclass(frozen=True)
class Crawler(Episode):
    """A search engine reads the web site, page after page, each in a connection of its own."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    minute: int = 14
    seconds: int = 2400
    pages: int = parameter(1500, "pages that are read", most=1_000_000)

    def play(self, stage: Stage) -> Played:
        """Read from both load balancers."""
        generator = stage.generator
        source = int(generator.choice(stage.vpc.roles[Role.STRANGER]))
        read = conversations(
            generator,
            client=np.full(self.pages, source),
            server=generator.choice(stage.vpc.roles[Role.LOAD_BALANCER], self.pages),
            server_port=443,
            begin=paced(stage, self.seconds, self.pages, 1.0),
            seconds=generator.integers(0, 3, self.pages),
            sent=Spread(900, 0.2, 3_000).draw(generator, self.pages),
            received=Spread(15_000, 1.2, 2_000_000).draw(generator, self.pages),
        )
        return Played(read, f"a crawler reads {self.pages} pages", source)
