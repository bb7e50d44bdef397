"""Which findings a suppression matches."""

from typing import Any

import pytest

from detectors.statistics.tables import EXAMPLES
from detectors.suppression import NOTHING_KEPT
from tests.detectors.detections import detection
from tests.detectors.suppressions import SCANNER, policy, rule


class TestMatching:
    @pytest.mark.parametrize(
        ("scopes", "applies"),
        [
            ({"kinds": frozenset({"vertical_scan"})}, True),
            ({"kinds": frozenset({"brute_force"})}, False),
            ({"sources": [SCANNER]}, True),
            ({"sources": ["198.51.100.0/24", "2001:db8::/32"]}, True),
            ({"sources": ["198.51.100.8"]}, False),
            ({"targets": ["10.0.0.0/8"]}, True),
            ({"targets": [SCANNER]}, False),
            ({"entities": [SCANNER]}, True),
            ({"entities": ["10.0.0.9"]}, False),
            ({"ports": frozenset({22, 80, 443})}, True),
            ({"ports": frozenset({22})}, False),
            ({"directions": frozenset({"inbound"})}, True),
            ({"directions": frozenset({"outbound", "internal"})}, False),
            ({"scope": ""}, True),
            ({"scope": "vpc-1"}, False),
            ({"sources": [SCANNER], "ports": frozenset({22, 80})}, True),
            ({"sources": [SCANNER], "ports": frozenset({22})}, False),
            ({"sources": ["192.0.2.1"], "ports": frozenset({22, 80})}, False),
        ],
    )
    def test_everything_that_is_given_must_match(self, scopes: dict[str, Any], applies: bool) -> None:
        assert rule(**scopes).applies(detection()) is applies

    def test_ipv6_addresses_and_mapped_ones_are_matched(self) -> None:
        six = detection(source="2001:db8::7", entity="2001:db8::7")
        assert rule(sources=["2001:db8::/64"]).applies(six)
        assert not rule(sources=["0.0.0.0/0"]).applies(six)
        assert rule(sources=["::ffff:198.51.100.0/120"]).applies(detection())
        assert not rule(sources=["::/0"]).applies(detection())

    def test_what_has_many_sources_is_matched_by_none(self) -> None:
        assert not rule(sources=["0.0.0.0/0"]).applies(detection(source=None, entity="10.0.0.9"))

    def test_a_finding_without_ports_is_not_matched_by_ports(self) -> None:
        assert not rule(ports=frozenset({22})).applies(detection(ports=()))

    def test_a_finding_that_may_have_more_ports_than_it_lists_is_not_matched_by_ports(self) -> None:
        everything = frozenset(range(1, 100))
        assert rule(ports=everything).applies(detection(ports=tuple(range(1, EXAMPLES))))
        assert not rule(ports=everything).applies(detection(ports=tuple(range(1, EXAMPLES + 1))))

    def test_the_time_of_the_records_decides_whether_it_is_over(self) -> None:
        last = detection().last_seen
        assert rule(expires=last + 1).applies(detection())
        assert not rule(expires=last).applies(detection())

    def test_the_first_one_that_applies_is_named(self) -> None:
        several = policy(rule("none", scope="x"), rule("first"), rule("second"))
        assert several.suppressed_by(detection()) == "first"
        assert NOTHING_KEPT.suppressed_by(detection()) is None
