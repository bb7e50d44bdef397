"""Findings held against what is in the traffic.

A finding **tells of** an attack when they overlap in time, with a slack for the aggregation interval, and agree on
their ends: wherever both name one address it is the same, and they share at least one, unless the attack has none to
share. It **finds** the attack when it is also of the same family: all scans are one, since a scan of many ports on
many hosts may rightly be told either way. Of any other family it is a **side finding**: the reject spike that a scan
makes, for example. A finding that tells of no attack is **false**.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from detectors.finding import Finding
from evaluation.attack import Attack

SLACK_SECONDS: Final = 60


def family(kind: str) -> str:
    """Say which kinds count as the same.

    >>> family("slow_scan"), family("brute_force")
    ('scan', 'brute_force')
    """
    return "scan" if kind == "scan" or kind.endswith("_scan") else kind


def tells_of(finding: Finding, attack: Attack, slack: int = SLACK_SECONDS) -> bool:
    """Say whether a finding and an attack agree on their ends and overlap in time."""
    if finding.first_seen > attack.end + slack or finding.last_seen < attack.start - slack:
        return False
    ends = [(finding.source, attack.sources), (finding.target, attack.targets)]
    both = [(named, may_be) for named, may_be in ends if named is not None and may_be]
    if any(named not in may_be for named, may_be in both):
        return False
    return bool(both) or not (attack.sources or attack.targets)


def finds(finding: Finding, attack: Attack, slack: int = SLACK_SECONDS) -> bool:
    """Say whether a finding tells of an attack, and is of its family."""
    return family(finding.kind) == family(attack.kind) and tells_of(finding, attack, slack)


@dataclass(frozen=True, slots=True)
class Told:
    """A finding as it was published.

    Attributes
    ----------
    at
        Event time of the newest record by then, epoch seconds.
    finding
        Its state.
    """

    at: int
    finding: Finding


@dataclass(slots=True)
class Verdict:
    """What became of one attack.

    Attributes
    ----------
    attack
        The attack.
    findings
        Confirmed findings that stand at the end and find it.
    provisional_at, confirmed_at
        Event time of the first of either kind, epoch seconds; None for none.
    """

    attack: Attack
    findings: list[Finding] = field(default_factory=list)
    provisional_at: int | None = None
    confirmed_at: int | None = None

    @property
    def found(self) -> bool:
        """Whether a finding that stands finds it."""
        return bool(self.findings)

    @property
    def early_delay(self) -> int | None:
        """Seconds from enough evidence to the first word, provisional or not."""
        told = [at for at in (self.provisional_at, self.confirmed_at) if at is not None]
        return min(told) - self.attack.enough if self.found and told and self.attack.enough is not None else None

    @property
    def confirmed_delay(self) -> int | None:
        """Seconds from enough evidence to the first confirmed finding."""
        known = self.found and self.confirmed_at is not None and self.attack.enough is not None
        return self.confirmed_at - self.attack.enough if known else None  # type: ignore[operator]  # known says so


@dataclass(slots=True)
class Score:
    """What became of everything in one traffic.

    Attributes
    ----------
    verdicts
        One for each attack that is to be found.
    true, side, false
        Findings that stand, by whether they find an attack, tell of one, or neither.
    mistaken
        For each of `false` the label of the lookalike it tells of, None for ordinary traffic.
    withdrawn
        How many provisional findings were retracted.
    host_days
        Hosts times days.
    """

    verdicts: list[Verdict]
    true: list[Finding]
    side: list[Finding]
    false: list[Finding]
    mistaken: list[str | None]
    withdrawn: int
    host_days: float


def standing(told: Iterable[Told]) -> list[Finding]:
    """Return the last state of each confirmed finding."""
    last = {each.finding.id: each.finding for each in told}
    return [each for each in last.values() if not each.provisional and each.status not in {"retracted", "superseded"}]


def score(told: Sequence[Told], present: Sequence[Attack], host_days: float, slack: int = SLACK_SECONDS) -> Score:
    """Hold everything that was published against everything that is in the traffic.

    Parameters
    ----------
    told
        Every state that was published, in order.
    present
        What is in the traffic, to be found or not.
    host_days
        Hosts times days.
    slack
        Seconds by which times may differ: the aggregation interval.
    """
    there = [each for each in present if each.expect]
    lookalikes = [each for each in present if not each.expect]
    stand = standing(told)
    verdicts = [_verdict(attack, told, stand, slack) for attack in there]
    true, side, false, mistaken = [], [], [], []
    for finding in stand:
        if any(finds(finding, attack, slack) for attack in there):
            true.append(finding)
        elif any(tells_of(finding, attack, slack) for attack in there):
            side.append(finding)
        else:
            false.append(finding)
            alike = (each.label for each in lookalikes if tells_of(finding, each, slack))
            mistaken.append(next(alike, None))
    withdrawn = {each.finding.id for each in told if each.finding.status == "retracted"}
    return Score(verdicts, true, side, false, mistaken, len(withdrawn), host_days)


def _verdict(attack: Attack, told: Sequence[Told], stand: Iterable[Finding], slack: int) -> Verdict:
    own = [finding for finding in stand if finds(finding, attack, slack)]
    words = [each for each in told if finds(each.finding, attack, slack)]
    early = [each.at for each in words if each.finding.provisional and each.finding.status == "open"]
    confirmed = [each.at for each in words if not each.finding.provisional]
    return Verdict(attack, own, min(early, default=None), min(confirmed, default=None))
