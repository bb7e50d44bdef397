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
    known = {row["key"]: row for row in hosts(pl.concat([hits["source_key"], hits["target_key"]])).rows(named=True)}
    view.addresses(_examples(hits))
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


def _examples(hits: pl.DataFrame) -> list[int]:
    """List the hosts that hits name as examples: looking all of them up at once costs no more than looking up one."""
    return [
        key
        for name, dtype in hits.schema.items()
        if dtype == pl.List(pl.UInt64)
        for key in hits[name].explode(empty_as_null=False).drop_nulls().to_list()
    ]


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
    named = _entity(card, hit)
    entity = source if named == "source" else target
    if entity is None:
        raise ValueError(f"{card.kind} reported no {named}")
    other = target if entity is source else source
    reporter = entity if entity["interface_id"] or other is None else other
    acting, acted_on = _address(source), _address(target)
    description = detector.describe({**hit, "source": acting, "target": acted_on}, view)
    window_end = view.pane + PANE_SECONDS
    panes = hit.get("window_panes") or detector.needs[0].panes
    usual = severity(card, hit["value"], hit["threshold"], inside=hit["source_internal"])
    return Detection(
        kind=card.kind,
        severity=hit.get("severity") or usual,
        provisional=provisional,
        entity=addresses.written(entity["high"], entity["low"]),
        source=acting,
        target=acted_on,
        ports=description.ports,
        protocol=description.protocol,
        direction=direction(source_internal=hit["source_internal"], target_internal=hit["target_internal"]),
        scope=entity["scope"],
        account_id=reporter["account_id"],
        vpc_id=reporter["vpc_id"],
        interface_id=reporter["interface_id"],
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
        counterpart_scope=other["scope"] if other is not None else "",
        shard=hit[f"{named}_key"] >> SHARD_SHIFT,
    )


def _address(host: Mapping[str, Any] | None) -> str | None:
    return None if host is None else addresses.written(host["high"], host["low"])
