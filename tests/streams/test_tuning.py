from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from detectors.catalogue import FixedParameters, cards
from detectors.parameters import HostAddresses
from detectors.statistics.directory import HOSTS
from streams import tuning
from streams.pipeline import Pipeline
from streams.settings import Settings, load
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch, process


def settings(**sections: Any) -> Settings:
    return load(overrides=sections)


def suppression(**given: Any) -> dict[str, Any]:
    return {"name": "ours", "owner": "a", "reason": "b", **given}


def nobody(keys: pl.Series) -> pl.DataFrame:
    del keys
    return HOSTS.to_frame()


def test_without_settings_nothing_is_kept_back_and_all_parameters_are_fixed() -> None:
    assert tuning.policy(Settings()) == tuning.policy(settings(modes={"slow_scan": "active"}))
    parameters = tuning.parameters(Settings(), HostAddresses(nobody))
    assert set(parameters) == set(cards())
    assert all(isinstance(each, FixedParameters) for each in parameters.values())


def test_a_detector_that_is_off_is_not_asked() -> None:
    found = process(scan(), settings(modes={"vertical_scan": "off"}))
    assert found.findings == []
    assert set(tuning.parameters(settings(modes={"slow_scan": "off"}), HostAddresses(nobody))) == {*cards()} - {
        "slow_scan"
    }


def test_a_detector_that_only_observes_marks_what_it_finds() -> None:
    assert {each.observed for each in process(scan(), settings(modes={"vertical_scan": "observe"})).findings} == {True}


def test_a_tag_stands_for_its_addresses() -> None:
    tags = {"scanner": ["203.0.113.0/24", "2001:db8::/32"]}
    for rule in (suppression(tags=["scanner"]), suppression(sources=["203.0.113.9"])):
        outcome = process(scan(), settings(tags=tags, suppressions=[rule]))
        assert outcome.findings == []
    higher = [{"tags": ["scanner"], "detectors": {"vertical_scan": {"ports": 21}}}]
    assert process(scan(), settings(tags=tags, overrides=higher)).findings == []
    assert len(process(scan(ports=21), settings(tags=tags, overrides=higher)).findings) == 2


def test_an_override_for_a_scope_alone_holds_for_every_host_in_it() -> None:
    lower = [{"scope": "", "detectors": {"vertical_scan": {"ports": 5}}}]
    assert len(process(scan(ports=6), settings(overrides=lower)).findings) == 2
    elsewhere = [{"scope": "vpc-1", "detectors": {"vertical_scan": {"ports": 5}}}]
    assert process(scan(ports=6), settings(overrides=elsewhere)).findings == []


def test_expired_suppressions_are_listed() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    rules = [
        suppression(name=name, scope="vpc-1", expires=expires)
        for name, expires in (
            ("past", now - timedelta(1)),
            ("now", now),
            ("later", now + timedelta(1)),
            ("never", None),
        )
    ]
    assert [each.name for each in tuning.expired(settings(suppressions=rules), now)] == ["past", "now"]


def test_what_is_suppressed_is_an_outcome_of_its_own() -> None:
    pipeline = Pipeline(settings(suppressions=[suppression(sources=["203.0.113.9"])]))
    pipeline.process(batch([block([*scan(), *scan("203.0.113.8")])]))
    outcome = pipeline.finish("flows/0")
    assert [(each.source, each.status) for each in outcome.findings] == [
        ("203.0.113.8", "open"),
        ("203.0.113.8", "closed"),
    ]
    assert [(each.source, each.status) for each in outcome.suppressed] == [
        ("203.0.113.9", "open"),
        ("203.0.113.9", "closed"),
    ]


def test_the_time_of_the_records_decides_when_a_suppression_ends() -> None:
    for expires, told in ((NINE + 29, 2), (NINE + 3600, 0)):
        rule = suppression(sources=["203.0.113.9"], expires=datetime.fromtimestamp(expires, UTC))
        assert len(process(scan(), settings(suppressions=[rule])).findings) == told


def opened() -> Pipeline:
    """Run the stages until a scan is told."""
    pipeline = Pipeline(Settings())
    outcome = pipeline.process(batch([block([*scan(), flow(end=NINE + 1800)])]))
    assert [each.status for each in outcome.findings] == ["open"]
    return pipeline


def test_other_settings_apply_to_what_is_open() -> None:
    pipeline = opened()
    outcome = pipeline.retune(settings(suppressions=[suppression(sources=["203.0.113.9"])]))
    assert [(each.status, each.suppressed_by) for each in outcome.findings] == [("closed", "ours")]
    assert [(each.status, each.suppressed_by) for each in outcome.suppressed] == [("open", "ours")]
    assert [each.status for each in pipeline.retune(Settings()).findings] == ["open"]
    assert [each.status for each in pipeline.finish("flows/0").findings] == ["closed"]


def test_other_parameters_apply_from_then_on() -> None:
    pipeline = Pipeline(settings(modes={"vertical_scan": "off"}))
    pipeline.process(batch([block(scan())]))
    pipeline.retune(settings(detectors={"vertical_scan": {"ports": 21}}))
    assert pipeline.look() == []
    pipeline.retune(Settings())
    assert [each.status for each in pipeline.finish("flows/0").findings] == ["open", "closed"]


def test_a_restart_with_other_settings_applies_them_to_what_was_open() -> None:
    stored = opened().changes(whole=True)
    again = Pipeline(settings(suppressions=[suppression(sources=["203.0.113.9"])]))
    again.restore(stored)
    outcome = again.process(batch([block([flow(end=NINE + 1801)])], begin=1))
    assert [(each.status, each.suppressed_by) for each in outcome.findings] == [("closed", "ours")]
    assert again.finish("flows/0").findings == []


def test_a_restart_with_the_same_settings_says_nothing() -> None:
    stored = opened().changes(whole=True)
    again = Pipeline(Settings())
    again.restore(stored)
    assert again.process(batch([block([flow(end=NINE + 1801)])], begin=1)).findings == []
