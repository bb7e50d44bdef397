"""Traffic put together: ordinary conversations and episodes, logged, ordered and written."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from zlib import crc32

import numpy as np
import polars as pl

import streams.generate
from detectors.discovery import implementations
from streams.errors import SettingsError
from streams.generate.background import HOUR, Background
from streams.generate.episode import Episode, Played, Stage, Truth
from streams.generate.network import SMALLEST, Network
from streams.generate.reports import REPORTS, reports
from streams.generate.text import FORMATS, Version, lines

START: Final = 1_767_603_600
"""2026-01-05T09:00:00Z, a Monday morning: where traffic begins unless told otherwise, so that runs repeat."""

_BLOCK_BYTES: Final = 128 * 1024
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

    def __post_init__(self) -> None:
        lowest = {"seed": 0, "start": 946_684_800, "minutes": 1, "hosts": SMALLEST, "records_per_minute": 1}
        for name, minimum in lowest.items():
            if getattr(self, name) < minimum:
                raise SettingsError(
                    f"generated traffic: {name} is {getattr(self, name)}, but at least {minimum} is needed"
                )
        if self.version not in FORMATS:
            raise SettingsError(f"generated traffic: version is {self.version}, but only 2 and 5 can be written")

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
        return Network.invented(self.hosts, self._chance("network"))

    def truth(self) -> list[Truth]:
        """Label what stands out in it, by the time at which it begins."""
        labels = [
            episode.truth(played, stage)
            for hour in range(self.start, self.end, HOUR)
            for episode, played, stage in self._episodes(hour)
        ]
        return sorted(labels, key=lambda truth: (truth.start, truth.id))

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
            Background(vpc, self.records_per_minute * vpc.hosts / self.hosts, self.start) for vpc in self.network.vpcs
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
                happening += [played.conversations for _, played, _ in self._episodes(begin)]
            logged = reports(pl.concat(happening), self.network).filter(pl.col("end") < self.end)
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
        for kind in implementations(streams.generate, Episode):  # type: ignore[type-abstract]  # mypy issue 4717
            episode = kind()
            begin = hour + 60 * episode.minute
            if begin + episode.seconds > self.end or (episode.expect and not self.attacks):
                continue
            stage = Stage(self.network, production, begin, self._chance(kind.__name__, begin))
            yield episode, episode.play(stage), stage

    def _chance(self, name: str, *numbers: int) -> np.random.Generator:
        """Return a generator of its own for each purpose, so that none changes what another draws."""
        return np.random.default_rng([self.seed, crc32(name.encode()), *numbers])


def _cut(text: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(text):
        end = text.rfind(b"\n", begin, begin + _BLOCK_BYTES) + 1
        yield text[begin:end]
        begin = end
