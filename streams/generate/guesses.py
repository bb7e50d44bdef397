"""Guesses at passwords: conversations that succeed, short and alike, over and over."""

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar, Final

import numpy as np
import polars as pl

from streams.generate.actors import INWARD, attackers, hosts, jitter, paced, place, way_out
from streams.generate.conversation import Numbers, Outcome, conversations
from streams.generate.episode import Episode, Played, Stage, parameter
from streams.generate.network import Indices

_SEGMENT: Final = 150
"""Bytes of payload in a packet: both ends take turns, so packets are small."""

_PAYLOAD: Final = (700, 1_700)
"""Bytes each way: with headers 1 to 4 kB in 10 to 25 packets, as a login over SSH that fails has."""

_DATABASE_PAYLOAD: Final = (150, 450)
"""The same at a database: no keys are exchanged, so there is little more than a name, a challenge and a refusal."""

_DATABASES: Final = (1433, 1521, 3306, 5432, 6379, 27017)


@dataclass(frozen=True)
class BruteForce(Episode):
    """Passwords of a login service are guessed: many guesses, or a few at many hosts, or from many sources."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 33
    seconds: int = 600
    guesses: int = parameter(150, "guesses in all", most=1_000_000)
    port: int = parameter(22, "port of the login service", most=65_535)
    sources: int = parameter(1, "addresses that guess, by turns", most=4000)
    targets: int = parameter(1, "hosts at which they guess, by turns", most=4000)
    place: str = place(INWARD)
    jitter: float = jitter(0.3)

    def play(self, stage: Stage) -> Played:
        """Let every guess be a connection of its own, which is answered."""
        sources = attackers(stage, self.place, self.sources)
        targets = hosts(stage, self.place, self.targets, *sources.tolist(), port=self.port)
        moments = paced(stage, self.seconds, self.guesses, self.jitter)
        guessed = guesses(stage, self, sources, targets, moments)
        who = "one address" if len(sources) == 1 else f"{len(sources)} addresses"
        whom = "one host" if len(targets) == 1 else f"{len(targets)} hosts"
        note = f"{self.guesses} guesses from {who} at port {self.port} of {whom} within {self.seconds} s"
        return Played(
            guessed,
            note,
            int(sources[0]) if len(sources) == 1 else None,
            int(targets[0]) if len(targets) == 1 else None,
        )


@dataclass(frozen=True)
class SweepAndGuess(Episode):
    """One address looks for a login service on many hosts, then guesses passwords where it found one."""

    kind: ClassVar[str] = "brute_force"
    expect: ClassVar[bool] = True
    usual: ClassVar[bool] = False

    minute: int = 45
    seconds: int = 600
    targets: int = parameter(60, "hosts that are tried", most=4000)
    open: float = parameter(0.1, "part of them where the service answers", least=0, most=1)
    guesses: int = parameter(150, "guesses in all", most=1_000_000)
    port: int = parameter(22, "port of the login service", most=65_535)
    place: str = place(INWARD)
    jitter: float = jitter(0.3)

    def play(self, stage: Stage) -> Played:
        """Sweep for a fifth of the time, and guess for the rest of it."""
        sources = attackers(stage, self.place, 1)
        targets = hosts(stage, self.place, self.targets, *sources.tolist())
        found = targets[: max(round(len(targets) * self.open), 1)]
        sweep_seconds = max(self.seconds // 5, 1)
        order = stage.generator.permutation(targets)
        swept = conversations(
            stage.generator,
            client=np.resize(sources, len(order)),
            server=order,
            server_port=self.port,
            begin=paced(stage, sweep_seconds, len(order), self.jitter),
            outcome=np.where(np.isin(order, found), Outcome.ANSWERED, Outcome.REFUSED),
            translator=way_out(stage, self.place),
        )
        later = replace(stage, begin=stage.begin + sweep_seconds)
        moments = paced(later, max(self.seconds - sweep_seconds, 1), self.guesses, self.jitter)
        guessed = guesses(stage, self, sources, found, moments)
        source = int(sources[0])
        sweep = Played(
            swept, f"port {self.port} on {len(order)} hosts within {sweep_seconds} s", source, kind="horizontal_scan"
        )
        note = f"{self.guesses} guesses at port {self.port} of {len(found)} hosts that a sweep had found"
        return Played(guessed, note, source, int(found[0]) if len(found) == 1 else None, also=(sweep,))


def guesses(
    stage: Stage, episode: BruteForce | SweepAndGuess, sources: Indices, targets: Indices, moments: Numbers
) -> pl.DataFrame:
    """Make a conversation of each guess; sources and targets come by turns, so that each meets each."""
    generator, turn = stage.generator, np.arange(len(moments))
    # Where both go by turns, each round begins with the next target, so that every source meets every target.
    shift = turn // (len(sources) * len(targets) // gcd(len(sources), len(targets)))
    payload = _DATABASE_PAYLOAD if episode.port in _DATABASES else _PAYLOAD
    guessed = conversations(
        generator,
        client=sources[turn % len(sources)],
        server=targets[(turn + shift) % len(targets)],
        server_port=episode.port,
        begin=moments,
        seconds=np.minimum(generator.integers(1, 6, len(moments)), episode.seconds),
        sent=generator.integers(*payload, len(moments)),
        received=generator.integers(*payload, len(moments)),
        translator=way_out(stage, episode.place),
        segment=_SEGMENT,
    )
    # A program takes other ports before it takes one again.
    ports = np.resize(generator.permutation(np.arange(32_768, 61_000)), len(moments))
    return guessed.with_columns(client_port=pl.Series(ports, dtype=pl.UInt16))
