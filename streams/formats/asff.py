"""Findings in the AWS Security Finding Format, version 2018-10-08, as Security Hub imports it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from detectors.finding import Direction, Finding, Severity
from streams.formats import facts

_SCHEMA: Final = "2018-10-08"
_TITLE, _DESCRIPTION, _RECOMMENDATION, _FIELD = 256, 1024, 512, 2048
"""So many characters are allowed."""
_PORTS: Final = 25
"""So many ports are named: findings may have 240 KB, and nobody reads more."""

_UNUSUAL: Final = "Unusual Behaviors/Network Flow"
_TYPES: Final[Mapping[str, str]] = {
    "T1595": "TTPs/Discovery",
    "T1046": "TTPs/Discovery",
    "T1018": "TTPs/Discovery",
    "T1110": "TTPs/Credential Access",
    "T1041": "Effects/Data Exfiltration",
    "T1048": "Effects/Data Exfiltration",
    "T1567": "Effects/Data Exfiltration",
    "T1498": "Effects/Denial of Service",
}
"""What Security Hub calls that of which techniques are part."""
_PROBES: Final = "TTPs/Discovery"

_DIRECTIONS: Final[Mapping[Direction, str]] = {"inbound": "IN", "outbound": "OUT"}


@dataclass(frozen=True, slots=True)
class Account:
    """Where findings are imported.

    Attributes
    ----------
    account_id
        The account that imports them: twelve digits.
    region
        Its region.
    partition
        `aws`, or what the region is in: `aws-cn`, `aws-us-gov`.
    """

    account_id: str
    region: str
    partition: str = "aws"

    @property
    def product_arn(self) -> str:
        """Name of the product that every account has for findings of its own programs."""
        return f"arn:{self.partition}:securityhub:{self.region}:{self.account_id}:product/{self.account_id}/default"

    def finding_id(self, identifier: str) -> str:
        """Name a finding: importing another one of the same name updates it."""
        return f"flowhawk/{self.region}/{self.account_id}/{identifier}"


def document(finding: Finding, account: Account, sent: datetime) -> dict[str, Any]:
    """Write a finding.

    Parameters
    ----------
    finding
        The finding.
    account
        Where it is imported.
    sent
        Now. Security Hub passes over what was updated before what it has, and that is told in its own time.
    """
    types = _types(finding)
    return {
        "SchemaVersion": _SCHEMA,
        "Id": account.finding_id(finding.id),
        "ProductArn": account.product_arn,
        "ProductName": facts.PRODUCT,
        "CompanyName": facts.PRODUCT,
        "Region": account.region,
        "GeneratorId": f"flowhawk/{finding.kind}",
        "AwsAccountId": account.account_id,
        "CreatedAt": _time(finding.detected_at),
        "UpdatedAt": sent.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "FirstObservedAt": _time(finding.first_seen),
        "LastObservedAt": _time(finding.last_seen),
        "Title": _short(f"{facts.title(finding.kind)}: {finding.entity}", _TITLE),
        "Description": _short(finding.summary or finding.kind, _DESCRIPTION),
        "FindingProviderFields": _provider_fields(finding, account, types),
        "Resources": _resources(finding, account),
        "RecordState": "ACTIVE" if finding.status == "open" else "ARCHIVED",
        "ProductFields": dict(_product_fields(finding)),
        **({"Network": network} if (network := _network(finding)) else {}),
        **_action(finding, probe=_PROBES in types),
        **_remediation(finding),
    }


def severity(of_finding: Severity) -> str:
    """Return the label of a severity.

    >>> severity("high")
    'HIGH'
    """
    return of_finding.upper()


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _types(finding: Finding) -> list[str]:
    found = (_TYPES.get(each.partition(".")[0]) for each in finding.mitre)
    return [*dict.fromkeys(each for each in found if each is not None)] or [_UNUSUAL]


def _provider_fields(finding: Finding, account: Account, types: list[str]) -> dict[str, Any]:
    """Say what customers may change: Security Hub takes it from here, so that theirs is not overwritten."""
    related = dict.fromkeys((*finding.related, *((finding.superseded_by,) if finding.superseded_by else ())))
    named = [{"ProductArn": account.product_arn, "Id": account.finding_id(each)} for each in related]
    return {
        "Severity": {"Label": severity(finding.severity), "Original": finding.severity},
        "Types": types,
        "Confidence": 50 if finding.provisional else 90,
        **({"RelatedFindings": named[:10]} if named else {}),
    }


def _resources(finding: Finding, account: Account) -> list[dict[str, Any]]:
    """List the interface that reported it, and what it is about: AWS knows no resource that is an address."""
    where = {"Partition": account.partition, "Region": account.region}
    resources: list[dict[str, Any]] = []
    if finding.interface_id:
        owner = finding.account_id or account.account_id
        arn = f"arn:{account.partition}:ec2:{account.region}:{owner}:network-interface/{finding.interface_id}"
        details = {"AwsEc2NetworkInterface": {"NetworkInterfaceId": finding.interface_id}}
        resources.append({"Type": "AwsEc2NetworkInterface", "Id": arn, **where, "Details": details})
    about = {"entity": finding.entity, "scope": finding.scope, "vpc_id": finding.vpc_id or ""}
    other = {name: _short(text, 1024) for name, text in about.items() if text}
    resources.append({"Type": "Other", "Id": finding.entity, **where, "Details": {"Other": other}})
    return resources


def _product_fields(finding: Finding) -> Iterator[tuple[str, str]]:
    """Keep what the format has no field for; its values are texts."""
    values = {
        "kind": finding.kind,
        "status": finding.status,
        "direction": finding.direction,
        "statistic": facts.statistic(finding),
        "value": facts.plain(finding.value),
        "threshold": facts.plain(finding.threshold),
        "baseline": "" if finding.baseline is None else facts.plain(finding.baseline),
        "score": facts.plain(finding.score),
        "ports": ",".join(map(str, finding.ports)),
        "mitre": ",".join(finding.mitre),
        "account_id": finding.account_id or "",
        "vpc_id": finding.vpc_id or "",
        "suppressed_by": finding.suppressed_by or "",
        "superseded_by": finding.superseded_by or "",
        "evidence": json.dumps(finding.model_dump(mode="json")["evidence"], separators=(",", ":")),
    }
    for name, text in values.items():
        if text:
            yield f"flowhawk/{name}", _short(text, _FIELD)


def _network(finding: Finding) -> dict[str, Any]:
    network: dict[str, Any] = {}
    if finding.direction in _DIRECTIONS:
        network["Direction"] = _DIRECTIONS[finding.direction]
    for end, address in (("Source", finding.source), ("Destination", finding.target)):
        if address is not None:
            network[f"{end}IpV{6 if facts.is_version_6(address) else 4}"] = address
    if finding.protocol is not None:
        network["Protocol"] = facts.PROTOCOLS.get(finding.protocol, str(finding.protocol)).upper()
    if len(finding.ports) == 1:
        network["DestinationPort"] = finding.ports[0]
    return network


def _action(finding: Finding, *, probe: bool) -> dict[str, Any]:
    """Say what was done between two addresses of IPv4, where it was between two: there is no action for others."""
    ends = (finding.source, finding.target)
    if any(end is None or facts.is_version_6(end) for end in ends):
        return {}
    outbound = finding.direction == "outbound"
    remote, local = ({"IpAddressV4": end} for end in (reversed(ends) if outbound else ends))
    if probe and finding.ports:
        details = [
            {"LocalPortDetails": {"Port": port}, "LocalIpDetails": local, "RemoteIpDetails": remote}
            for port in finding.ports[:_PORTS]
        ]
        return {"Action": {"ActionType": "PORT_PROBE", "PortProbeAction": {"PortProbeDetails": details}}}
    connection: dict[str, Any] = {
        "ConnectionDirection": "OUTBOUND" if outbound else "INBOUND",
        "RemoteIpDetails": remote,
    }
    if len(finding.ports) == 1:
        connection["RemotePortDetails" if outbound else "LocalPortDetails"] = {"Port": finding.ports[0]}
    if finding.protocol is not None:
        connection["Protocol"] = facts.PROTOCOLS.get(finding.protocol, str(finding.protocol)).upper()
    return {"Action": {"ActionType": "NETWORK_CONNECTION", "NetworkConnectionAction": connection}}


def _remediation(finding: Finding) -> dict[str, Any]:
    response = facts.response(finding.kind)
    return {} if response is None else {"Remediation": {"Recommendation": {"Text": _short(response, _RECOMMENDATION)}}}
