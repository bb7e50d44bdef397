"""Which attack is part of which, and which belong together."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from detectors.episodes import Key, continues
from detectors.finding import NETWORK, Detection, Finding

LINK_SECONDS: Final = 3600
"""What follows upon an attack within so much event time belongs to the same story."""

NEXT_SECONDS: Final = 300
"""A scan of one host that begins so long after a scan of many was last seen is the next step, and no part of it."""

_RELATED: Final = 20
"""How many others a finding names at most."""

_DAY: Final = 86_400

_FAST: Final = ("horizontal_scan", "vertical_scan")
_SLOW: Final = "slow_scan"
_SPIKE: Final = "rejected_spike"
_LEAK: Final = "exfiltration_burst"

_PARTS: Final = {("horizontal_scan", "vertical_scan"), ("horizontal_scan", _SLOW), (_SLOW, _SLOW)}
"""Kinds of a scan of many hosts and of a scan of one of them."""


class Told(NamedTuple):
    """What is remembered of a finding that is over."""

    of: Key
    id: str
    first_seen: int
    window_end: int
    ports: tuple[int, ...]
    suppressed_by: str | None = None
    observed: bool = False

    @classmethod
    def by(cls, of: Key, finding: Finding) -> "Told":
        """Keep what matters of a finding."""
        kept = finding.suppressed_by, finding.observed
        return cls(of, finding.id, finding.first_seen, finding.window_end, finding.ports, *kept)

    @property
    def kept_seconds(self) -> int:
        """How long it is remembered: slow scans look back a day, and must not tell of fast ones again."""
        return _DAY + LINK_SECONDS if self.of[0] in _FAST else LINK_SECONDS


def rank(detection: Detection) -> int:
    """Order the detections of a pane so that a bigger story comes before what is part of it."""
    if detection.kind == _SPIKE:
        ends = detection.source, detection.target
        return int(detection.entity != NETWORK) + int(ends != (None, None))
    return 2 * (detection.kind == _SLOW) + (detection.source is not None and detection.target is not None)


def contains(
    big: Key, big_ports: Iterable[int], small: Key, small_ports: Iterable[int], interface: str | None = None
) -> bool:
    """Say whether one attack is part of another that goes on at the same time; `interface` reported the smaller one.

    A scan of many hosts contains the scans of single hosts by the same source at the same ports, fast or slow, but a
    slow one no fast one; guessing at many hosts that at single ones, guessing by many sources that by single ones at
    the same port, a fast scan the slow one between the same ends, a spike of the whole network, or of an interface,
    those at mostly the same ports, and a leak to many peers that to single ones.
    """
    of_kinds = big[0], small[0]
    shared, ports = set(big_ports) & set(small_ports), set(small_ports)
    if of_kinds in _PARTS and big[3] is None and small[3] is not None:
        return _actor(big) == _actor(small) and 2 * len(shared) >= len(ports) > 0
    if big[0] in _FAST and small[0] == _SLOW:
        return _actor(big) == _actor(small) and _victim(big) == _victim(small)
    if of_kinds == (_SPIKE, _SPIKE):
        whole = _everywhere(big) and not _everywhere(small)
        behind = big[2:] == (None, None, interface) and small[2:4] != (None, None)
        return (whole or behind) and 2 * len(shared) >= len(ports)
    if of_kinds == (_LEAK, _LEAK):
        return big[3] is None and small[3] is not None and _actor(big) == _actor(small)
    if of_kinds == ("brute_force", "brute_force") and None not in (small[2], small[3]):
        whole = big[3] is None and _actor(big) == _actor(small)
        joined = big[2] is None and _victim(big) == _victim(small) and bool(shared)
        return whole or joined
    return False


def containing(of: Key, part: Detection | Finding, among: Mapping[Key, Finding]) -> Key | None:
    """Return the bigger story that goes on and that something is part of.

    Parameters
    ----------
    of, part
        What may be part of another.
    among
        Findings that are open.
    """
    pane = part.pane if isinstance(part, Detection) else part.window_start
    found = [
        each
        for each, finding in among.items()
        if each != of
        and continues(finding, pane)
        and contains(each, finding.ports, of, part.ports, part.interface_id)
        and not _is_next(part, finding)
    ]
    return min(found, key=lambda each: among[each].id, default=None)


def _is_next(part: Detection | Finding, big: Finding) -> bool:
    return part.kind == "vertical_scan" and part.first_seen > big.last_seen + NEXT_SECONDS


def retold(told: Told, of: Key, detection: Detection) -> bool:
    """Say whether a slow scan rests on what a fast one, which is over, has told already."""
    return (
        detection.kind == _SLOW
        and told.window_end > detection.window_start
        and contains(told.of, told.ports, of, detection.ports)
    )


def akin(one: Key, other: Key) -> bool:
    """Say whether two attacks have an actor in common, or the host acted on where the actors of one are many."""
    if _actor(one) is not None and _actor(one) == _actor(other):
        return True
    return None in (one[2], other[2]) and _victim(one) is not None and _victim(one) == _victim(other)


def related(finding: Finding, others: Iterable[str]) -> tuple[str, ...]:
    """Return the findings that one names, with others among them."""
    return tuple(sorted({*finding.related, *others} - {finding.id})[:_RELATED])


def _everywhere(of: Key) -> bool:
    """Say whether an attack is about the whole network."""
    return of[2:] == (None, None, NETWORK)


def _actor(of: Key) -> tuple[str, str] | None:
    _, scope, source, _, _ = of
    return None if source is None else (scope, source)


def _victim(of: Key) -> tuple[str, str] | None:
    """Return the host acted on; the entity's scope is its own where sources are many."""
    _, scope, source, target, other = of
    return None if target is None else (scope if source is None else other, target)
