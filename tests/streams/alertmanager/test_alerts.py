import json

import pytest

from streams.alertmanager.alerts import alert, labels, surge, told, written
from tests.streams.alertmanager.made import FIRST, NOW, finding, settings


def test_labels_say_which_attack_it_is() -> None:
    named = finding(
        entity="10.0.1.1",
        scope="vpc-1",
        vpc_id="vpc-1",
        account_id="123456789010",
        severity="high",
        direction="internal",
    )
    assert dict(labels(named, {"env": "prod"})) == {
        "alertname": "VerticalScan",
        "kind": "vertical_scan",
        "severity": "high",
        "host": "10.0.1.1",
        "scope": "vpc-1",
        "account": "123456789010",
        "vpc": "vpc-1",
        "direction": "internal",
        "env": "prod",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"value": 99.0, "score": 99.0, "summary": "more", "evidence": {"more": 1}},
        {"last_seen": FIRST.last_seen + 600, "window_end": FIRST.window_end + 600, "first_seen": FIRST.first_seen - 5},
        {"ports": (1, 2), "protocol": None, "updates": 7, "provisional": True, "related": ("x",), "baseline": 2.0},
        {"status": "closed", "id": "other", "detected_at": 1},
    ],
)
def test_nothing_that_changes_while_an_attack_goes_on_is_a_label(changed: dict[str, object]) -> None:
    assert labels(finding().model_copy(update=changed), {}) == labels(finding(), {})


def test_annotations_say_what_is_known() -> None:
    links = settings(
        runbook_url="https://example.org/runbooks#{kind}", dashboard_url="https://example.org/d?host={host}"
    )
    one = told(finding(entity="2001:db8::1"), links)
    made = alert(one.labels, [one])
    assert made.annotations["summary"] == FIRST.summary
    assert made.annotations["score"] == f"{FIRST.score:g}"
    assert made.annotations["runbook_url"] == "https://example.org/runbooks#vertical_scan"
    assert made.annotations["dashboard_url"] == "https://example.org/d?host=2001%3Adb8%3A%3A1"
    for part in (f"{FIRST.value:g} where 15 is the threshold", "failed ports: 20", "Finding a", f"to {FIRST.target}"):
        assert part in made.annotations["description"]
    assert made.starts_at == FIRST.first_seen


def test_several_findings_of_one_alert_are_all_told_of_and_the_first_says_since_when() -> None:
    several = [
        finding(f"{number}", entity="10.0.0.1", summary=f"scan {number}", score=50.0 + number, first_seen=1000 - number)
        for number in range(9)
    ]
    made = alert(labels(several[0], {}), [told(each, settings()) for each in several])
    assert made.annotations["summary"] == "scan 8"
    assert "scan 7\nscan 6\nscan 5\nscan 4\nscan 3\nand 3 more" in made.annotations["description"]
    assert made.starts_at == 992


def test_a_description_is_bounded() -> None:
    huge = finding(evidence={"list": ["x" * 100] * 1000}, summary="y" * 10_000)
    one = told(huge, settings())
    assert len(one.description) < 2000
    assert len(one.summary) <= 1500


def test_what_is_posted_is_what_the_api_takes() -> None:
    one = told(finding(), settings(finding_url="https://example.org/findings/{id}"))
    (posted,) = json.loads(written([alert(one.labels, [one])], NOW + 240))
    assert posted["labels"] == dict(one.labels)
    assert posted["startsAt"] == "2026-01-05T09:00:20.000Z"
    assert posted["endsAt"] == "2026-01-05T10:50:40.000Z"
    assert posted["generatorURL"] == "https://example.org/findings/a"


def test_an_alert_never_begins_behind_its_end() -> None:
    one = told(finding(first_seen=int(NOW) + 10_000), settings())
    (posted,) = json.loads(written([alert(one.labels, [one])], NOW))
    assert posted["startsAt"] < posted["endsAt"]


def test_a_surge_says_how_many_there_are() -> None:
    made = surge({"low": 3, "critical": 2}, 70, settings(labels={"env": "lab"}), NOW)
    assert dict(made.labels) == {"alertname": "FlowhawkFindingsSurge", "severity": "critical", "env": "lab"}
    assert "waiting: 2 critical, 3 low; not kept, and only on the findings topic: 70" in made.annotations["description"]
