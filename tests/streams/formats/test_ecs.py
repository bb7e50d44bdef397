import json

import pytest

from detectors.finding import SEVERITIES
from streams.formats import ecs
from tests.streams.formats.golden import findings

WRITE = ecs.Ecs()

FIELD_SETS = {
    *("@timestamp", "message", "tags", "ecs", "event", "rule", "observer", "source", "destination", "network"),
    *("related", "threat", "cloud"),
}
"""What ECS has at the top, as far as it is used here; all else must be under a name of one's own."""


def test_only_field_sets_of_ecs_and_one_of_ones_own_are_used() -> None:
    used = {name for finding in findings() for name in WRITE.document(finding)}
    assert used == FIELD_SETS | {"flowhawk"}


def test_nothing_is_lost() -> None:
    for finding in findings():
        document = json.dumps(WRITE.document(finding))
        held = finding.model_dump(mode="json")
        shown = (
            *("id", "kind", "entity", "source", "target", "summary", "value", "threshold", "baseline", "score"),
            *("account_id", "interface_id", "scope", "superseded_by", "suppressed_by", "evidence", "related"),
        )
        assert [name for name in shown if json.dumps(held[name]) not in document] == []


def test_severity_rises_with_severity_within_a_hundred() -> None:
    numbers = [ecs.SEVERITIES[each] for each in SEVERITIES]
    assert numbers == sorted(set(numbers))
    assert 0 < numbers[0] < numbers[-1] <= 100


@pytest.mark.parametrize(
    ("mitre", "technique", "part"),
    [
        (("T1046", "T1595.001"), ["T1046", "T1595"], ["T1595.001"]),
        (("T1110", "T1110.001", "T1110.003"), ["T1110"], ["T1110.001", "T1110.003"]),
        (("T1498",), ["T1498"], None),
    ],
)
def test_techniques_and_their_parts_stand_apart(mitre: tuple[str, ...], technique: list[str], part: list[str]) -> None:
    threat = WRITE.document(findings()[0].model_copy(update={"mitre": mitre}))["threat"]
    assert threat["technique"]["id"] == technique
    assert threat["technique"].get("subtechnique", {}).get("id") == part


def test_a_port_is_told_of_the_destination_where_there_is_exactly_one() -> None:
    finding = findings()[0]
    one, several = (WRITE.document(finding.model_copy(update={"ports": ports})) for ports in ((22,), (22, 23)))
    assert one["destination"]["port"] == 22
    assert "port" not in several["destination"]


def test_times_are_written_as_elasticsearch_reads_them() -> None:
    finding = findings()[0].model_copy(update={"first_seen": 1_767_603_730})
    assert WRITE.document(finding)["event"]["start"] == "2026-01-05T09:02:10.000Z"


def test_ipv6_is_told() -> None:
    finding = findings()[0].model_copy(update={"source": "2001:db8::1", "target": "2001:db8::2"})
    assert WRITE.document(finding)["network"]["type"] == "ipv6"
