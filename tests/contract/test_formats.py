"""What every format must hold to."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from detectors.finding import Finding
from streams.formats import Format, formats
from streams.formats.contract import JsonFormat
from tests.streams.formats.anything import examples, findings
from tests.streams.formats.golden import GOLDEN, WRITERS, text
from tests.streams.formats.golden import findings as golden_findings

ROOT = Path(__file__).parents[2]
quick = examples(60)


@pytest.fixture(params=formats().values(), ids=lambda each: each.name)
def each(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


def test_names_are_how_they_are_found() -> None:
    assert {name: each.name for name, each in formats().items()} == {name: name for name in formats()}


@pytest.mark.parametrize("name", WRITERS)
def test_findings_are_written_as_they_were_before(name: str) -> None:
    assert text(WRITERS[name]).splitlines() == (GOLDEN / name).read_text(encoding="utf-8").splitlines()


def test_golden_findings_fit_the_schema_that_is_published() -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "finding.schema.json").read_text(encoding="utf-8"))
    check = jsonschema.Draft202012Validator(schema)
    for line in (GOLDEN / "flowhawk.jsonl").read_text(encoding="utf-8").splitlines():
        check.validate(json.loads(line))
    assert set(schema["required"]) == set(schema["properties"]) == set(Finding.model_fields)
    assert not check.is_valid(json.loads(line) | {"of_no_schema": 1})


def test_there_are_golden_findings_of_every_kind_and_status() -> None:
    golden = golden_findings()
    assert {each.status for each in golden} == {"open", "closed", "retracted", "superseded"}
    assert {each.direction for each in golden} == {"inbound", "outbound", "internal"}
    assert {"vertical_scan", "horizontal_scan", "slow_scan", "brute_force", "exfiltration_burst", "rejected_spike"} <= {
        each.kind for each in golden
    }


@quick
@given(finding=findings())
def test_a_finding_is_one_line_whatever_is_in_it(finding: Finding) -> None:
    for each in formats().values():
        line = each.written(finding).decode()
        assert line
        assert not {"\n", "\r"} & set(line)


@quick
@given(finding=findings())
def test_the_same_finding_is_the_same_bytes(finding: Finding) -> None:
    again = Finding.model_validate_json(finding.model_dump_json())
    assert [each.written(again) for each in formats().values()] == [
        each.written(finding) for each in formats().values()
    ]


@quick
@given(finding=findings())
def test_a_finding_as_it_is_reads_back(finding: Finding) -> None:
    assert Finding.model_validate_json(formats()["flowhawk"].written(finding)) == finding


def test_several_together_are_what_each_is(each: Format) -> None:
    several = golden_findings()
    lines = [each.written(finding).decode() for finding in several]
    body = each.together(several).decode()
    if isinstance(each, JsonFormat):
        assert each.content_type == "application/json"
        assert json.loads(body) == [json.loads(line) for line in lines]
    else:
        assert body.splitlines() == lines


def test_the_id_and_the_summary_are_told(each: Format) -> None:
    for finding in golden_findings()[:-1]:
        line = each.written(finding).decode()
        assert finding.id in line
        assert finding.summary in line
