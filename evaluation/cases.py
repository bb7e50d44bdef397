"""The attacks that are looked for, from fast to slow, and the traffic that they are hidden in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from evaluation.attack import Attack, attacks
from streams.generate import Traffic
from streams.generate.chosen import choose
from streams.generate.episode import Episode
from streams.generate.text import Version

WARM_UP_HOURS: Final = 1
"""Before the first attack, so that hosts have a past."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way of attacking.

    Attributes
    ----------
    kind
        Kind of the finding that is right.
    speed
        fast: done within 15 minutes. medium: within an hour. slow: takes an hour or more, 60 steps an hour at most.
    name
        What sets it apart, in words.
    attack
        How `flowhawk generate --attack` is asked for it.
    """

    kind: str
    speed: str
    name: str
    attack: str

    @property
    def label(self) -> str:
        """How its labels begin.

        >>> Case("vertical_scan", "fast", "over UDP", "vertical_scan").label
        'vertical_scan, fast, over UDP'
        """
        return f"{self.kind}, {self.speed}, {self.name}"

    @property
    def episode(self) -> Episode:
        """The episode, labelled as this case."""
        (episode,) = choose([self.attack], expect=True)
        return replace(episode, label=self.label)


_VERTICAL: Final = (
    Case("vertical_scan", "fast", "240 ports in 3 min", "vertical_scan"),
    Case("vertical_scan", "fast", "from inside", "vertical_scan:place=inside,ports=120"),
    Case("vertical_scan", "fast", "to outside", "vertical_scan:place=outward,ports=120"),
    Case("vertical_scan", "fast", "over UDP", "vertical_scan:protocol=udp,ports=120"),
    Case("vertical_scan", "fast", "over IPv6", "vertical_scan:ipv6=1,ports=120"),
    Case("vertical_scan", "fast", "60 sources", "distributed_scan"),
    Case("vertical_scan", "medium", "100 ports in 30 min", "vertical_scan:ports=100,seconds=1800,jitter=0.5"),
    Case("vertical_scan", "medium", "200 sources in 50 min", "distributed_scan:sources=200,ports=400,seconds=3000"),
    Case("vertical_scan", "slow", "60 ports an hour", "vertical_scan:ports=120,seconds=7200,jitter=0.5"),
    Case("vertical_scan", "slow", "30 ports an hour", "vertical_scan:ports=60,seconds=7200,jitter=0.5"),
    Case("vertical_scan", "slow", "10 ports an hour", "vertical_scan:ports=50,seconds=18000,jitter=1"),
)
_HORIZONTAL: Final = (
    Case("horizontal_scan", "fast", "140 hosts from inside", "horizontal_scan"),
    Case("horizontal_scan", "fast", "from outside", "horizontal_scan:place=inward,targets=120,port=22"),
    Case("horizontal_scan", "fast", "to outside", "horizontal_scan:place=outward,targets=200,port=23"),
    Case("horizontal_scan", "fast", "over UDP", "horizontal_scan:protocol=udp,port=161,targets=80"),
    Case("horizontal_scan", "fast", "by ping", "horizontal_scan:protocol=icmp,targets=80"),
    Case("horizontal_scan", "fast", "20 ports of 20 hosts", "block_scan"),
    Case("horizontal_scan", "fast", "3 ports of 60 hosts", "block_scan:targets=60,ports=3"),
    Case("horizontal_scan", "medium", "80 hosts in 40 min", "horizontal_scan:targets=80,seconds=2400,jitter=0.5"),
    Case("horizontal_scan", "medium", "10 ports of 12 hosts in 50 min", "block_scan:targets=12,ports=10,seconds=3000"),
    Case("horizontal_scan", "slow", "40 hosts an hour", "horizontal_scan:targets=80,seconds=7200,jitter=0.5"),
    Case("horizontal_scan", "slow", "20 hosts an hour", "horizontal_scan:targets=60,seconds=10800,jitter=0.5"),
)
_GUESSES: Final = (
    Case("brute_force", "fast", "SSH, 150 guesses in 10 min", "brute_force"),
    Case("brute_force", "fast", "SSH from inside", "brute_force:place=inside"),
    Case("brute_force", "fast", "RDP", "brute_force:port=3389,guesses=120"),
    Case("brute_force", "fast", "FTP", "brute_force:port=21,guesses=120"),
    Case("brute_force", "fast", "a database", "brute_force:port=5432,place=inside"),
    Case("brute_force", "fast", "SSH at port 2222", "brute_force:port=2222"),
    Case("brute_force", "fast", "over IPv6", "brute_force:ipv6=1"),
    Case("brute_force", "fast", "100 sources at one host", "brute_force:sources=100,guesses=400"),
    Case("brute_force", "fast", "one source at 40 hosts", "brute_force:targets=40,guesses=400"),
    Case("brute_force", "fast", "behind a sweep", "sweep_and_guess"),
    Case("brute_force", "medium", "SSH, 150 guesses in 50 min", "brute_force:seconds=3000,jitter=0.5"),
    Case("brute_force", "slow", "SSH, 60 guesses an hour", "brute_force:guesses=120,seconds=7200,jitter=0.5"),
    Case("brute_force", "slow", "SSH, 20 guesses an hour", "brute_force:guesses=100,seconds=18000,jitter=1"),
)
_LEAKS: Final = (
    Case("exfiltration_burst", "fast", "400 MB in 5 min", "exfiltration_burst"),
    Case("exfiltration_burst", "fast", "100 MB in 5 min", "exfiltration_burst:bytes=100000000"),
    Case("exfiltration_burst", "fast", "60 MB in 5 min", "exfiltration_burst:bytes=60000000"),
    Case("exfiltration_burst", "fast", "10 MB in 5 min", "exfiltration_burst:bytes=10000000"),
    Case("exfiltration_burst", "fast", "30 MB in 1 min", "exfiltration_burst:bytes=30000000,seconds=60,connections=1"),
    Case(
        "exfiltration_burst",
        "fast",
        "12 MB in 300 uploads",
        "exfiltration_burst:bytes=12000000,connections=300,host=application server",
    ),
    Case(
        "exfiltration_burst", "fast", "40 MB to 8 peers", "exfiltration_burst:bytes=40000000,targets=8,connections=16"
    ),
    Case("exfiltration_burst", "fast", "over IPv6", "exfiltration_burst:bytes=20000000,ipv6=1"),
    Case("exfiltration_burst", "fast", "over DNS", "exfiltration_burst:bytes=20000000,port=53,protocol=udp"),
    Case("exfiltration_burst", "fast", "by ping", "exfiltration_burst:bytes=20000000,protocol=icmp"),
    Case(
        "exfiltration_burst",
        "fast",
        "through a gateway",
        "exfiltration_burst:bytes=40000000,host=worker,gateway=1,port=8443",
    ),
    Case("exfiltration_burst", "medium", "400 MB in 50 min", "exfiltration_burst:seconds=3000"),
    Case("exfiltration_burst", "medium", "75 MB in 57 min", "slow_leak"),
)
_OTHERS: Final = (
    Case("rejected_spike", "fast", "4,000 sources in 3 min", "rejected_spike"),
    Case("rejected_spike", "fast", "500 sources in 3 min", "rejected_spike:sources=500"),
    Case("rejected_spike", "fast", "ten times the noise for 10 min", "rejected_spike:sources=570,seconds=600"),
    Case("rejected_spike", "fast", "one misconfigured client", "misconfigured_client"),
    Case("rejected_spike", "fast", "one client at 3 hosts", "misconfigured_client:targets=3,per_minute=120"),
    Case("rejected_spike", "fast", "a stranger at 9 hosts", "misconfigured_client:targets=9,place=inward"),
    Case("rejected_spike", "fast", "30 clients of a closed port", "closed_port"),
    Case("rejected_spike", "fast", "3,000 sources at 100 hosts", "network_burst"),
    Case("rejected_spike", "fast", "two addresses of an interface", "interface_under_fire"),
    Case("slow_scan", "slow", "60 ports in an hour", "slow_scan"),
    Case("slow_scan", "slow", "60 hosts in an hour", "slow_scan:targets=60,ports=1,place=inside"),
)
CASES: Final = (*_VERTICAL, *_HORIZONTAL, *_GUESSES, *_LEAKS, *_OTHERS)
"""Each is in the traffic once."""

LONG_CASES: Final = (
    Case("slow_scan", "slow", "240 ports in a day", "slow_scan:ports=240,seconds=86000,jitter=1"),
    Case("slow_scan", "slow", "90 hosts in a day", "slow_scan:targets=90,ports=1,seconds=86000,place=inside,jitter=1"),
    Case("exfiltration_burst", "slow", "200 MB in a day", "slow_leak:bytes=200000000,seconds=86000,connections=288"),
    Case(
        "exfiltration_burst",
        "slow",
        "200 MB in a day to 24 peers",
        "slow_leak:bytes=200000000,seconds=86000,connections=480,targets=24",
    ),
    Case(
        "exfiltration_burst",
        "slow",
        "200 MB in a day over IPv6",
        "slow_leak:bytes=200000000,seconds=86000,connections=1400,ipv6=1",
    ),
    Case("brute_force", "slow", "SSH, 6 guesses an hour", "brute_force:guesses=144,seconds=86000,jitter=1"),
)
"""Each takes a day."""

_ONCE: Final = 1000
"""Hours to the next, after the end."""

_APART_SECONDS: Final = 3600
"""Between attacks of the same actors."""

_IN_AN_HOUR: Final = 6
"""Cases that find room beside each other within an hour."""

_HOURS: Final = 9
"""Long enough for every case, the slow ones first."""


def hours_for(cases: Sequence[Case]) -> int:
    """Return how many hours some cases take: the longest of them, and an hour for every few that share actors.

    >>> hours_for(CASES), hours_for(CASES[:1])
    (9, 3)
    """
    longest = max((-(-each.episode.seconds // 3600) for each in cases), default=0)
    return min(WARM_UP_HOURS + longest + -(-len(cases) // _IN_AN_HOUR), _HOURS)


def attacked(
    seed: int, cases: Sequence[Case] = CASES, *, aggregation: int = 60, version: int = 5, hours: int = _HOURS
) -> Traffic:
    """Return traffic of nine hours with every case in it once, spread over the hours.

    Parameters
    ----------
    seed
        Other seeds give other actors, times and traffic.
    cases
        What is in it.
    aggregation, version
        Of `Traffic`.
    hours
        Fewer do for few cases.
    """
    plain = Traffic(
        seed=seed,
        minutes=60 * hours + 30,
        hosts=200,
        records_per_minute=1500,
        aggregation=aggregation,
        version=cast("Version", version),
    )
    left = hours - WARM_UP_HOURS
    taken: list[Attack] = []
    episodes: list[Episode] = []
    for number, case in enumerate(sorted(cases, key=lambda each: -each.episode.seconds)):
        episode = case.episode
        # The last hour that leaves it time to end; every hour gets its share, and seeds begin elsewhere.
        room = max(left - -(-episode.seconds // 3600), 1)
        first = number * 17 + seed * 7
        placed = (
            replace(
                episode, hour=WARM_UP_HOURS + (number * 5 + seed + hours_later) % room, every=_ONCE, minute=minute % 58
            )
            for hours_later in range(room)
            for minute in range(first, first + 58)
        )
        # Other minutes have other actors, and nobody could tell two attacks apart that share them at a time.
        chosen, played = next(
            (each, played)
            for each in placed
            if not _confused(played := attacks(replace(plain, episodes=(each,))), taken)
        )
        taken += played
        episodes.append(chosen)
    return replace(plain, episodes=tuple(episodes))


def _confused(some: Iterable[Attack], others: Sequence[Attack]) -> bool:
    """Say whether a finding of one attack could be taken for one of another."""
    return any(
        one.start < other.end + _APART_SECONDS
        and other.start < one.end + _APART_SECONDS
        and (one.sources & other.sources or (not (one.sources and other.sources) and one.targets & other.targets))
        for one in some
        for other in others
    )


def attacked_for_a_day(seed: int, cases: Sequence[Case] = LONG_CASES) -> Traffic:
    """Return traffic of 26 hours with the attacks in it that take a day."""
    episodes = tuple(replace(case.episode, hour=WARM_UP_HOURS, every=_ONCE) for case in cases)
    return Traffic(seed=seed, minutes=26 * 60, hosts=100, records_per_minute=500, episodes=episodes)


def ordinary(seed: int, *, minutes: int = 360, hosts: int = 200) -> Traffic:
    """Return traffic without any attack, and with everything that looks like one."""
    return Traffic(
        seed=seed, minutes=minutes, hosts=hosts, records_per_minute=3000, episodes=choose(["all"], expect=False)
    )
