import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import ValidationError as ModelError

from detectors.finding import SEVERITIES, Detection, Finding, Severity, finding_id, json_schema
from tests.detectors.detections import detection
from tests.detectors.strategies import quick

CONTRACT = {
    "schema_version", "id", "kind", "severity", "status", "provisional", "entity", "source", "target", "ports",
    "protocol", "direction", "scope", "account_id", "vpc_id", "interface_id", "window_start", "window_end",
    "first_seen", "last_seen", "detected_at", "value", "threshold", "baseline", "score", "summary", "evidence",
    "related", "superseded_by", "mitre", "updates", "detector_version", "observed", "suppressed_by",
}  # fmt: skip


def finding(**said: Any) -> Finding:
    story = detection().model_dump(exclude={"pane", "shard", "counterpart_scope"})
    return Finding(
        **{**story, "id": "da691f068cd3dd2c88c9d41e", "status": "open", "detected_at": 1_700_000_100, **said}
    )


def document(**said: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(finding().model_dump_json())
    return {**written, **said}


def test_an_identifier_never_changes() -> None:
    assert finding_id("vertical_scan", "/192.0.2.1", "vpc-1/10.0.0.9", 1700000040) == "da691f068cd3dd2c88c9d41e"
    assert finding_id("rejected_spike", "vpc-1/10.0.0.5", None, 1700000040) == "46da3d317fdd4caf184e27a1"


@pytest.mark.parametrize(
    "other",
    [
        ("horizontal_scan", "/192.0.2.1", "/10.0.0.9", 60),
        ("vertical_scan", "/192.0.2.2", "/10.0.0.9", 60),
        ("vertical_scan", "/192.0.2.1", "/10.0.0.8", 60),
        ("vertical_scan", "/192.0.2.1", None, 60),
        ("vertical_scan", "/192.0.2.1", "/10.0.0.9", 120),
        ("vertical_scan", "/192.0.2.1/10.0.0.9", "", 60),
    ],
)
def test_another_attack_has_another_identifier(other: tuple[str, str, str | None, int]) -> None:
    assert finding_id(*other) != finding_id("vertical_scan", "/192.0.2.1", "/10.0.0.9", 60)


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_schema_has_every_field_of_the_contract_and_no_other() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == CONTRACT
    assert set(schema["required"]) == CONTRACT
    assert schema["additionalProperties"] is False


def test_every_field_of_the_schema_is_described() -> None:
    assert [name for name, said in json_schema()["properties"].items() if not said.get("description")] == []


def test_the_severities_are_listed_from_least_to_most() -> None:
    assert tuple(SEVERITIES) == get_args(Severity) == ("low", "medium", "high", "critical")


@pytest.mark.parametrize("said", [{}, {"source": None}, {"target": None, "ports": ()}, {"baseline": 3.5}])
def test_a_finding_as_it_is_written_fits_the_schema(said: dict[str, Any]) -> None:
    Draft202012Validator(json_schema()).validate(json.loads(finding(**said).model_dump_json()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"severity": "terrible"},
        {"status": "gone"},
        {"direction": "sideways"},
        {"score": 101},
        {"ports": [22, "ssh"]},
        {"window_start": "yesterday"},
        {"more": 1},
    ],
)
def test_what_is_no_finding_does_not_fit_the_schema_nor_the_model(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(json_schema()).validate(document(**wrong))
    with pytest.raises(ModelError):
        Finding.model_validate(document(**wrong))


def test_a_finding_without_an_identifier_does_not_fit_the_schema() -> None:
    incomplete = document()
    del incomplete["id"]
    with pytest.raises(ValidationError, match="'id' is a required property"):
        Draft202012Validator(json_schema()).validate(incomplete)


EVIDENCE = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(-(2**53), 2**53), st.text(max_size=5), st.lists(st.integers(0, 65_535)))
)


@quick
@given(EVIDENCE, st.floats(0, 1e300), st.none() | st.floats(0, 1e300), st.text(max_size=20))
def test_a_finding_is_read_back_as_it_was_written(
    evidence: dict[str, Any], value: float, baseline: float | None, summary: str
) -> None:
    original = finding(evidence=evidence, value=value, baseline=baseline, summary=summary)
    assert Finding.model_validate_json(original.model_dump_json()) == original


def test_a_detection_is_read_back_as_it_was_written() -> None:
    assert Detection.model_validate_json(detection().model_dump_json()) == detection()


def test_a_finding_does_not_change() -> None:
    with pytest.raises(ModelError, match="frozen"):
        finding().status = "closed"
