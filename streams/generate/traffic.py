"""Traffic put together: ordinary conversations and episodes, logged, ordered and written."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from zlib import crc32

import numpy as np
import polars as pl

from streams.errors import SettingsError
from streams.generate.background import HOUR, Background
from streams.generate.chosen import told_apart, usual
from streams.generate.conversation import Outcome
from streams.generate.episode import Episode, Played, Stage, Truth
from streams.generate.network import SMALLEST, Network
from streams.generate.reports import AGGREGATION_SECONDS, REPORTS, reports
from streams.generate.text import FORMATS, Version, lines

START: Final = 1_767_603_600
"""2026-01-05T09:00:00Z, a Monday morning: where traffic begins unless told otherwise, so that runs repeat."""

_BLOCK_BYTES: Final = 128 * 1024
_AGGREGATIONS: Final = (60, 600)
_SLICE_RECORDS: Final = 100_000
"""Records that are made at one go, about: enough for columns to pay off, few enough for memory."""


@dataclass(frozen=True)
class Traffic:
    """Flow log lines of an invented network, the same for the same parameters.

    Parameters
    ----------
    seed
        Other seeds give other traffic.
    start
        When it begins, epoch seconds.
    minutes
        How long it goes on.
    hosts
        Hosts in the network, at least 20.
    records_per_minute
        How many lines there are in a minute, about; the load follows the time of the day.
    version
        2 for AWS's default format, 5 for a custom one with a header line, `FORMATS` names both.
    attacks
        Whether there are attacks in it; what only looks like one is there anyway.
    aggregation
        How long a record lasts at most, seconds: 60 or 600.
    ipv6
        Part of the ordinary conversations that go over IPv6; above 0, every host has both.
    episodes
        What stands out in it, attacks or not; None for the usual ones.

    Raises
    ------
    SettingsError
        When a parameter is out of its range.

    Examples
    --------
    >>> traffic = Traffic(minutes=20, records_per_minute=500)
    >>> [(truth.kind, truth.note) for truth in traffic.truth() if truth.expect]
    [('vertical_scan', '240 ports of one host within 170 s'), \
('horizontal_scan', 'port 445 on 140 internal hosts within 230 s')]
    """

    seed: int = 1
    start: int = START
    minutes: int = 60
    hosts: int = 200
    records_per_minute: int = 8000
    version: Version = 5
    attacks: bool = True
    aggregation: int = AGGREGATION_SECONDS
    ipv6: float = 0.0
    episodes: tuple[Episode, ...] | None = None

    def __post_init__(self) -> None:
        lowest = {"seed": 0, "start": 946_684_800, "minutes": 1, "hosts": SMALLEST, "records_per_minute": 1}
        for name, minimum in lowest.items():
            if getattr(self, name) < minimum:
                raise SettingsError(
                    f"generated traffic: {name} is {getattr(self, name)}, but at least {minimum} is needed"
                )
        if self.version not in FORMATS:
            raise SettingsError(f"generated traffic: version is {self.version}, but only 2 and 5 can be written")
        if self.aggregation not in _AGGREGATIONS:
            raise SettingsError(
                f"generated traffic: aggregation is {self.aggregation}, but only 60 and 600 are possible"
            )
        if not 0 <= self.ipv6 <= 1:
            raise SettingsError(f"generated traffic: ipv6 is {self.ipv6:g}, but a part from 0 to 1 is needed")

    @property
    def end(self) -> int:
        """When it ends, epoch seconds, not included."""
        return self.start + 60 * self.minutes

    @property
    def format(self) -> str:
        """The fields of its lines."""
        return FORMATS[self.version]

    @cached_property
    def network(self) -> Network:
        """The network it is traffic of."""
        dual_stack = self.ipv6 > 0 or any(episode.ipv6 for episode in self._chosen)
        return Network.invented(self.hosts, self._chance("network"), dual_stack=dual_stack)

    def truth(self) -> list[Truth]:
        """Label what stands out in it, by the time at which it begins."""
        return sorted((label for label, _ in self.played()), key=lambda truth: (truth.start, truth.id))

    def played(self) -> Iterator[tuple[Truth, Played]]:
        """Yield what stands out with its label, hour after hour."""
        for hour in range(self.start, self.end, HOUR):
            for episode, played, stage in self._episodes(hour):
                yield from zip(episode.truth(played, stage), played.everything, strict=True)

    def blocks(self) -> Iterator[bytes]:
        """Write it, ordered by the end of the records.

        Yields
        ------
        bytes
            Whole lines, each with its line end, about 128 KiB of them; a header line first in version 5.
        """
        if self.version == 5:
            yield f"{self.format}\n".encode()
        for slice_reports in self._slices():
            yield from _cut(lines(slice_reports, self.network, self.version))

    def _slices(self) -> Iterator[pl.DataFrame]:
        """Log slice after slice of the time; what ends in a later slice waits for it."""
        length = self._slice_seconds
        waiting: defaultdict[int, list[pl.DataFrame]] = defaultdict(list)
        backgrounds = [
            Background(vpc, self.records_per_minute * vpc.hosts / self.hosts, self.start, self.aggregation)
            for vpc in self.network.vpcs
        ]
        for number, begin in enumerate(range(self.start, self.end, length)):
            end = min(begin + length, self.end)
            happening = [
                background.during(begin, end, self._chance("background", vpc, begin))
                for vpc, background in enumerate(backgrounds)
            ]
            if (begin - self.start) % HOUR == 0:
                until = min(begin + HOUR, self.end)
                happening += [
                    background.standing(begin, until, self._chance("standing", vpc, begin))
                    for vpc, background in enumerate(backgrounds)
                ]
            if self.ipv6 > 0:
                happening = [self._over_ipv6(pl.concat(happening), begin)]
            if (begin - self.start) % HOUR == 0:
                happening += [
                    part.conversations for _, played, _ in self._episodes(begin) for part in played.everything
                ]
            logged = reports(pl.concat(happening), self.network, self.aggregation).filter(pl.col("end") < self.end)
            slices = logged.with_columns(number=(pl.col("end") - self.start) // length)
            for key, part in slices.partition_by("number", as_dict=True, include_key=False).items():
                waiting[int(key[0])].append(part)
            yield pl.concat(waiting.pop(number, [pl.DataFrame(schema=REPORTS)])).sort("end", maintain_order=True)

    @property
    def _slice_seconds(self) -> int:
        """Length of a slice; an hour is a whole number of them."""
        return 60 * max((n for n in (1, 2, 5, 10) if n * self.records_per_minute <= _SLICE_RECORDS), default=1)

    def _episodes(self, hour: int) -> Iterator[tuple[Episode, Played, Stage]]:
        """Play what begins in an hour and ends in time."""
        production = self.network.vpcs[0]
        for episode in self._chosen:
            name, begin = type(episode).__name__, hour + 60 * episode.minute
            # What has a label of its own has chances of its own, whatever else is played.
            own = () if episode.label == name else (crc32(episode.label.encode()),)
            since = (hour - self.start) // HOUR - episode.hour
            if since < 0 or since % episode.period or begin + episode.seconds > self.end:
                continue
            stage = Stage(self.network, production, begin, self._chance(name, begin, *own))
            played = episode.play(stage)
            yield episode, played.over_ipv6(self.network) if episode.ipv6 else played, stage

    @cached_property
    def _chosen(self) -> tuple[Episode, ...]:
        everything = (*usual(expect=True), *usual(expect=False)) if self.episodes is None else self.episodes
        return told_apart(episode for episode in everything if self.attacks or not episode.expect)

    def _over_ipv6(self, conversations: pl.DataFrame, begin: int) -> pl.DataFrame:
        """Let a part of what is answered go between the IPv6 addresses of the same hosts, which need no NAT gateway."""
        drawn = pl.Series("drawn", self._chance("ipv6", begin).random(len(conversations)))
        ends = {end: self.network.twin.gather(conversations[end]) for end in ("client", "server")}
        moved = conversations.with_columns(
            (drawn < self.ipv6).alias("moved"), *(twin.alias(f"{end}_twin") for end, twin in ends.items())
        ).with_columns(
            moved=pl.col("moved")
            & (pl.col("outcome") == int(Outcome.ANSWERED))
            & pl.col("client_twin").is_not_null()
            & pl.col("server_twin").is_not_null()
        )
        return moved.with_columns(
            *(pl.when("moved").then(f"{end}_twin").otherwise(end).alias(end) for end in ends),
            translator=pl.when("moved").then(None).otherwise("translator"),
        ).select(conversations.columns)

    def _chance(self, name: str, *numbers: int) -> np.random.Generator:
        """Return a generator of its own for each purpose, so that none changes what another draws."""
        return np.random.default_rng([self.seed, crc32(name.encode()), *numbers])


def _cut(text: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(text):
        end = text.rfind(b"\n", begin, begin + _BLOCK_BYTES) + 1
        yield text[begin:end]
        begin = end
