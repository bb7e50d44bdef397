"""Scores summed up: how much is found of each case, how soon, how often, and what is found that is not there."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from evaluation.matching import Score, Verdict, family

Row = dict[str, Any]


def cases(scores: Iterable[Score]) -> list[Row]:
    """Sum up each case over all traffic that it is in.

    Returns
    -------
    list
        One row per label: kind, speed, name, how many attacks there were and were found, how many by a finding of their
        own kind, findings for each found attack, and the median and the longest delay of both words, seconds.
    """
    grouped: defaultdict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for each in scores:
        for verdict in each.verdicts:
            grouped[verdict.attack.label, verdict.attack.kind].append(verdict)
    rows = []
    for (label, kind), verdicts in grouped.items():
        _, speed, name = (*label.split(", ", 2), "", "")[:3]
        rows.append({"kind": kind, "speed": speed, "name": name} | _summed(verdicts))
    return rows


def speeds(scores: Iterable[Score]) -> list[Row]:
    """Sum up each kind and speed, as `cases` does."""
    grouped: defaultdict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for each in scores:
        for verdict in each.verdicts:
            grouped[verdict.attack.kind, verdict.attack.label.split(", ")[1]].append(verdict)
    return [{"kind": kind, "speed": speed} | _summed(verdicts) for (kind, speed), verdicts in grouped.items()]


def _summed(verdicts: Sequence[Verdict]) -> Row:
    found = [each for each in verdicts if each.found]
    own = [each for each in found if any(finding.kind == each.attack.kind for finding in each.findings)]
    return {
        "attacks": len(verdicts),
        "found": len(found),
        "as_its_kind": len(own),
        "findings": sum(len(each.findings) for each in found),
        "early_delay": _delays(each.early_delay for each in verdicts),
        "confirmed_delay": _delays(each.confirmed_delay for each in verdicts),
    }


def _delays(delays: Iterable[int | None]) -> list[float] | None:
    known = [each for each in delays if each is not None]
    return [median(known), max(known)] if known else None


def kinds(scores: Sequence[Score]) -> list[Row]:
    """Sum up the findings of each kind.

    Returns
    -------
    list
        One row per kind of finding: how many were true, side findings and false, and the precision, true among true and
        false; None where there was neither.
    """
    counts = {
        part: Counter(finding.kind for score in scores for finding in getattr(score, part))
        for part in ("true", "side", "false")
    }
    rows = []
    for kind in sorted({kind for counter in counts.values() for kind in counter}):
        judged = counts["true"][kind] + counts["false"][kind]
        precision = counts["true"][kind] / judged if judged else None
        rows.append({"kind": kind} | {part: counts[part][kind] for part in counts} | {"precision": precision})
    return rows


def ordinary(scores: Sequence[Score]) -> Row:
    """Sum up traffic without attacks: what was found all the same, by kind and by what it was mistaken for."""
    host_days = sum(each.host_days for each in scores)
    mistaken: Counter[tuple[str, str | None]] = Counter()
    for each in scores:
        mistaken.update((finding.kind, alike) for finding, alike in zip(each.false, each.mistaken, strict=True))
    false = sum(mistaken.values())
    plain = sum(count for (_, alike), count in mistaken.items() if alike is None)
    return {
        "host_days": round(host_days, 2),
        "false": false,
        "false_per_50_host_days": round(50 * false / host_days, 3),
        "false_without_lookalikes_per_50_host_days": round(50 * plain / host_days, 3),
        "withdrawn": sum(each.withdrawn for each in scores),
        "mistaken": [
            {"kind": kind, "for": alike, "findings": count}
            for (kind, alike), count in sorted(mistaken.items(), key=str)
        ],
    }


def recall(rows: Iterable[Mapping[str, Any]], kind: str | None = None) -> float:
    """Return the part of the attacks that were found, of a family where one is named.

    >>> recall([{"kind": "slow_scan", "attacks": 3, "found": 1}, {"kind": "brute_force", "attacks": 1, "found": 1}])
    0.5
    """
    chosen = [each for each in rows if kind is None or family(each["kind"]) == family(kind)]
    there = sum(each["attacks"] for each in chosen)
    return sum(each["found"] for each in chosen) / there if there else 0.0
