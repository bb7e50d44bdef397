"""Detections of one attack, brought together into one finding."""

from collections.abc import Mapping
from typing import Final

from detectors.finding import SEVERITIES, Detection, Finding, finding_id

QUIET_SECONDS: Final = 900
"""An attack that was not seen for so long, in event time, is over."""

_PATIENT: Final[Mapping[str, int]] = {"brute_force": 3600, "slow_scan": 3600}
"""The same where it is another: those who are slow on purpose pause for longer."""

LONGEST_QUIET_SECONDS: Final = max(QUIET_SECONDS, *_PATIENT.values())
"""When so much event time has gone by, everything is over that was not seen in it."""

_GROWTH: Final = 2.0
"""An open finding is published again when its value has grown by this factor."""

_PORTS: Final = 32
"""How many ports a finding lists at most."""

Key = tuple[str, str, str | None, str | None, str]
"""Kind, the entity's scope, source, target, and the scope of the other end."""

_OF_DETECTIONS: Final = {"pane", "shard", "counterpart_scope"}
"""What detections tell and findings do not."""


def key(detection: Detection) -> Key:
    """Say which attack a detection belongs to, as long as it goes on."""
    return detection.kind, detection.scope, detection.source, detection.target, detection.counterpart_scope


def opened(detection: Detection) -> Finding:
    """Begin a finding with the detection of its anchor pane."""
    counterpart = detection.target if detection.entity == detection.source else detection.source
    entity = f"{detection.scope}/{detection.entity}"
    if counterpart is not None:
        counterpart = f"{detection.counterpart_scope}/{counterpart}"
    return Finding(
        **detection.model_dump(exclude=_OF_DETECTIONS),
        id=finding_id(detection.kind, entity, counterpart, detection.pane),
        status="open",
        detected_at=detection.window_end,
    )


def grown(finding: Finding, detection: Detection) -> Finding:
    """Add a detection to a finding: the window and the ports of both, and the words of the stronger one."""
    stronger = detection.value > finding.value
    story = detection.model_dump(exclude=_OF_DETECTIONS) if stronger else {}
    return finding.model_copy(
        update=story
        | {
            "severity": max(finding.severity, detection.severity, key=SEVERITIES.index),
            "score": max(finding.score, detection.score),
            "ports": tuple(sorted({*finding.ports, *detection.ports})[:_PORTS]),
            "protocol": finding.protocol if finding.protocol == detection.protocol else None,
            "window_start": min(finding.window_start, detection.window_start),
            "window_end": max(finding.window_end, detection.window_end),
            "first_seen": min(finding.first_seen, detection.first_seen),
            "last_seen": max(finding.last_seen, detection.last_seen),
        }
    )


def continues(finding: Finding, pane: int) -> bool:
    """Say whether what is seen in a pane still belongs to a finding."""
    return finding.window_end + _PATIENT.get(finding.kind, QUIET_SECONDS) > pane


def grew(before: Finding, after: Finding, published: float) -> bool:
    """Say whether a finding is worth publishing again: it is more severe, or far above the value last published."""
    rose = SEVERITIES.index(after.severity) > SEVERITIES.index(before.severity)
    return rose or after.value >= published * _GROWTH


def superseded(finding: Finding, by: str) -> Finding:
    """End a finding that turned out to be part of a bigger one."""
    return finding.model_copy(update={"status": "superseded", "superseded_by": by, "updates": finding.updates + 1})
