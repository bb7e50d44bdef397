"""Who takes part in an attack, where from, and at what pace."""

from typing import Any, Final

import numpy as np

from streams.generate.conversation import Numbers
from streams.generate.episode import Stage, parameter
from streams.generate.network import Indices, Role
from streams.generate.patterns import INSIDE as WORKING

INWARD: Final = "inward"
INSIDE: Final = "inside"
OUTWARD: Final = "outward"
PLACES: Final = (INWARD, INSIDE, OUTWARD)


def place(default: str) -> Any:
    """Declare where the attacker and its targets are."""
    return parameter(
        default, "inward: from outside; inside: among own hosts; outward: from an own host to outside", choices=PLACES
    )


def jitter(default: float = 0.0) -> Any:
    """Declare how unsteady the pace is."""
    return parameter(default, "how far pauses differ from an even pace: 0 not at all, 1 fully", least=0, most=1)


def paced(stage: Stage, seconds: int, count: int, jitter: float = 0.0) -> Numbers:
    """Spread moments evenly over a time, the first at its first second and the last before its end."""
    even = stage.begin + np.arange(count) * seconds // count
    if not jitter:
        return even
    moved = even + np.round(stage.generator.uniform(0, jitter, count) * seconds / count).astype(np.int64)
    return np.minimum(moved, stage.begin + seconds - 1)


def attackers(stage: Stage, where: str, count: int) -> Indices:
    """Choose who acts: outside addresses, or own workstations and workers, each once."""
    if where == INWARD:
        strangers = stage.vpc.roles[Role.STRANGER]
        return stage.generator.permutation(strangers if count <= len(strangers) else stage.vpc.roles[Role.CROWD])[
            :count
        ]
    roles = (Role.WORKSTATION,) if count <= len(stage.vpc.roles[Role.WORKSTATION]) else (Role.WORKSTATION, Role.WORKER)
    return stage.generator.permutation(stage.vpc.having(*roles))[:count]


_SERVERS: Final = {5432: Role.DATABASE, 6379: Role.CACHE}
"""Where services of a port are to be had, other than everywhere."""


def hosts(stage: Stage, where: str, count: int, *but: int, port: int | None = None) -> Indices:
    """Choose who is acted on: outside addresses, or own hosts, each once; fewer where there are not so many.

    Whoever is after the service of a port looks for it where it is.
    """
    own = WORKING if port not in _SERVERS else (_SERVERS[port],)
    roles = (Role.CROWD,) if where == OUTWARD else own
    return stage.generator.permutation(np.setdiff1d(stage.vpc.having(*roles), but))[:count]


def way_out(stage: Stage, where: str) -> int | None:
    """Return the NAT gateway that a private host needs to reach the outside."""
    return int(stage.vpc.roles[Role.NAT_GATEWAY][0]) if where == OUTWARD else None
