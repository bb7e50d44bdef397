import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.finding import SEVERITIES, Finding
from streams.formats import cef, facts
from tests.streams.formats.anything import TEXTS, examples, findings
from tests.streams.formats.golden import findings as golden_findings

WRITE = cef.Cef()

_HEADER = re.compile(r"((?:[^|\\]|\\[|\\])*)\|", re.DOTALL)
_PAIR = re.compile(r"(\w+)=((?:[^=\\]|\\[=\\nr])*)(?= \w+=|\Z)", re.DOTALL)
_MEANT = {"n": "\n", "r": "\r"}


def parsed(line: str) -> tuple[list[str], Mapping[str, str]]:
    """Read a line as CEF is described: seven headers, each up to a bare pipe, then keys before bare equals signs."""
    headers: list[str] = []
    at = 0
    while len(headers) < 7:
        found = _HEADER.match(line, at)
        assert found is not None, line
        headers.append(bare(found[1]))
        at = found.end()
    pairs: dict[str, str] = {}
    while at < len(line):
        found = _PAIR.match(line, at)
        assert found is not None, line[at:]
        assert found[1] not in pairs
        pairs[found[1]] = bare(found[2])
        at = found.end() + 1
    return headers, pairs


def bare(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _MEANT.get(match[1], match[1]), text, flags=re.DOTALL)


def told(finding: Finding) -> tuple[list[str], Mapping[str, str]]:
    return parsed(WRITE.written(finding).decode())


@examples(300)
@given(finding=findings(addresses=TEXTS.filter(bool)))
def test_any_text_in_any_field_comes_back(finding: Finding) -> None:
    headers, pairs = told(finding)
    spaced = re.sub(r"[\r\n]", " ", finding.kind)
    assert headers[:5] == ["CEF:0", "Flowhawk", "Flowhawk", facts.product_version(), spaced]
    assert pairs["externalId"] == finding.id
    assert pairs["msg"] == finding.summary
    assert pairs["cat"] == finding.kind
    assert pairs["cs1"] == finding.entity
    assert pairs.get("src") == finding.source
    assert pairs.get("dst") == finding.target
    assert pairs.get("cs2", "") == finding.scope
    assert pairs.get("cs6", "") == (finding.account_id or "")
    assert float(pairs["cfp2"]) == finding.value


@given(text=st.text(alphabet="\\|=\n\r nr", max_size=12))
def test_what_is_escaped_can_be_part_of_a_text(text: str) -> None:
    _, pairs = told(golden_findings()[0].model_copy(update={"summary": text}))
    assert pairs["msg"] == text


def test_every_labelled_value_has_its_label() -> None:
    for finding in golden_findings():
        _, pairs = told(finding)
        values = {key for key in pairs if re.fullmatch(r"(cs|cn|cfp|c6a)\d", key)}
        assert {f"{key}Label" for key in values} == {key for key in pairs if key.endswith("Label")}


def test_ipv6_has_keys_of_its_own() -> None:
    _, pairs = told(golden_findings()[0].model_copy(update={"source": "2001:db8::1", "target": "10.0.0.1"}))
    assert (pairs["c6a2"], pairs["c6a2Label"]) == ("2001:db8::1", "Source IPv6 Address")
    assert pairs["dst"] == "10.0.0.1"
    assert not {"src", "c6a3"} & set(pairs)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_severities_are_in_the_range_of_their_name(severity: str) -> None:
    finding = golden_findings()[0].model_copy(update={"severity": severity})
    ranges = {"low": range(4), "medium": range(4, 7), "high": range(7, 9), "critical": range(9, 11)}
    assert int(told(finding)[0][6]) in ranges[severity]


def test_times_are_milliseconds() -> None:
    finding = golden_findings()[0]
    _, pairs = told(finding)
    assert (int(pairs["start"]), int(pairs["end"])) == (finding.first_seen * 1000, finding.last_seen * 1000)
