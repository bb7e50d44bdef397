import json
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from detectors.finding import Finding
from streams.formats import facts, ocsf
from tests.streams.formats.anything import examples, findings
from tests.streams.formats.golden import findings as golden_findings

WRITE = ocsf.Ocsf()
LATEST = "1.8.0"


@cache
def validator(version: str, *profiles: str) -> jsonschema.Draft202012Validator:
    """Check against the published schema of a version, as the package carries it."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version)).get_class_schema("detection_finding", [*profiles])
    return jsonschema.Draft202012Validator(schema)


def require_valid(finding: Finding, version: str = ocsf.VERSION) -> None:
    document = json.loads(WRITE.written(finding))
    # What is read by a later version says so itself.
    document["metadata"]["version"] = version
    validator(version, *document["metadata"]["profiles"]).validate(document)


@pytest.mark.parametrize("version", [ocsf.VERSION, LATEST])
@pytest.mark.parametrize("finding", golden_findings(), ids=lambda each: each.id)
def test_golden_findings_are_valid_by_the_published_schema(finding: Finding, version: str) -> None:
    require_valid(finding, version)


@examples(40)
@given(finding=findings())
def test_any_finding_is_valid_by_the_published_schema(finding: Finding) -> None:
    require_valid(finding)


def test_the_schema_would_find_a_mistake() -> None:
    document = json.loads(WRITE.written(golden_findings()[0]))
    mistakes: list[dict[str, Any]] = [
        {"class_uid": "2004"},
        {"finding_info": {"title": "no uid"}},
        {"anomaly_analyses": [{"anomalies": []}]},
        {"severity_id": 17},
        {"of_no_schema": 1},
    ]
    for mistake in mistakes:
        assert not validator(ocsf.VERSION, "cloud").is_valid(document | mistake), mistake


@pytest.mark.parametrize(
    ("change", "activity", "status"),
    [
        ({"status": "open", "updates": 0}, "Create", "New"),
        ({"status": "open", "updates": 3}, "Update", "New"),
        ({"status": "closed"}, "Close", "Resolved"),
        ({"status": "retracted"}, "Close", "Resolved"),
        ({"status": "superseded"}, "Close", "Archived"),
        ({"status": "closed", "suppressed_by": "ours"}, "Close", "Suppressed"),
    ],
)
def test_states_are_activities(change: dict[str, object], activity: str, status: str) -> None:
    document = WRITE.document(golden_findings()[0].model_copy(update=change))
    assert (document["activity_name"], document["status"]) == (activity, status)
    assert document["type_uid"] == 200_400 + document["activity_id"]


def test_times_are_milliseconds_and_updates_tell_until_when() -> None:
    finding = golden_findings()[0].model_copy(update={"status": "open", "updates": 0})
    raised, grown = (WRITE.document(finding.model_copy(update={"updates": updates})) for updates in (0, 1))
    assert raised["time"] == finding.detected_at * 1000
    assert grown["time"] == facts.changed(finding) * 1000
    assert raised["finding_info"]["created_time"] == grown["finding_info"]["created_time"] == raised["time"]


def test_the_anomaly_is_held_against_threshold_and_baseline() -> None:
    finding = golden_findings()[0].model_copy(update={"value": 240.0, "threshold": 15.0, "baseline": 2.5})
    (analysis,) = WRITE.document(finding)["anomaly_analyses"]
    assert analysis["anomalies"][0]["observation_parameter"] == "failed ports"
    assert [each["observations"][0]["value"] for each in (*analysis["anomalies"], *analysis["baselines"])] == [
        "240",
        "2.5",
        "15",
    ]
    assert [each["observed_pattern"] for each in analysis["baselines"]] == ["Usual", "Threshold"]


def test_what_was_retracted_is_a_false_positive() -> None:
    finding = golden_findings()[0].model_copy(update={"status": "retracted"})
    assert WRITE.document(finding)["evidences"][0]["verdict"] == "False Positive"


def test_resources_are_ones_own() -> None:
    finding = golden_findings()[0].model_copy(update={"interface_id": None})
    named = {
        direction: [
            each["name"] for each in WRITE.document(finding.model_copy(update={"direction": direction}))["resources"]
        ]
        for direction in ("inbound", "outbound", "internal")
    }
    assert named == {
        "inbound": [finding.target],
        "outbound": [finding.source],
        "internal": [finding.source, finding.target],
    }
