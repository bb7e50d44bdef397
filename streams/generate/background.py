"""Ordinary traffic: what hosts of each role do all day, and the noise of the Internet."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl

from streams.generate.conversation import ICMP, TCP, UDP, Numbers, Outcome, conversations
from streams.generate.network import Role, Vpc
from streams.generate.patterns import DISCOVERY, INSIDE, PATTERNS, Pattern, Spread
from streams.generate.reports import AGGREGATION_SECONDS

HOUR: Final = 3600

NOISE_PER_HOUR: Final = 300
"""Unasked-for packets that a public address gets in an hour."""

_RESEARCH_PER_HOUR: Final = 40
"""Of them, how many more come from scanners for research, which try another port each time."""

_RESEARCHERS: Final = 24

_CHECK: Final = 30
"""Seconds between two health checks of a target by one balancer."""

_SCRAPE: Final = 60
"""Seconds between two visits of the monitor."""

_MILLION: Final = 1_000_000


class Background:
    """Everything in a VPC that nobody needs to look at.

    Parameters
    ----------
    vpc
        Where it goes on.
    rate
        Records per minute at `start`, about.
    start
        When it begins, epoch seconds.
    aggregation_seconds
        Length of the intervals that interfaces report on: longer ones make fewer records of a conversation.
    """

    def __init__(self, vpc: Vpc, rate: float, start: int, aggregation_seconds: int = AGGREGATION_SECONDS) -> None:
        self._vpc = vpc
        self._start = start
        self._aggregation_seconds = aggregation_seconds
        checked, connected = 2 * len(vpc.roles[Role.WEB]), 2 * len(vpc.roles[Role.APPLICATION])
        noise = NOISE_PER_HOUR / 60 * (len(vpc.public) + 1)
        regular = 4 * (60 / _CHECK * checked + 60 / _SCRAPE * len(self._scraped) + connected)
        left = max(rate - noise, rate * 0.2)
        # Many hosts at a low rate do what they do regularly more seldom, so that the rate holds.
        self._seldom = max(1.0, regular / (left / 2))
        self._rate = (left - regular / self._seldom) / 60

    def during(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        """Draw what begins in a time, epoch seconds, `end` not included: columns of `CONVERSATIONS`."""
        return pl.concat(
            [
                *self._going_on(PATTERNS, begin, end, generator),
                self._health_checks(begin, end, generator),
                self._scraping(begin, end, generator),
                self._dead_service(begin, end, generator),
                self._noise(begin, end, generator),
                *self._going_on(DISCOVERY, begin, end, generator),
                self._research(begin, end, generator),
            ]
        )

    def _going_on(
        self, patterns: Sequence[Pattern], begin: int, end: int, generator: np.random.Generator
    ) -> Iterator[pl.DataFrame]:
        rate = self._rate * _load(begin) / _load(self._start)
        for pattern in patterns:
            yield pattern.conversations(
                self._vpc, rate, begin, end, generator, aggregation_seconds=self._aggregation_seconds
            )

    def standing(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        """Draw connections that stay open all the time: each application server keeps two to databases."""
        applications = self._vpc.roles[Role.APPLICATION]
        client = np.repeat(applications, 2)[: round(2 * len(applications) / self._seldom)]
        count = len(client)
        return conversations(
            generator,
            client=client,
            server=generator.choice(self._vpc.roles[Role.DATABASE], count),
            server_port=5432,
            begin=np.full(count, begin),
            seconds=end - begin - 1,
            sent=Spread(2 * _MILLION, 0.8, 50 * _MILLION).draw(generator, count) * (end - begin) // HOUR,
            received=Spread(10 * _MILLION, 1.0, 300 * _MILLION).draw(generator, count) * (end - begin) // HOUR,
            standing=True,
        )

    @property
    def _scraped(self) -> Numbers:
        return self._vpc.having(*INSIDE)

    def _health_checks(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        balancers, targets = self._vpc.roles[Role.LOAD_BALANCER], self._vpc.roles[Role.WEB]
        pairs, moments = _periodic(len(balancers) * len(targets), _CHECK * self._seldom, begin, end)
        return conversations(
            generator,
            client=balancers[pairs % len(balancers)],
            server=targets[pairs // len(balancers)],
            server_port=8080,
            begin=moments,
            sent=120,
            received=180,
        )

    def _scraping(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        targets, moments = _periodic(len(self._scraped), _SCRAPE * self._seldom, begin, end)
        return conversations(
            generator,
            client=np.full(len(targets), self._vpc.roles[Role.MONITOR][0]),
            server=self._scraped[targets],
            server_port=9100,
            begin=moments,
            sent=250,
            received=generator.integers(20_000, 60_000, len(targets)),
        )

    def _dead_service(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        """Draw the attempts of one worker that never learned that a service has moved."""
        _, moments = _periodic(1, 15, begin, end)
        return conversations(
            generator,
            client=np.full(len(moments), self._vpc.roles[Role.WORKER][-1]),
            server=np.full(len(moments), self._vpc.roles[Role.DATABASE][0]),
            server_port=5433,
            begin=moments,
            outcome=Outcome.REFUSED,
        )

    def _noise(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        gateway = self._vpc.roles[Role.NAT_GATEWAY]
        targets = np.concatenate([self._vpc.public, gateway])
        count = generator.poisson(NOISE_PER_HOUR * len(targets) * (end - begin) / HOUR)
        server = generator.choice(targets, count)
        scanners = self._vpc.roles[Role.SCANNER]
        scanner = generator.integers(0, len(scanners), count)
        # Each source is after one service only, wherever and whenever it comes by.
        taste = scanner % 100
        protocol = np.select([taste < 82, taste < 96], [TCP, UDP], ICMP)
        port = np.where(protocol == UDP, _UDP_NOISE[taste % len(_UDP_NOISE)], _TCP_NOISE[taste % len(_TCP_NOISE)])
        return conversations(
            generator,
            client=scanners[scanner],
            server=server,
            server_port=port,
            begin=generator.integers(begin, end, count),
            protocol=protocol,
            # A NAT gateway has no security group: what nobody asked for is let in, and gets no answer.
            outcome=np.where(np.isin(server, gateway), Outcome.SILENT, Outcome.REFUSED),
        )

    def _research(self, begin: int, end: int, generator: np.random.Generator) -> pl.DataFrame:
        """Draw the visits of those who measure the Internet: few sources, any port, all hosts, never in a hurry."""
        scanners = self._vpc.roles[Role.SCANNER][-_RESEARCHERS:]
        count = generator.poisson(_RESEARCH_PER_HOUR * len(self._vpc.public) * (end - begin) / HOUR)
        return conversations(
            generator,
            client=generator.choice(scanners, count),
            server=generator.choice(self._vpc.public, count),
            server_port=generator.integers(1, 65_536, count),
            begin=generator.integers(begin, end, count),
            outcome=Outcome.REFUSED,
        )


_TCP_NOISE: Final = np.array(
    [
        23,
        23,
        23,
        23,
        22,
        22,
        22,
        3389,
        3389,
        445,
        445,
        80,
        8080,
        443,
        2323,
        5555,
        6379,
        1433,
        3306,
        5900,
        8443,
        9200,
        5060,
        81,
        7547,
    ]
)
"""Ports that the Internet knocks at, the popular ones more often."""

_UDP_NOISE: Final = np.array([5060, 161, 123, 53, 1900, 389, 11211])


def _periodic(count: int, period: float, begin: int, end: int) -> tuple[Numbers, Numbers]:
    """Say which of `count` things that come round every `period` seconds comes when."""
    period = round(period)
    first = begin + (7 * np.arange(count) - begin) % period
    moments = first[:, None] + np.arange(0, end - begin, period)[None, :]
    thing, number = np.nonzero(moments < end)
    return thing, moments[thing, number]


def _load(moment: int) -> float:
    """Return how much of the mean load there is at a time of the day; most is at 14:00 UTC."""
    return float(1 + 0.4 * np.cos(2 * np.pi * ((moment % 86_400) / 86_400 - 14 / 24)))
