"""What is in traffic, as it is held against findings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streams.generate import Traffic, Truth
from streams.generate.episode import Played

ENOUGH: Final[Mapping[str, int]] = {
    "vertical_scan": 15,
    "horizontal_scan": 25,
    "slow_scan": 25,
    "brute_force": 30,
    "exfiltration_burst": 100_000_000,
    "rejected_spike": 60,
}
"""Contacts, guesses, bytes or refused records from which on there is enough evidence, whatever the window.

15 ports and 25 hosts in vain and 30 guesses are Zeek's limits, 100 MB is that of Slips and Splunk, and 60 refused
records is the floor of the detector itself.
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """Something in the traffic that is to be found, or must not be.

    Attributes
    ----------
    label
        Which case it is.
    kind
        Kind of the finding that is, or would be, right.
    sources, targets
        Addresses that may be named as such; empty where there are many.
    start, end
        Its first and its last second, epoch seconds.
    expect
        Whether it is to be found.
    enough
        When there is enough evidence, epoch seconds; None where nobody can say.
    """

    label: str
    kind: str
    sources: frozenset[str]
    targets: frozenset[str]
    start: int
    end: int
    expect: bool
    enough: int | None = None

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> "Attack":
        """Read a line of a truth file."""
        return cls(
            label=f"{document['kind']}: {document['note']}",
            kind=document["kind"],
            sources=_named(document["source"]),
            targets=_named(document["target"]),
            start=document["start"],
            end=document["end"],
            expect=document["expect"],
        )


def attacks(traffic: Traffic) -> list[Attack]:
    """List what stands out in generated traffic.

    Where a NAT gateway is on the way it may be named in place of either end: its interface tells the same story.
    """
    return [_generated(truth, played, traffic) for truth, played in traffic.played()]


def _generated(truth: Truth, played: Played, traffic: Traffic) -> Attack:
    gateways = played.conversations["translator"].drop_nulls().unique().to_list()
    aliases = [str(traffic.network.text[place]) for place in gateways]
    return Attack(
        label=truth.id.split("/")[0] if played.kind is None else f"{truth.kind}, fast, before guesses",
        kind=truth.kind,
        sources=_named(truth.source, *aliases) if truth.source else frozenset(),
        targets=_named(truth.target, *aliases) if truth.target else frozenset(),
        start=truth.start,
        end=truth.end,
        expect=truth.expect,
        enough=enough(truth.kind, played),
    )


def enough(kind: str, played: Played) -> int:
    """Return when there is enough evidence of an attack: its last second where there never is."""
    ends = (played.conversations["begin"] + played.conversations["seconds"]).to_numpy()
    order = np.argsort(ends, kind="stable")
    steps = np.ones(len(ends), np.int64)
    if kind == "exfiltration_burst":
        steps = played.conversations["sent_bytes"].to_numpy()
    reached = np.cumsum(steps[order]) >= ENOUGH.get(kind, 1)
    return int(ends[order][int(np.argmax(reached))] if reached.any() else ends.max())


def _named(*addresses: str | None) -> frozenset[str]:
    return frozenset(each for each in addresses if each is not None)


def expected(found: Iterable[Attack]) -> list[Attack]:
    """Return those that are to be found."""
    return [each for each in found if each.expect]
