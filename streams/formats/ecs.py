"""Findings in the Elastic Common Schema, version 8.11."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from detectors.finding import Finding, Severity
from streams.formats import facts
from streams.formats.contract import JsonFormat

VERSION: Final = "8.11.0"

SEVERITIES: Final[Mapping[Severity, int]] = {"low": 21, "medium": 47, "high": 73, "critical": 99}
"""The numbers that Elastic Security gives these severities."""

_TECHNIQUES: Final = "https://attack.mitre.org/techniques"

_OWN: Final = (
    *("status", "provisional", "entity", "ports", "scope", "interface_id", "value", "threshold", "baseline"),
    *("evidence", "related", "superseded_by", "suppressed_by", "observed", "updates", "schema_version"),
)
"""What ECS has no field for; it goes under `flowhawk`."""


class Ecs(JsonFormat):
    """Elastic Common Schema."""

    name: ClassVar[str] = "ecs"

    def document(self, finding: Finding) -> Mapping[str, Any]:
        """Make the document, nested as Elasticsearch stores it; what is not known is left out."""
        return {
            "@timestamp": _time(facts.changed(finding)),
            "ecs": {"version": VERSION},
            "message": finding.summary,
            "tags": ["flowhawk", *(["provisional"] if finding.provisional else [])],
            "event": _event(finding),
            "rule": _rule(finding),
            "observer": {
                "vendor": facts.PRODUCT,
                "product": facts.PRODUCT,
                "type": "ids",
                "version": facts.product_version(),
            },
            **_ends(finding),
            "network": _network(finding),
            "related": {"ip": [*dict.fromkeys(facts.addresses(finding))]},
            **_threat(finding),
            **_cloud(finding),
            "flowhawk": finding.model_dump(mode="json", include=set(_OWN)),
        }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _event(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": "alert",
        "category": ["network", "intrusion_detection"],
        "type": ["info"],
        "module": "flowhawk",
        "dataset": "flowhawk.finding",
        "provider": "flowhawk",
        "action": finding.status,
        "code": finding.kind,
        "reason": finding.summary,
        "severity": SEVERITIES[finding.severity],
        "risk_score": finding.score,
        "created": _time(finding.detected_at),
        "start": _time(finding.first_seen),
        "end": _time(finding.last_seen),
    }


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.kind,
        "name": facts.title(finding.kind),
        "category": finding.kind,
        "ruleset": "flowhawk",
        "version": str(finding.detector_version),
    }


def _ends(finding: Finding) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    if finding.source is not None:
        ends["source"] = {"address": finding.source, "ip": finding.source}
    if finding.target is not None:
        ends["destination"] = {"address": finding.target, "ip": finding.target}
        if len(finding.ports) == 1:
            ends["destination"]["port"] = finding.ports[0]
    return ends


def _network(finding: Finding) -> dict[str, Any]:
    network: dict[str, Any] = {"direction": finding.direction}
    if finding.protocol is not None:
        network["iana_number"] = str(finding.protocol)
        if (name := facts.PROTOCOLS.get(finding.protocol)) is not None:
            network["transport"] = name
    if found := facts.addresses(finding):
        network["type"] = "ipv6" if facts.is_version_6(found[0]) else "ipv4"
    return network


def _threat(finding: Finding) -> dict[str, Any]:
    """Name the techniques; those with a dot are parts of one."""
    if not finding.mitre:
        return {}
    parents = [*dict.fromkeys(each.partition(".")[0] for each in finding.mitre)]
    parts = [each for each in finding.mitre if "." in each]
    technique: dict[str, Any] = {"id": parents, "reference": [f"{_TECHNIQUES}/{each}/" for each in parents]}
    if parts:
        references = [f"{_TECHNIQUES}/{each.replace('.', '/')}/" for each in parts]
        technique["subtechnique"] = {"id": parts, "reference": references}
    return {"threat": {"framework": "MITRE ATT&CK", "technique": technique}}


def _cloud(finding: Finding) -> dict[str, Any]:
    return {} if finding.account_id is None else {"cloud": {"provider": "aws", "account": {"id": finding.account_id}}}
