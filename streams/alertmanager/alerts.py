"""A finding as an alert: labels that say which it is, annotations that say what is known of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from detectors.finding import SEVERITIES, Finding
from streams.alertmanager.settings import AlertmanagerSettings

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names: the same for the same alert."""

SURGE: Final = "FlowhawkFindingsSurge"
"""Name of the alert that stands for findings which are not sent as alerts of their own."""

_EVIDENCE: Final = 1_500
"""Characters of evidence in a description at most."""

_NAMED: Final = 5
"""Findings of one alert that a description names at most."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is to be sent.

    Attributes
    ----------
    labels
        Which alert it is.
    annotations
        What is known of it.
    starts_at
        Since when, epoch seconds.
    resolved_at
        Since when it is over, epoch seconds; None while it goes on.
    link
        Where it is shown; empty for nowhere.
    """

    labels: Labels
    annotations: Mapping[str, str]
    starts_at: float
    resolved_at: float | None = None
    link: str = ""


def name(kind: str) -> str:
    """Name the alerts of a kind of finding.

    >>> name("vertical_scan")
    'VerticalScan'
    """
    return "".join(word.capitalize() for word in kind.split("_"))


def labels(finding: Finding, further: Mapping[str, str]) -> Labels:
    """Say which alert a finding belongs to: nothing in it changes while an attack goes on, but the severity."""
    named = {
        "alertname": name(finding.kind),
        "kind": finding.kind,
        "severity": finding.severity,
        "host": finding.entity,
        "scope": finding.scope,
        "account": finding.account_id or "",
        "vpc": finding.vpc_id or "",
        "direction": finding.direction,
        **further,
    }
    return tuple(sorted((name, value) for name, value in named.items() if value))


@dataclass(frozen=True, slots=True)
class Told:
    """What is kept of an open finding: enough to tell it, and of bounded size."""

    id: str
    labels: Labels
    severity: str
    starts_at: int
    score: float
    summary: str
    description: str
    links: tuple[tuple[str, str], ...]


def told(finding: Finding, settings: AlertmanagerSettings) -> Told:
    """Keep of a finding what an alert says of it."""
    links = {
        "runbook_url": settings.runbook_url,
        "dashboard_url": settings.dashboard_url,
        "link": settings.finding_url,
    }
    return Told(
        finding.id,
        labels(finding, settings.labels),
        finding.severity,
        finding.first_seen,
        finding.score,
        finding.summary[:_EVIDENCE],
        _description(finding),
        tuple((name, _filled(link, finding)) for name, link in links.items() if link is not None),
    )


def alert(of: Labels, members: Iterable[Told]) -> Alert:
    """Make one alert of all open findings that have its labels; the one with the highest score has the word."""
    ranked = sorted(members, key=lambda each: (-each.score, each.starts_at, each.id))
    first, *others = ranked
    description = first.description
    if others:
        named = [each.summary for each in others[:_NAMED]]
        more = [f"and {len(others) - _NAMED} more"] if len(others) > _NAMED else []
        description = "\n".join([description, "Also:", *named, *more])
    links = dict(first.links)
    link = links.pop("link", "")
    annotations = {"summary": first.summary, "description": description, "score": f"{first.score:g}", **links}
    return Alert(of, annotations, min(each.starts_at for each in ranked), link=link)


def surge(waiting: Mapping[str, int], uncounted: int, settings: AlertmanagerSettings, since: float) -> Alert:
    """Make the alert that stands for findings that are not sent as alerts of their own.

    Parameters
    ----------
    waiting
        How many wait, by severity.
    uncounted
        How many came since it began that are not kept at all.
    settings
        The further labels.
    since
        When it began, epoch seconds.
    """
    several = [f"{waiting[each]} {each}" for each in reversed(SEVERITIES) if waiting.get(each)]
    parts = [f"waiting: {', '.join(several)}"] if several else []
    parts += [f"not kept, and only on the findings topic: {uncounted}"] if uncounted else []
    severity = next((each for each in reversed(SEVERITIES) if waiting.get(each)), "medium")
    annotations = {
        "summary": "More findings are open than are sent as alerts.",
        "description": f"Of the findings there are {'; '.join(parts)}. Their number is the news: look at the whole.",
        "highest_severity": severity,
    }
    named = {"alertname": SURGE, "severity": "critical", **settings.labels}
    return Alert(tuple(sorted(named.items())), annotations, since)


def written(alerts: Sequence[Alert], ends_at: float) -> bytes:
    """Write alerts as the body of a request, API version 2.

    Parameters
    ----------
    alerts
        The alerts.
    ends_at
        Until when those that go on are held to, unless they are sent again, epoch seconds.
    """
    return json.dumps([_posted(each, ends_at) for each in alerts]).encode()


def _posted(alert: Alert, ends_at: float) -> dict[str, Any]:
    end = ends_at if alert.resolved_at is None else alert.resolved_at
    posted = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        # Event time may be ahead of the clock, and an alert must not begin behind its end.
        "startsAt": _time(min(alert.starts_at, end - 1)),
        "endsAt": _time(end),
    }
    return posted | ({"generatorURL": alert.link} if alert.link else {})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _description(finding: Finding) -> str:
    usual = f", usually {finding.baseline:g}" if finding.baseline is not None else ""
    lines = [f"{finding.value:g} where {finding.threshold:g} is the threshold{usual}."]
    ends = [f"{what} {end}" for what, end in (("from", finding.source), ("to", finding.target)) if end is not None]
    lines += [f"{' '.join(ends)}."] if ends else []
    lines += [f"Ports: {', '.join(map(str, finding.ports))}."] if finding.ports else []
    lines += ["Early: not certain before its minutes are over."] if finding.provisional else []
    lines += [f"{what.replace('_', ' ')}: {_value(value)}" for what, value in finding.evidence.items()]
    lines += [f"Finding {finding.id}"]
    text = "\n".join(lines)
    return text if len(text) <= _EVIDENCE else f"{text[:_EVIDENCE]}..."


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _filled(link: str, finding: Finding) -> str:
    values = {
        "kind": finding.kind,
        "id": finding.id,
        "host": finding.entity,
        "source": finding.source or "",
        "target": finding.target or "",
        "severity": finding.severity,
    }
    return link.format(**{name: quote(value, safe="") for name, value in values.items()})
