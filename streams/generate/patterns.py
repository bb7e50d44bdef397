"""Kinds of conversations that go on all the time, as a table."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import polars as pl

from streams.generate.conversation import ICMP, TCP, UDP, Numbers, Outcome, conversations
from streams.generate.network import HOSTS, Role, Vpc
from streams.generate.reports import AGGREGATION_SECONDS


@dataclass(frozen=True, slots=True)
class Spread:
    """A heavy-tailed quantity: log-normal around its median, held below a ceiling."""

    median: float
    sigma: float
    ceiling: float

    def draw(self, generator: np.random.Generator, count: int) -> Numbers:
        """Draw whole numbers, shape (count,)."""
        drawn = generator.lognormal(np.log(self.median), self.sigma, count)
        return np.minimum(drawn, self.ceiling).astype(np.int64)

    @property
    def mean(self) -> float:
        """Its expected value, about."""
        return _mean(self)


@cache
def _mean(spread: Spread) -> float:
    return float(spread.draw(np.random.default_rng(0), 10_000).mean())


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of conversation that goes on all the time.

    Attributes
    ----------
    share
        Its part of the records.
    clients, servers
        Who talks to whom; some of each do so far more often than others.
    port, protocol
        Where the servers listen.
    seconds, sent, received
        How long it takes, and the payload of the clients and the servers, bytes.
    failing
        Part of the attempts that find nobody.
    translated
        Whether it passes the NAT gateway.
    """

    share: float
    clients: tuple[Role, ...]
    servers: tuple[Role, ...]
    port: int
    seconds: Spread
    sent: Spread
    received: Spread
    protocol: int = TCP
    failing: float = 0.0
    translated: bool = False

    def conversations(
        self,
        vpc: Vpc,
        rate: float,
        begin: int,
        end: int,
        generator: np.random.Generator,
        *,
        aggregation_seconds: int = AGGREGATION_SECONDS,
    ) -> pl.DataFrame:
        """Draw what begins in a time.

        Parameters
        ----------
        vpc
            Where it goes on.
        rate
            Records per second, of all patterns of the VPC together.
        begin, end
            The time, epoch seconds, `end` not included.
        generator
            Where chance comes from.
        aggregation_seconds
            Length of the intervals that interfaces report on.
        """
        count = int(generator.poisson(rate * self.share * (end - begin) / self.records(aggregation_seconds)))
        failed = generator.random(count) < self.failing
        failure = generator.choice([Outcome.SILENT, Outcome.RESET], count)
        return conversations(
            generator,
            client=_some(vpc.having(*self.clients), count, generator),
            server=_some(vpc.having(*self.servers), count, generator),
            server_port=self.port,
            begin=generator.integers(begin, end, count),
            seconds=self.seconds.draw(generator, count),
            sent=self.sent.draw(generator, count),
            received=self.received.draw(generator, count),
            protocol=self.protocol,
            outcome=np.where(failed, failure, Outcome.ANSWERED),
            translator=int(vpc.roles[Role.NAT_GATEWAY][0]) if self.translated else None,
        )

    def records(self, aggregation_seconds: int) -> float:
        """How many records one conversation makes: each interface logs both directions, once an interval."""
        ends = sum(not set(roles).isdisjoint(_OWN) for roles in (self.clients, self.servers))
        return 2 * (ends + 2 * self.translated) * (1 + self.seconds.mean / aggregation_seconds)


def _some(addresses: Numbers, count: int, generator: np.random.Generator) -> Numbers:
    """Choose addresses, those in front more often: the density falls with the square root of the rank."""
    return addresses[(generator.random(count) ** 2 * len(addresses)).astype(np.int64)]


_OWN: Final = frozenset({*HOSTS, Role.LOAD_BALANCER_IPV6, Role.WORKER_IPV6})

INSIDE: Final = (*(Role.WEB, Role.APPLICATION, Role.DATABASE, Role.CACHE, Role.WORKER, Role.WORKSTATION),)
"""Roles of the hosts that do the work."""

_INSTANT: Final = Spread(0.6, 1.0, 30)
_SECONDS: Final = Spread(4, 1.2, 300)
_MINUTES: Final = Spread(60, 1.2, 1200)

_REQUEST: Final = Spread(1_500, 0.9, 200_000)
_PAGE: Final = Spread(9_000, 1.4, 5_000_000)
_UPLOAD: Final = Spread(2_500, 1.1, 2_000_000)
_DOWNLOAD: Final = Spread(25_000, 1.6, 50_000_000)
_LOOKUP: Final = Spread(300, 0.8, 50_000)
_VALUE: Final = Spread(1_500, 1.2, 500_000)
_QUERIES: Final = Spread(8_000, 1.2, 2_000_000)
_ROWS: Final = Spread(60_000, 1.5, 20_000_000)
_KEYSTROKES: Final = Spread(4_000, 1.0, 200_000)
_SCREEN: Final = Spread(9_000, 1.2, 2_000_000)
_NAME: Final = Spread(45, 0.3, 200)
_NAMED: Final = Spread(130, 0.5, 1_200)
_CLOCK: Final = Spread(48, 0.01, 48)
_ECHO: Final = Spread(168, 0.2, 500)

_VISITOR, _VISITOR_6 = (Role.VISITOR,), (Role.VISITOR_IPV6,)
_BALANCER, _BALANCER_6 = (Role.LOAD_BALANCER,), (Role.LOAD_BALANCER_IPV6,)
_WEB, _APPLICATION, _STORES = (Role.WEB,), (Role.APPLICATION,), (Role.DATABASE, Role.CACHE)
_PROGRAMS = (Role.APPLICATION, Role.WORKER)
_PEOPLE, _SITE = (Role.WORKSTATION,), (Role.SITE,)
_DATABASE, _CACHE = (Role.DATABASE,), (Role.CACHE,)
_WORKER_6, _SITE_6 = (Role.WORKER_IPV6,), (Role.SITE_IPV6,)
_RESOLVER, _BASTION, _MONITOR = (Role.RESOLVER,), (Role.BASTION,), (Role.MONITOR,)

PATTERNS: Final = (
    Pattern(0.21, _VISITOR, _BALANCER, 443, _SECONDS, _REQUEST, _PAGE),
    Pattern(0.02, _VISITOR_6, _BALANCER_6, 443, _SECONDS, _REQUEST, _PAGE),
    Pattern(0.16, _BALANCER, _WEB, 8080, _SECONDS, _REQUEST, _PAGE),
    Pattern(0.13, _WEB, _APPLICATION, 8443, _SECONDS, _REQUEST, _PAGE),
    Pattern(0.09, _APPLICATION, _CACHE, 6379, _INSTANT, _LOOKUP, _VALUE),
    Pattern(0.05, _PROGRAMS, _DATABASE, 5432, _MINUTES, _QUERIES, _ROWS),
    Pattern(0.02, _BASTION, INSIDE, 22, _MINUTES, _KEYSTROKES, _SCREEN),
    Pattern(0.09, INSIDE, _RESOLVER, 53, _INSTANT, _NAME, _NAMED, UDP),
    Pattern(0.01, _MONITOR, INSIDE, 0, _INSTANT, _ECHO, _ECHO, ICMP),
    Pattern(0.10, _PEOPLE, _SITE, 443, _SECONDS, _UPLOAD, _DOWNLOAD, failing=0.01, translated=True),
    Pattern(0.02, _PEOPLE, _SITE, 443, _SECONDS, _UPLOAD, _DOWNLOAD, UDP, translated=True),
    Pattern(0.04, _PROGRAMS, _SITE, 443, _SECONDS, _REQUEST, _PAGE, failing=0.005, translated=True),
    Pattern(0.02, _WORKER_6, _SITE_6, 443, _SECONDS, _REQUEST, _PAGE, failing=0.005),
    Pattern(0.02, _STORES, _SITE, 443, _SECONDS, _LOOKUP, _VALUE, translated=True),
    Pattern(0.02, INSIDE, _SITE, 123, _INSTANT, _CLOCK, _CLOCK, UDP, failing=0.01, translated=True),
)
"""What goes on in every VPC. A private host reaches the Internet through the NAT gateway, IPv6 needs none."""

_PROGRAMS_AND_DATA = (Role.APPLICATION, Role.DATABASE, Role.CACHE, Role.WORKER)

DISCOVERY: Final = (
    Pattern(0.02, INSIDE, INSIDE, 8301, _INSTANT, Spread(120, 0.6, 1_200), Spread(120, 0.6, 1_200), UDP),
    Pattern(0.005, INSIDE, _PROGRAMS_AND_DATA, 8301, _INSTANT, _LOOKUP, _VALUE),
    Pattern(0.005, _PROGRAMS_AND_DATA, _RESOLVER, 8500, _INSTANT, _LOOKUP, _VALUE),
)
"""How services find each other, as Consul and Kubernetes do: all talk to all, in short, and are answered."""
