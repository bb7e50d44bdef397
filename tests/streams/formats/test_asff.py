import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given

from detectors.finding import Finding
from streams.formats import asff
from tests.streams.formats.anything import examples, findings
from tests.streams.formats.golden import HUB, SENT
from tests.streams.formats.golden import findings as golden_findings

REQUEST = (
    botocore.session.get_session().get_service_model("securityhub").operation_model("BatchImportFindings").input_shape
)
LIMITS = {"Title": 256, "Description": 1024}


def written(finding: Finding) -> dict[str, Any]:
    return asff.document(finding, HUB, SENT)


def require_valid(document: dict[str, Any]) -> None:
    """Check against the model of the interface that AWS publishes, and against the limits that the text tells."""
    report = ParamValidator().validate({"Findings": [document]}, REQUEST)
    assert not report.has_errors(), report.generate_report()
    assert {name: len(document[name]) for name in LIMITS if len(document[name]) > LIMITS[name]} == {}
    assert document["Types"] if "Types" in document else document["FindingProviderFields"]["Types"]
    assert len(document["ProductFields"]) <= 50
    assert all(len(value) <= 2048 for value in document["ProductFields"].values())
    assert len(json.dumps(document).encode()) <= 240_000
    assert empty(document) == []


def empty(value: Any, path: str = "") -> list[str]:
    """Name the texts that are empty: Security Hub takes none."""
    if isinstance(value, dict):
        return [each for name, inner in value.items() for each in empty(inner, f"{path}/{name}")]
    if isinstance(value, list):
        return [each for inner in value for each in empty(inner, path)]
    return [path] if value == "" else []


@pytest.mark.parametrize("finding", golden_findings(), ids=lambda each: each.id)
def test_golden_findings_are_valid_by_the_model_of_the_interface(finding: Finding) -> None:
    require_valid(written(finding))


@examples(60)
@given(finding=findings())
def test_any_finding_is_valid_by_the_model_of_the_interface(finding: Finding) -> None:
    require_valid(written(finding))


def test_long_texts_are_shortened() -> None:
    finding = golden_findings()[0].model_copy(
        update={"summary": "x" * 5000, "entity": "e" * 5000, "evidence": {"text": "y" * 300_000}}
    )
    document = written(finding)
    require_valid(document)
    assert document["Description"].endswith("x…")


@pytest.mark.parametrize(
    ("status", "record"),
    [("open", "ACTIVE"), ("closed", "ARCHIVED"), ("retracted", "ARCHIVED"), ("superseded", "ARCHIVED")],
)
def test_what_is_over_is_archived(status: str, record: str) -> None:
    assert written(golden_findings()[0].model_copy(update={"status": status}))["RecordState"] == record


def test_an_update_has_the_same_id_and_a_later_time() -> None:
    finding = golden_findings()[0]
    first, second = (asff.document(finding, HUB, SENT + timedelta(seconds=each)) for each in (0, 60))
    assert first["Id"] == second["Id"]
    assert first["CreatedAt"] == second["CreatedAt"]
    assert first["UpdatedAt"] < second["UpdatedAt"]


def test_times_are_in_universal_time() -> None:
    east = datetime(2026, 1, 5, 14, tzinfo=timezone(timedelta(hours=2)))
    assert asff.document(golden_findings()[0], HUB, east)["UpdatedAt"] == "2026-01-05T12:00:00.000000Z"
    assert datetime.fromisoformat(written(golden_findings()[0])["UpdatedAt"]) == datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_a_scan_is_a_probe_of_ports() -> None:
    finding = golden_findings()[0].model_copy(update={"ports": (22, 23)})
    action = written(finding)["Action"]
    assert action["ActionType"] == "PORT_PROBE"
    assert [each["LocalPortDetails"]["Port"] for each in action["PortProbeAction"]["PortProbeDetails"]] == [22, 23]
    assert action["PortProbeAction"]["PortProbeDetails"][0]["RemoteIpDetails"] == {"IpAddressV4": finding.source}


def test_a_leak_is_a_connection_to_outside() -> None:
    (finding,) = (each for each in golden_findings() if each.kind == "exfiltration_burst")
    action = written(finding)["Action"]
    assert action["ActionType"] == "NETWORK_CONNECTION"
    assert action["NetworkConnectionAction"]["ConnectionDirection"] == "OUTBOUND"
    assert action["NetworkConnectionAction"]["RemoteIpDetails"] == {"IpAddressV4": finding.target}


def test_ipv6_is_told_of_the_network_since_actions_have_no_room_for_it() -> None:
    finding = golden_findings()[0].model_copy(update={"source": "2001:db8::1", "target": "2001:db8::2"})
    document = written(finding)
    assert "Action" not in document
    assert document["Network"]["SourceIpV6"] == "2001:db8::1"
    assert document["Network"]["DestinationIpV6"] == "2001:db8::2"


def test_what_customers_change_is_left_to_them() -> None:
    for finding in golden_findings():
        assert not {"Severity", "Types", "Confidence", "Workflow", "Note", "UserDefinedFields"} & set(written(finding))


def test_the_account_may_be_in_another_partition() -> None:
    account = asff.Account("111122223333", "us-gov-west-1", "aws-us-gov")
    assert account.product_arn == ("arn:aws-us-gov:securityhub:us-gov-west-1:111122223333:product/111122223333/default")
