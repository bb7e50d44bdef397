"""What is published while things break: ordinary traffic, attacks, records out of order, and messages that are none."""

import gzip
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from tests.faults.beside import Beside
from tests.streams.programs import flowhawk

LARGE_BYTES: Final = 900_000
"""As large as a broker takes a message, nearly."""

_DELAY_SECONDS: Final = 500
"""How late a record comes at most, as a rule; 15 minutes are allowed."""

_LATE_SECONDS: Final = (600, 1500)
"""How late the others come: too late or in time just so."""

_LATE_SHARE: Final = 0.02

_ANSWER_SECONDS: Final = 10

_START: Final = 1_767_603_600
"""2026-01-05 09:00 UTC, when the traffic begins."""

Value = bytes | None


def good_lines(chance: random.Random, minutes: int) -> list[str]:
    """Write traffic with scans in it, out of order: each record is delivered late, and some too late to count."""
    seed = str(chance.randrange(1_000_000))
    written = flowhawk("generate", "--seed", seed, "--minutes", str(minutes), "--rate", "1500", "--hosts", "40")
    lines = written.stdout.splitlines()[1:]
    for number in range(minutes):
        lines += _scan(f"203.0.113.{number + 1}", f"10.0.0.{chance.randrange(1, 200)}", _START + 60 * number, chance)
    return sorted(lines, key=lambda line: int(line.split()[11]) + _delay(chance))


def poison(chance: random.Random) -> list[Value]:
    """Return messages that hold no good record, in any of the ways that exist."""
    line = good_lines_of_the_future()
    return [
        b"certainly no flow",
        chance.randbytes(300),
        gzip.compress(line.encode() * 50, mtime=0)[:-20],
        gzip.compress(chance.randbytes(5000), mtime=0),
        b"x" * LARGE_BYTES,
        b"",
        None,
        b'{"account-id": ',
        line.encode(),
    ]


def good_lines_of_the_future() -> str:
    """Write a record from 2099: all is right with it but the time."""
    return _line("203.0.113.200", "10.0.0.7", 443, 4_070_908_800)


def messages(lines: Sequence[str], chance: random.Random) -> list[Value]:
    """Put lines into messages of one to a hundred, and poison in between."""
    found: list[Value] = []
    at = 0
    while at < len(lines):
        size = chance.choice((1, 5, 40, 100))
        found.append("\n".join(lines[at : at + size]).encode())
        at += size
    for value in poison(chance):
        found.insert(chance.randrange(len(found)), value)
    return found


class Publishing(Beside):
    """Publishes messages beside the test, in bursts spread over some seconds or more; what is left then, all at once.

    Parameters
    ----------
    bootstrap, topic
        Where to.
    values
        The messages.
    partitions
        Among how many partitions they are spread.
    seconds
        How long it takes while the test has more to do.
    chance
        How large the bursts are.

    Attributes
    ----------
    share
        How much of it may be published by now, from 0 to 1: on a slow machine time alone would leave nothing for the
        last faults.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        values: Sequence[Value],
        *,
        partitions: int = 1,
        seconds: float,
        chance: random.Random,
    ) -> None:
        super().__init__()
        self._bootstrap, self._topic = bootstrap, topic
        self._values = [(value, chance.randrange(partitions)) for value in values]
        self._seconds, self._chance = seconds, chance
        self.share = 0.0

    def run(self) -> None:
        """Publish everything."""
        at = 0
        while at < len(self._values):
            # Where the broker was away for too long, a burst is sent again: the log says what counts.
            with suppress(KafkaError), KafkaProducer(bootstrap_servers=self._bootstrap, acks="all") as producer:
                while at < len(self._values):
                    size = self._chance.randrange(1, 30)
                    sent = [
                        producer.send(self._topic, value, key=b"", partition=partition)
                        for value, partition in self._values[at:][:size]
                    ]
                    for each in sent:
                        each.get(timeout=_ANSWER_SECONDS)
                    at += size
                    self.over.wait(self._seconds * size / len(self._values))
                    while at > self.share * len(self._values) and not self.over.wait(0.05):
                        pass


def _delay(chance: random.Random) -> float:
    return chance.uniform(*_LATE_SECONDS) if chance.random() < _LATE_SHARE else chance.uniform(0, _DELAY_SECONDS)


def _scan(source: str, target: str, begin: int, chance: random.Random) -> list[str]:
    ports = chance.sample(range(1, 1024), chance.randrange(20, 40))
    return [_line(source, target, port, begin + chance.randrange(60)) for port in ports]


def _line(source: str, target: str, port: int, end: int) -> str:
    return (
        f"5 111122223333 eni-0a1b2c3d {source} {target} 40000 {port} 6 1 40 {end} {end} REJECT OK "
        f"vpc-0a1b2c3d4e5f60718 2 IPv4 {source} {target} ingress"
    )
