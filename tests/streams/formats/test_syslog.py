import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.finding import SEVERITIES, Finding
from streams.formats import facts, syslog
from tests.streams.formats.anything import TEXTS, examples, findings
from tests.streams.formats.golden import findings as golden_findings
from tests.streams.syslog_messages import parsed

HEADER = syslog.Header(hostname="flowhawk.example")


@examples(200)
@given(finding=findings(addresses=TEXTS), text=st.binary(max_size=20))
def test_any_text_in_any_field_comes_back(finding: Finding, text: bytes) -> None:
    read = parsed(syslog.message(finding, text, HEADER))
    assert read.text == text
    assert read.data["id"] == finding.id
    assert read.data["entity"] == finding.entity
    assert read.data.get("source") == finding.source
    assert read.data.get("target") == finding.target
    assert read.data.get("scope", "") == finding.scope
    assert read.data.get("account") == finding.account_id
    assert datetime.fromisoformat(read.time).timestamp() == facts.changed(finding)


def test_the_head_says_who_and_what() -> None:
    read = parsed(syslog.message(golden_findings()[0], b"", HEADER))
    assert (read.hostname, read.program, read.process, read.kind) == (
        "flowhawk.example",
        "flowhawk",
        "-",
        "vertical_scan",
    )
    assert read.data_id == "flowhawk@32473"


def test_the_enterprise_number_can_be_ones_own() -> None:
    header = syslog.Header(hostname="flowhawk.example", enterprise=64_000)
    assert parsed(syslog.message(golden_findings()[0], b"", header)).data_id == "flowhawk@64000"


@pytest.mark.parametrize(("facility", "number"), [("local0", 16), ("local7", 23), ("authpriv", 10)])
def test_the_priority_is_of_facility_and_severity(facility: str, number: int) -> None:
    header = syslog.Header(hostname="h", facility=facility)
    priorities = [
        parsed(syslog.message(golden_findings()[0].model_copy(update={"severity": severity}), b"", header)).priority
        for severity in SEVERITIES
    ]
    assert priorities == [number * 8 + level for level in (5, 4, 3, 2)]


@given(hostname=TEXTS)
def test_a_hostname_that_is_none_breaks_no_header(hostname: str) -> None:
    read = parsed(syslog.message(golden_findings()[0], b"text", syslog.Header(hostname=hostname)))
    assert re.fullmatch(r"[!-~]+", read.hostname)
    assert read.text == b"text"


@given(texts=st.lists(st.binary(max_size=300)))
def test_counted_messages_can_be_told_apart(texts: list[bytes]) -> None:
    rest = b"".join(map(syslog.counted, texts))
    found = []
    while rest:
        length, _, rest = rest.partition(b" ")
        found.append(rest[: int(length)])
        rest = rest[int(length) :]
    assert found == texts
