"""Findings and attacks that are made up, to see what becomes of them."""

from typing import Any

from detectors.finding import Finding
from evaluation.attack import Attack

SCANNER, SERVER, OTHER = "198.51.100.7", "10.0.0.9", "10.0.0.10"


def finding(
    kind: str = "vertical_scan", source: str | None = SCANNER, target: str | None = SERVER, **facts: Any
) -> Finding:
    """Make a finding; by default a confirmed one that stands, from second 1,000 to 1,300."""
    given: dict[str, Any] = {
        "severity": "medium",
        "provisional": False,
        "entity": source or target or "",
        "ports": (),
        "protocol": 6,
        "direction": "inbound",
        "scope": "",
        "account_id": None,
        "vpc_id": None,
        "interface_id": None,
        "window_start": 900,
        "window_end": 1_300,
        "first_seen": 1_000,
        "last_seen": 1_300,
        "value": 20.0,
        "threshold": 15.0,
        "baseline": None,
        "score": 60.0,
        "summary": "",
        "evidence": {},
        "mitre": (),
        "detector_version": 1,
        "id": f"{kind}/{source}/{target}",
        "status": "closed",
        "detected_at": 1_300,
    }
    return Finding(kind=kind, source=source, target=target, **given | facts)


def attack(
    kind: str = "vertical_scan",
    source: str | None = SCANNER,
    target: str | None = SERVER,
    *,
    expect: bool = True,
    label: str = "",
    **times: int,
) -> Attack:
    """Make an attack; by default one from second 1,000 to 1,300, of which there is enough at 1,100."""
    given = {"start": 1_000, "end": 1_300, "enough": 1_100} | times
    return Attack(
        label=label or f"{kind}, fast, made up",
        kind=kind,
        sources=frozenset({source} - {None}),  # type: ignore[arg-type]  # None is taken away
        targets=frozenset({target} - {None}),  # type: ignore[arg-type]  # None is taken away
        expect=expect,
        **given,
    )
