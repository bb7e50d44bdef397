"""What is refused: changes that shut clients out, floods, and what has always been refused."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streams.generate.actors import INSIDE, INWARD, attackers, jitter, paced
from streams.generate.conversation import Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Role
from streams.generate.patterns import INSIDE as WORKING


@dataclass(frozen=True)
class MisconfiguredClient(Episode):
    """After a change one client tries a service that refuses it, again and again."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 11
    seconds: int = 600
    per_minute: int = parameter(90, "attempts in a minute", most=60_000)
    targets: int = parameter(1, "hosts of the service, tried by turns", most=20)
    port: int = parameter(5432, "port of the service", most=65_535)
    place: str = parameter(INSIDE, "inward: the client is outside; inside: an own host", choices=(INWARD, INSIDE))
    jitter: float = jitter(0.5)

    def play(self, stage: Stage) -> Played:
        """Let it go on at the same pace."""
        source = int(attackers(stage, self.place, 1)[0])
        servers = stage.generator.permutation(stage.vpc.having(Role.DATABASE, Role.CACHE))[: self.targets]
        count = self.per_minute * self.seconds // 60
        tried = conversations(
            stage.generator,
            client=np.full(count, source),
            server=np.resize(servers, count),
            server_port=self.port,
            begin=paced(stage, self.seconds, count, self.jitter),
            outcome=Outcome.REFUSED,
        )
        note = f"{self.per_minute} refusals a minute of one client at port {self.port} of {len(servers)} hosts"
        return Played(tried, note, source, int(servers[0]) if len(servers) == 1 else None)


@dataclass(frozen=True)
class ClosedPort(Episode):
    """A deployment closes a port of a service that all its clients go on using."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 19
    seconds: int = 900
    clients: int = parameter(30, "clients of the service", most=4000)
    pause: int = parameter(12, "seconds between two attempts of one", most=3600)
    port: int = parameter(8443, "port that is closed", most=65_535)

    def play(self, stage: Stage) -> Played:
        """Let each client try as often as before."""
        generator = stage.generator
        clients = generator.permutation(stage.vpc.having(Role.APPLICATION, Role.WORKER))[: self.clients]
        target = int(generator.choice(stage.vpc.roles[Role.CACHE]))
        rounds = max(self.seconds // self.pause, 1)
        begin = stage.begin + np.arange(rounds)[:, None] * self.pause + generator.integers(0, self.pause, len(clients))
        tried = conversations(
            generator,
            client=np.tile(clients, rounds),
            server=np.full(rounds * len(clients), target),
            server_port=self.port,
            begin=np.minimum(begin, stage.begin + self.seconds - 1).ravel(),
            outcome=Outcome.REFUSED,
        )
        return Played(tried, f"{len(clients)} clients refused at port {self.port} of one host", None, target)


@dataclass(frozen=True)
class NetworkBurst(Episode):
    """Very many outside addresses try one port of very many hosts, few times each."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 27
    seconds: int = 240
    sources: int = parameter(3000, "outside addresses that take part", most=8000)
    targets: int = parameter(100, "hosts that they try", least=2, most=4000)
    attempts: int = parameter(4800, "attempts of all together", most=10_000_000)
    port: int = parameter(7547, "port that they try", most=65_535)

    def play(self, stage: Stage) -> Played:
        """Let anybody try any host at any time."""
        generator = stage.generator
        sources = generator.permutation(stage.vpc.roles[Role.CROWD])[: self.sources]
        targets = generator.permutation(stage.vpc.having(*WORKING))[: self.targets]
        tried = conversations(
            generator,
            client=generator.choice(sources, self.attempts),
            server=generator.choice(targets, self.attempts),
            server_port=self.port,
            begin=np.sort(generator.integers(0, self.seconds, self.attempts)) + stage.begin,
            outcome=Outcome.REFUSED,
        )
        note = f"{len(sources)} sources refused {self.attempts} times at port {self.port} of {len(targets)} hosts"
        return Played(tried, note)


@dataclass(frozen=True)
class InterfaceUnderFire(Episode):
    """Outside addresses of both families knock at a closed port of one balancer, whose interface has one of each."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 36
    seconds: int = 300
    per_minute: int = parameter(160, "attempts in a minute, half of them over IPv6", most=60_000)
    port: int = parameter(9443, "port that they try", most=65_535)

    def play(self, stage: Stage) -> Played:
        """Let both addresses be tried by turns."""
        generator, roles = stage.generator, stage.vpc.roles
        count = self.per_minute * self.seconds // 60
        over_ipv6 = np.arange(count) % 2 == 1
        place = int(generator.integers(0, len(roles[Role.LOAD_BALANCER])))
        strangers, visitors = (generator.choice(roles[role], count) for role in (Role.CROWD, Role.VISITOR_IPV6))
        tried = conversations(
            generator,
            client=np.where(over_ipv6, visitors, strangers),
            server=np.where(over_ipv6, roles[Role.LOAD_BALANCER_IPV6][place], roles[Role.LOAD_BALANCER][place]),
            server_port=self.port,
            begin=paced(stage, self.seconds, count, 1.0),
            outcome=Outcome.REFUSED,
        )
        return Played(tried, f"{self.per_minute} refusals a minute at both addresses of one interface")


@dataclass(frozen=True)
class BurstyNoise(Episode):
    """The noise of the Internet comes to one public host in bursts, now hardly any, now several times the usual."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    seconds: int = 3600
    per_hour: int = parameter(300, "packets in an hour beside those that come anyway", most=1_000_000)
    shape: float = parameter(
        2.0, "shape of the gamma distribution that each minute's rate has: less is wilder", least=0.1
    )

    def play(self, stage: Stage) -> Played:
        """Draw the rate of every minute, always of the same host."""
        generator = stage.generator
        target = int(stage.vpc.roles[Role.BASTION][0])
        minutes = max(self.seconds // 60, 1)
        counts = generator.poisson(generator.gamma(self.shape, self.per_hour / 60 / self.shape, minutes))
        begin = np.repeat(np.arange(minutes) * 60, counts) + generator.integers(0, 60, counts.sum())
        came = conversations(
            generator,
            client=generator.choice(stage.vpc.roles[Role.SCANNER], len(begin)),
            server=np.full(len(begin), target),
            server_port=generator.choice([22, 23, 80, 443, 445, 2323, 3389, 5900, 6379, 8080], len(begin)),
            begin=np.sort(begin) + stage.begin,
            outcome=Outcome.REFUSED,
        )
        return Played(came, f"{self.per_hour} packets of noise an hour, in bursts", None, target)


@dataclass(frozen=True)
class LockedDownTarget(Episode):
    """Both balancers check a target whose security group has refused them from the first day on."""

    kind: ClassVar[str] = "rejected_spike"
    expect: ClassVar[bool] = False
    usual: ClassVar[bool] = False

    seconds: int = 3600
    pause: int = parameter(3, "seconds between two checks of one balancer", most=3600)

    def play(self, stage: Stage) -> Played:
        """Check on and on, always the same target."""
        balancers = stage.vpc.roles[Role.LOAD_BALANCER]
        target = int(stage.vpc.roles[Role.CACHE][-1])
        rounds = max(self.seconds // self.pause, 1)
        begin = stage.begin + np.arange(rounds)[:, None] * self.pause + np.arange(len(balancers))
        checked = conversations(
            stage.generator,
            client=np.tile(balancers, rounds),
            server=np.full(rounds * len(balancers), target),
            server_port=8081,
            begin=np.minimum(begin, stage.begin + self.seconds - 1).ravel(),
            outcome=Outcome.REFUSED,
        )
        return Played(checked, f"health checks every {self.pause} s that have always been refused", None, target)
