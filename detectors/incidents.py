"""Detections in, findings out: what belongs to one attack becomes one finding that grows and closes."""

import json
from collections.abc import Iterable
from typing import Final

from detectors.finding import SEVERITIES, Detection, Finding, finding_id
from detectors.statistics.contacts import PANE_SECONDS
from detectors.watch import Change, Partial

QUIET_SECONDS: Final = 900
"""An attack that was not seen for so long, in event time, is over."""

_GROWTH: Final = 2.0
"""An open finding is published again when its value has grown by this factor."""

_PORTS: Final = 32
"""How many ports a finding lists at most."""

_Key = tuple[str, str, str | None, str | None, str]
"""Kind, the entity's scope, source, target, and the scope of the other end."""

_OF_DETECTIONS: Final = {"pane", "shard", "counterpart_scope"}
"""What detections tell and findings do not."""


class Incidents:
    """The attacks that go on, and the sums that span shards.

    This first implementation merges detections of the same kind and ends over time. It sums partials, but
    draws no findings from them; it neither links nor suppresses.
    """

    def __init__(self) -> None:
        self._open: dict[_Key, Finding] = {}
        self._published: dict[_Key, float] = {}
        self._partials: dict[tuple[str, int, int], int] = {}

    @property
    def open(self) -> int:
        """How many findings are open."""
        return len(self._open)

    def total(self, name: str, pane: int) -> int:
        """Sum a partial over all shards."""
        return sum(value for (each, _, at), value in self._partials.items() if (each, at) == (name, pane))

    def apply(self, detections: Iterable[Detection], partials: Iterable[Partial] = ()) -> list[Finding]:
        """Merge detections, in order of their panes, and return the findings that are worth publishing.

        A finding is published when it opens, when its severity rises, whenever its value has doubled, and when it
        closes because what came next came after the quiet.
        """
        for partial in partials:
            self._partials[partial.name, partial.shard, partial.pane] = partial.value
        return [finding for each in detections for finding in self._merge(each)]

    def advance(self, watermark: int) -> list[Finding]:
        """Close the findings that were quiet for long enough before a watermark, epoch seconds."""
        over = [key for key, finding in self._open.items() if finding.window_end + QUIET_SECONDS <= watermark]
        oldest = watermark - QUIET_SECONDS
        self._partials = {key: value for key, value in self._partials.items() if key[2] + PANE_SECONDS > oldest}
        return [self._close(key) for key in over]

    def changes(self) -> list[Change]:
        """Return the state to store, all of it."""
        state = {
            "open": [
                [*key, finding.model_dump(mode="json"), self._published[key]] for key, finding in self._open.items()
            ],
            "partials": [[*key, value] for key, value in self._partials.items()],
        }
        return [Change("incidents", json.dumps(state).encode())]

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the state that `changes` returned, in new incidents."""
        for change in changes:
            state = json.loads(change.payload)
            for *parts, finding, published in state["open"]:
                key: _Key = tuple(parts)
                self._open[key] = Finding.model_validate(finding)
                self._published[key] = published
            self._partials = {(name, shard, pane): value for name, shard, pane, value in state["partials"]}

    def _merge(self, detection: Detection) -> list[Finding]:
        key = _key(detection)
        before = self._open.get(key)
        if before is None:
            return [self._publish(key, _opened(detection))]
        # Time may have leapt over the quiet, so that nothing closed the finding before.
        if before.window_end + QUIET_SECONDS <= detection.pane:
            return [self._close(key), self._publish(key, _opened(detection))]
        finding = _grown(before, detection)
        self._open[key] = finding
        rose = SEVERITIES.index(finding.severity) > SEVERITIES.index(before.severity)
        if not rose and finding.value < self._published[key] * _GROWTH:
            return []
        return [self._publish(key, finding.model_copy(update={"updates": finding.updates + 1}))]

    def _publish(self, key: _Key, finding: Finding) -> Finding:
        self._open[key] = finding
        self._published[key] = finding.value
        return finding

    def _close(self, key: _Key) -> Finding:
        del self._published[key]
        finding = self._open.pop(key)
        return finding.model_copy(update={"status": "closed", "updates": finding.updates + 1})


def _key(detection: Detection) -> _Key:
    return detection.kind, detection.scope, detection.source, detection.target, detection.counterpart_scope


def _opened(detection: Detection) -> Finding:
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


def _grown(finding: Finding, detection: Detection) -> Finding:
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
