from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors.finding import Finding
from streams.cases import Expectation, read, run
from streams.errors import SettingsError
from tests.streams.flow_lines import flow, scan
from tests.streams.found import findings

SCAN = "\n".join(scan())
PORTS = " ".join(str(port) for port in range(1000, 1008))
FOUND = f"vertical_scan, source 203.0.113.9, target 10.0.0.5, ports {PORTS} ..., medium, inbound"
RULE = {"name": "ours", "owner": "me", "reason": "it scans", "sources": ["203.0.113.9"]}


def wrong(folder: Path, general: Any = None, **case: Any) -> list[str]:
    """Run one case, and return what is wrong."""
    path = folder / "cases.yaml"
    whole = {"name": "a case", "flows": SCAN, **case}
    path.write_text(yaml.safe_dump({"settings": general or {}, "cases": [whole]}))
    ((_, found),) = run(path, read(path))
    return found


def mistakes(folder: Path, text: str) -> list[str]:
    path = folder / "cases.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        list(run(path, read(path)))
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


class TestExpectations:
    @pytest.mark.parametrize(
        ("expected", "fits"),
        [
            ({}, True),
            ({"kind": "vertical_scan", "severity": "medium", "direction": "inbound", "protocol": 6}, True),
            ({"kind": "brute_force"}, False),
            ({"severity": "high"}, False),
            ({"source": "203.0.113.9", "target": "10.0.0.0/8", "entity": "203.0.113.0/24"}, True),
            ({"source": "203.0.113.8"}, False),
            ({"source": None}, False),
            ({"source": "2001:db8::/32"}, False),
            ({"ports": [1000, 1009]}, True),
            ({"ports": [1000, 22]}, False),
            ({"status": "closed", "scope": "", "interface_id": "eni-0a1b2c3d"}, True),
            ({"vpc_id": None, "account_id": "123456789012"}, True),
            ({"suppressed_by": "ours"}, False),
            ({"observed": True}, False),
        ],
    )
    def test_compare_what_is_given(self, expected: dict[str, Any], fits: bool) -> None:
        _, finding = findings()
        assert Expectation.model_validate(expected).fits(finding) is fits

    def test_of_what_is_kept_back_say_so(self) -> None:
        _, finding = findings()
        suppressed = finding.model_copy(update={"suppressed_by": "ours"})
        observed = finding.model_copy(update={"observed": True})
        assert not Expectation().fits(suppressed)
        assert Expectation(suppressed_by="ours").fits(suppressed)
        assert not Expectation().fits(observed)
        assert Expectation(observed=True).fits(observed)

    def test_of_what_has_many_sources_are_null(self) -> None:
        many: Finding = findings()[1].model_copy(update={"source": None})
        assert Expectation.model_validate({"source": None}).fits(many)
        assert not Expectation(source="0.0.0.0/0").fits(many)


def test_what_is_as_it_should_be_is_nothing_wrong(tmp_path: Path) -> None:
    assert wrong(tmp_path, expect=[{"kind": "vertical_scan"}], forbid=[{"kind": "brute_force"}]) == []


def test_what_is_missing_is_told_with_what_was_found_instead(tmp_path: Path) -> None:
    expect = [{"kind": "brute_force", "source": None, "ports": [22, 80]}]
    assert wrong(tmp_path, expect=expect) == [
        f"expected brute_force, source many, ports 22 80; found {FOUND}, closed",
    ]
    assert wrong(tmp_path, flows=flow(), expect=[{}]) == ["expected a finding; found nothing"]


def test_what_is_forbidden_is_told_as_it_was_found(tmp_path: Path) -> None:
    assert wrong(tmp_path, forbid=[{}]) == [f"forbidden is a finding; found {FOUND}, closed"]


def test_few_of_many_findings_are_named(tmp_path: Path) -> None:
    lines = [line for host in range(7) for line in scan(f"203.0.113.{host}", f"10.0.1.{host}")]
    (told,) = wrong(tmp_path, flows="\n".join(lines), forbid=[{}])
    assert told.count("vertical_scan") == 5
    assert told.endswith("; 2 more")


def test_findings_that_are_kept_back_are_seen_where_that_is_asked(tmp_path: Path) -> None:
    settings = {"suppressions": [RULE]}
    assert wrong(tmp_path, settings, expect=[{"suppressed_by": "ours"}], forbid=[{}]) == []
    (told,) = wrong(tmp_path, settings, expect=[{"kind": "vertical_scan"}])
    assert told.endswith(f"found {FOUND}, closed, suppressed by ours")
    observing = {"modes": {"vertical_scan": "observe"}}
    assert wrong(tmp_path, observing, expect=[{"observed": True}], forbid=[{}]) == []


def test_settings_of_a_case_lie_over_those_of_all(tmp_path: Path) -> None:
    sharp = {"detectors": {"vertical_scan": {"ports": 10}}}
    blunt = {"detectors": {"vertical_scan": {"ports": 99}}}
    assert wrong(tmp_path, blunt, forbid=[{}]) == []
    assert wrong(tmp_path, blunt, settings=sharp, expect=[{}]) == []
    (tmp_path / "blunt.yaml").write_text(yaml.safe_dump(blunt))
    assert wrong(tmp_path, "blunt.yaml", forbid=[{}]) == []
    assert wrong(tmp_path, "blunt.yaml", settings=sharp, expect=[{}]) == []
    assert wrong(tmp_path, sharp, settings="blunt.yaml", forbid=[{}]) == []


def test_files_lie_beside_the_cases_and_are_one_input_with_the_lines(tmp_path: Path) -> None:
    (tmp_path / "half.log").write_text("\n".join(scan(ports=10)))
    other = "\n".join(scan(ports=20)[10:])
    assert wrong(tmp_path, flows="", files=["half.log"], forbid=[{}]) == []
    assert wrong(tmp_path, flows=other, files=["half.log"], expect=[{"kind": "vertical_scan"}]) == []


def test_lines_may_have_a_header(tmp_path: Path) -> None:
    header = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action"
    lines = [" ".join(line.split()[2:13]) for line in scan()]
    assert wrong(tmp_path, flows="\n".join([header, *lines]), expect=[{"kind": "vertical_scan"}]) == []


def test_traffic_is_generated_with_the_attacks_that_are_named_and_no_others(tmp_path: Path) -> None:
    generate = {"minutes": 20, "hosts": 40, "rate": 300}
    scanning = {**generate, "attacks": ["vertical_scan:ports=100,seconds=60"]}
    assert (
        wrong(tmp_path, flows="", generate=scanning, expect=[{"kind": "vertical_scan", "direction": "inbound"}]) == []
    )
    assert wrong(tmp_path, flows="", generate=generate, forbid=[{}]) == []


def test_a_line_that_is_refused_fails_the_case(tmp_path: Path) -> None:
    assert wrong(tmp_path, flows=f"{flow()}\ngarbage", forbid=[{}]) == [
        "lines were refused (1), the first is flows:2: wrong field count: 1 instead of 14"
    ]


def test_a_file_that_breaks_off_fails_the_case(tmp_path: Path) -> None:
    (tmp_path / "cut.log.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (told,) = wrong(tmp_path, files=["cut.log.gz"], expect=[{}])
    assert "cut.log.gz: stops being readable after" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "holds no cases; they stand under 'cases:'"),
        ("cases: []", "there is no case under cases"),
        ("cases: [{name: a, flows: b}]", "cases.0: nothing is asked; give expect or forbid"),
        ("cases: [{name: a, forbid: [{}]}]", "cases.0: nothing comes in; give flows, files or generate"),
        ("cases: [{name: a, flow: b, forbid: [{}]}]", "cases.0.flow is no key of a case; did you mean 'flows'?"),
        ("case: []", "cases: field required"),
        (
            "cases: [{name: a, flows: b, forbid: [{knid: c}]}]",
            "cases.0.forbid.0.knid is no key of a finding; did you mean",
        ),
        ("cases: [{name: a, flows: b, forbid: [{kind: c}]}]", "cases.0.forbid.0.kind: no detector is called 'c'"),
        ("cases: [{name: a, generate: {seeds: 1}, forbid: [{}]}]", "cases.0.generate.seeds is no key of generate; did"),
        ("cases: [{name: a, generate: {attacks: [scam]}, forbid: [{}]}]", "cases.0: scam: no attack is called 'scam'"),
        ("cases: [{name: a, files: [b.log], forbid: [{}]}]", "cases.0: "),
        (
            "cases: [{name: a, flows: b, forbid: [{}], settings: {htttp: {}}}]",
            "cases.0: settings: htttp is no setting; did",
        ),
        ("cases: [{name: a, flows: b, forbid: [{}], settings: none.yaml}]", "cases.0: "),
        ("cases: [", "is not YAML: "),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert mistakes(tmp_path, text)[0].startswith(message)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.yaml: cannot be read: No such file or directory"):
        read(tmp_path / "none.yaml")
