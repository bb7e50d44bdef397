"""From scores to detections: the threshold, the severity and the score mean the same for every detector."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import polars as pl

from detectors import addresses
from detectors.contract import Card, Detector, Parameters, View
from detectors.finding import SEVERITIES, Detection, Direction, Severity
from detectors.route import SHARD_SHIFT
from detectors.statistics.contacts import PANE_SECONDS

_STEPS: Final = (10.0, 100.0)
"""Each of these multiples of the threshold raises the severity by one."""


def verdicts(
    detector: Detector,
    view: View,
    parameters: Parameters,
    hosts: Callable[[pl.Series], pl.DataFrame],
    *,
    provisional: bool = False,
) -> list[Detection]:
    """Score a pane and put what crossed its threshold into words.

    Parameters
    ----------
    detector, view, parameters
        Who looks, at what, and how sharply.
    hosts
        Returns the rows of `detectors.statistics.directory.HOSTS` behind keys.
    provisional
        Whether the pane is still open.

    Returns
    -------
    list of Detection
        Ordered by source and target, so that the order does not depend on how the statistics are kept.
    """
    scores = detector.score(view, parameters)
    if scores.is_empty():
        return []
    hits = scores.filter(pl.col("value") >= pl.col("threshold"))
    if hits.is_empty():
        return []
    # Looking all of them up at once, and examples too, costs no more than looking up one.
    known = {row["key"]: row for row in hosts(pl.concat(_hosts(hits))).rows(named=True)}
    # What went beyond the caps has no name any more, and is counted there; nor has what has been silent for long,
    # of which nothing new is to be told.
    found = [
        _detection(detector, view, hit, known, provisional=provisional)
        for hit in hits.rows(named=True)
        if all(hit[end] is None or hit[end] in known for end in ("source_key", "target_key"))
    ]
    return sorted(found, key=_place)


def score(value: float, threshold: float) -> float:
    """Say how far above its threshold a value lies: 50 at it, 75 at its double, towards 100.

    >>> score(15, 15), score(30, 15), score(150, 15)
    (50.0, 75.0, 95.0)
    """
    return round(100 * (1 - 0.5 * threshold / value), 1) if value > 0 else 0.0


def severity(card: Card, value: float, threshold: float, *, inside: bool) -> Severity:
    """Say how much it matters: more when one's own host acts, and more at each order of magnitude."""
    base = SEVERITIES.index(card.severity_inside if inside else card.severity)
    steps = sum(value >= threshold * step for step in _STEPS)
    return SEVERITIES[min(base + steps, len(SEVERITIES) - 1)]


def direction(*, source_internal: bool, target_internal: bool) -> Direction:
    """Say which way it goes, seen from one's own networks.

    >>> direction(source_internal=False, target_internal=True)
    'inbound'
    """
    if source_internal:
        return "internal" if target_internal else "outbound"
    return "inbound"


def _place(detection: Detection) -> tuple[object, ...]:
    """Say where a detection comes among those of its kind and pane; the summary tells even the most alike apart."""
    ends = detection.scope, detection.source or "", detection.target or ""
    return *ends, detection.ports, detection.value, detection.protocol or 0, detection.window_start, detection.summary


def _hosts(hits: pl.DataFrame) -> list[pl.Series]:
    """List the keys of both ends of hits, and of the hosts that they name as examples."""
    examples = [
        hits[name].explode(empty_as_null=False).drop_nulls()
        for name, dtype in hits.schema.items()
        if dtype == pl.List(pl.UInt64)
    ]
    named = [hits[name] for name in ("source_key", "target_key", "reporter_key") if name in hits.columns]
    return [*named, *examples]


def _entity(card: Card, hit: Mapping[str, Any]) -> str:
    """Say which end a hit is about: the one that the card names, or the only one where the others are many."""
    other = "target" if card.entity == "source" else "source"
    return other if hit[f"{card.entity}_key"] is None else card.entity


def _detection(
    detector: Detector,
    view: View,
    hit: Mapping[str, Any],
    known: Mapping[int, Mapping[str, Any]],
    *,
    provisional: bool,
) -> Detection:
    card = detector.card
    source, target = known.get(hit["source_key"]), known.get(hit["target_key"])
    acting, acted_on = _address(source), _address(target)
    description = detector.describe({**hit, "source": acting, "target": acted_on}, view)
    window_end = view.pane + PANE_SECONDS
    panes = hit.get("window_panes") or detector.needs[0].panes
    usual = severity(card, hit["value"], hit["threshold"], inside=hit["source_internal"])
    return Detection(
        kind=card.kind,
        severity=hit.get("severity") or usual,
        provisional=provisional,
        **_about(card, hit, known),
        source=acting,
        target=acted_on,
        ports=description.ports,
        protocol=description.protocol,
        direction=direction(source_internal=hit["source_internal"], target_internal=hit["target_internal"]),
        window_start=window_end - PANE_SECONDS * panes,
        window_end=window_end,
        first_seen=hit["first_seen"],
        last_seen=hit["last_seen"],
        value=hit["value"],
        threshold=hit["threshold"],
        baseline=hit["baseline"],
        score=score(hit["value"], hit["threshold"]),
        summary=description.summary,
        evidence=description.evidence,
        mitre=card.mitre,
        detector_version=card.version,
        pane=view.pane,
    )


def _about(card: Card, hit: Mapping[str, Any], known: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Say whom a hit is about, and who reported it."""
    if hit.get("entity") is not None:
        return _about_no_host(hit["entity"], known.get(hit["reporter_key"]))
    named = _entity(card, hit)
    entity = known.get(hit[f"{named}_key"])
    if entity is None:
        raise ValueError(f"{card.kind} reported no {named}")
    other = known.get(hit["target_key" if named == "source" else "source_key"])
    reporter = entity if entity["interface_id"] or other is None else other
    return {
        "entity": addresses.written(entity["high"], entity["low"]),
        "scope": entity["scope"],
        "counterpart_scope": other["scope"] if other is not None else "",
        "shard": hit[f"{named}_key"] >> SHARD_SHIFT,
        **{name: reporter[name] for name in ("account_id", "vpc_id", "interface_id")},
    }


def _about_no_host(name: str, reporter: Mapping[str, Any] | None) -> dict[str, Any]:
    """Say it of an interface, which one of its hosts is known of, or of the network: neither has a scope or a shard."""
    placed: dict[str, str | None] = {"account_id": None, "vpc_id": None, "interface_id": None}
    if reporter is not None:
        placed = {"account_id": reporter["account_id"], "vpc_id": reporter["vpc_id"], "interface_id": name}
    return {"entity": name, "scope": "", "shard": 0, **placed}


def _address(host: Mapping[str, Any] | None) -> str | None:
    return None if host is None else addresses.written(host["high"], host["low"])
