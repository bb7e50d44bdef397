"""Findings as OCSF Detection Findings: class 2004 of https://schema.ocsf.io, in the fields of version 1.5."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from detectors.finding import Direction, Finding, Severity
from streams.formats import facts
from streams.formats.contract import JsonFormat

VERSION: Final = "1.5.0"

_CATEGORY: Final = (2, "Findings")
_CLASS: Final = (2004, "Detection Finding")
_CREATE: Final = (1, "Create")
_UPDATE: Final = (2, "Update")
_CLOSE: Final = (3, "Close")

SEVERITIES: Final[Mapping[Severity, tuple[int, str]]] = {
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_RISKS: Final[Mapping[Severity, tuple[int, str]]] = {
    "low": (1, "Low"),
    "medium": (2, "Medium"),
    "high": (3, "High"),
    "critical": (4, "Critical"),
}
_NEW: Final = (1, "New")
_SUPPRESSED: Final = (3, "Suppressed")
_RESOLVED: Final = (4, "Resolved")
_ARCHIVED: Final = (5, "Archived")

_PROVISIONAL: Final = (1, "Low")
_CONFIRMED: Final = (3, "High")

_DIRECTIONS: Final[Mapping[Direction, tuple[int, str]]] = {
    "inbound": (1, "Inbound"),
    "outbound": (2, "Outbound"),
    "internal": (3, "Lateral"),
}
_STATISTICAL: Final = (3, "Statistical")
_FALSE_POSITIVE: Final = (1, "False Positive")
_IP_ADDRESS: Final = (2, "IP Address")
_AWS_ACCOUNT: Final = (10, "AWS Account")
_TIME_INTERVAL: Final = (9, "Time Interval")


class Ocsf(JsonFormat):
    """OCSF Detection Finding."""

    name: ClassVar[str] = "ocsf"

    def document(self, finding: Finding) -> Mapping[str, Any]:
        """Make the event: the first state creates the finding, each other one updates or closes it."""
        activity = _activity(finding)
        when = finding.detected_at if activity is _CREATE else facts.changed(finding)
        return {
            **_numbered("activity", activity, name="activity_name"),
            **_numbered("category", _CATEGORY, number="category_uid", name="category_name"),
            **_numbered("class", _CLASS, number="class_uid", name="class_name"),
            "type_uid": _CLASS[0] * 100 + activity[0],
            "type_name": f"{_CLASS[1]}: {activity[1]}",
            "time": _milliseconds(when),
            "start_time": _milliseconds(finding.first_seen),
            "end_time": _milliseconds(finding.last_seen),
            "message": finding.summary,
            **_numbered("severity", SEVERITIES[finding.severity]),
            **_numbered("status", _status(finding)),
            "status_code": finding.status,
            **_numbered("confidence", _PROVISIONAL if finding.provisional else _CONFIRMED),
            **_numbered("risk_level", _RISKS[finding.severity]),
            "risk_score": round(finding.score),
            "is_alert": not finding.observed,
            "metadata": _metadata(finding),
            "finding_info": _finding_info(finding, when),
            "evidences": [_evidence(finding)],
            "anomaly_analyses": [_anomaly_analysis(finding)],
            "observables": [*_observables(finding)],
            "resources": _resources(finding),
            **_remediation(finding),
            **_cloud(finding),
            "unmapped": _unmapped(finding),
        }


def _activity(finding: Finding) -> tuple[int, str]:
    if finding.status != "open":
        return _CLOSE
    return _UPDATE if finding.updates else _CREATE


def _status(finding: Finding) -> tuple[int, str]:
    if finding.suppressed_by is not None:
        return _SUPPRESSED
    if finding.status == "superseded":
        return _ARCHIVED
    return _NEW if finding.status == "open" else _RESOLVED


def _numbered(field: str, value: tuple[int, str], *, number: str = "", name: str = "") -> dict[str, Any]:
    """Write one of OCSF's pairs of a number and the name it has."""
    return {number or f"{field}_id": value[0], name or field: value[1]}


def _milliseconds(seconds: int) -> int:
    return seconds * 1000


def _metadata(finding: Finding) -> dict[str, Any]:
    state = f"{finding.status}{'-provisional' if finding.provisional else ''}"
    return {
        "version": VERSION,
        "product": {"name": facts.PRODUCT, "vendor_name": facts.PRODUCT, "version": facts.product_version()},
        "uid": f"{finding.id}-{state}-{finding.updates}",
        "event_code": finding.kind,
        "profiles": ["cloud"] if _in_cloud(finding) else [],
    }


def _finding_info(finding: Finding, when: int) -> dict[str, Any]:
    related = dict.fromkeys((*finding.related, *((finding.superseded_by,) if finding.superseded_by else ())))
    return {
        "uid": finding.id,
        "title": facts.title(finding.kind),
        "desc": finding.summary,
        "types": [finding.kind],
        "analytic": {
            "uid": finding.kind,
            "name": facts.title(finding.kind),
            "version": str(finding.detector_version),
            **_numbered("type", _STATISTICAL),
        },
        "attacks": [_attack(technique) for technique in finding.mitre],
        "created_time": _milliseconds(finding.detected_at),
        "modified_time": _milliseconds(when),
        "first_seen_time": _milliseconds(finding.first_seen),
        "last_seen_time": _milliseconds(finding.last_seen),
        "data_sources": ["VPC flow logs"],
        "related_events": [{"uid": each} for each in related],
    }


def _attack(technique: str) -> dict[str, Any]:
    parent, dot, _ = technique.partition(".")
    attack: dict[str, Any] = {"technique": {"uid": parent}}
    return attack | ({"sub_technique": {"uid": technique}} if dot else {})


def _evidence(finding: Finding) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    if finding.source is not None:
        ends["src_endpoint"] = {"ip": finding.source}
    if finding.target is not None:
        ends["dst_endpoint"] = {"ip": finding.target}
        if len(finding.ports) == 1:
            ends["dst_endpoint"]["port"] = finding.ports[0]
    return {
        **ends,
        "connection_info": _connection_info(finding),
        "data": finding.model_dump(mode="json")["evidence"],
        **(_numbered("verdict", _FALSE_POSITIVE) if finding.status == "retracted" else {}),
    }


def _connection_info(finding: Finding) -> dict[str, Any]:
    info = _numbered("direction", _DIRECTIONS[finding.direction])
    if finding.protocol is not None:
        info["protocol_num"] = finding.protocol
        if (name := facts.PROTOCOLS.get(finding.protocol)) is not None:
            info["protocol_name"] = name
    if versions := {6 if facts.is_version_6(each) else 4 for each in facts.addresses(finding)}:
        info["protocol_ver_id"] = max(versions)
    return info


def _anomaly_analysis(finding: Finding) -> dict[str, Any]:
    """Say what was seen, and what it was held against: the threshold, and what is usual where that is known."""
    measured = {"observation_parameter": facts.statistic(finding), "observation_type": facts.title(finding.kind)}
    timespan = {
        "start_time": _milliseconds(finding.window_start),
        "end_time": _milliseconds(finding.window_end),
        **_numbered("type", _TIME_INTERVAL),
    }
    held_against = {"Usual": finding.baseline, "Threshold": finding.threshold}
    return {
        "analysis_targets": [{"name": finding.entity, "type": facts.entity_type(finding)}],
        "anomalies": [
            {
                **measured,
                "observed_pattern": "Above the threshold",
                "observations": [{"value": facts.plain(finding.value), "timespan": timespan}],
            }
        ],
        "baselines": [
            {**measured, "observed_pattern": pattern, "observations": [{"value": facts.plain(value)}]}
            for pattern, value in held_against.items()
            if value is not None
        ],
    }


def _observables(finding: Finding) -> list[dict[str, Any]]:
    ends = {"evidences[].src_endpoint.ip": finding.source, "evidences[].dst_endpoint.ip": finding.target}
    return [
        {"name": name, "value": value, **_numbered("type", _IP_ADDRESS)}
        for name, value in ends.items()
        if value is not None
    ]


def _resources(finding: Finding) -> list[dict[str, Any]]:
    """List what of one's own is affected: hosts on one's own side, and the interface that reported it."""
    hosts = {
        "inbound": (finding.target,),
        "outbound": (finding.source,),
        "internal": (finding.source, finding.target),
    }[finding.direction]
    resources: list[dict[str, Any]] = [
        {"name": host, "ip": host, "type": "Host", **({"namespace": finding.scope} if finding.scope else {})}
        for host in dict.fromkeys(hosts)
        if host is not None
    ]
    if finding.interface_id is not None:
        resources.append({"uid": finding.interface_id, "type": "Network interface"})
    return resources or [{"name": finding.entity, "type": facts.entity_type(finding)}]


def _remediation(finding: Finding) -> dict[str, Any]:
    response = facts.response(finding.kind)
    return {} if response is None else {"remediation": {"desc": response}}


def _in_cloud(finding: Finding) -> bool:
    return finding.account_id is not None


def _cloud(finding: Finding) -> dict[str, Any]:
    if not _in_cloud(finding):
        return {}
    return {"cloud": {"provider": "AWS", "account": {"uid": finding.account_id, **_numbered("type", _AWS_ACCOUNT)}}}


def _unmapped(finding: Finding) -> dict[str, Any]:
    """Keep what OCSF has no field for."""
    names = (
        *("ports", "scope", "vpc_id", "provisional", "observed", "suppressed_by", "superseded_by", "updates"),
        "schema_version",
    )
    return finding.model_dump(mode="json", include=set(names))
