import random
from collections.abc import Sequence

import pytest

from detectors.table import Table
from streams.records import Message, decode_all
from streams.settings import Settings
from streams.traffic import MOST_REGIONS, OTHER, PORTS, SERVICES, Regions, Volume, known, measure
from tests.streams.flow_lines import NINE, block, flow

FIELDS = (
    "srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status region "
    "pkt-src-aws-service pkt-dst-aws-service"
)


def table(lines: Sequence[str], sampling: bytes = b"") -> Table:
    headers = {"flowhawk-sampling": sampling} if sampling else {}
    settings = Settings()
    return decode_all([Message(block(lines), headers)], settings.records, settings.networks).table


def volumes(family: str, lines: Sequence[str], sampling: bytes = b"") -> dict[tuple[str, ...], tuple[float, float]]:
    found = measure(table(lines, sampling)).volumes()
    return {each.names: (each.bytes, each.records) for each in found if each.family == family}


def test_traffic_is_summed_by_direction_action_and_protocol() -> None:
    inside, other, outside, elsewhere = "10.0.0.5", "10.0.0.6", "198.51.100.7", "203.0.113.9"
    lines = [
        flow(inside, outside, size=1),
        flow(inside, outside, size=2),
        flow(outside, inside, size=4),
        flow(outside, inside, action="REJECT", size=8),
        flow(inside, other, size=16),
        flow(outside, elsewhere, size=32),
        f"2 123456789012 eni-0a1b2c3d {inside} {outside} 0 0 1 1 64 {NINE} {NINE} ACCEPT OK",
        f"2 123456789012 eni-0a1b2c3d {inside} {outside} 0 0 89 1 128 {NINE} {NINE} ACCEPT OK",
    ]
    assert volumes("traffic", lines) == {
        ("outbound", "ACCEPT", "tcp"): (3, 2),
        ("inbound", "ACCEPT", "tcp"): (4, 1),
        ("inbound", "REJECT", "tcp"): (8, 1),
        ("internal", "ACCEPT", "tcp"): (16, 1),
        ("transit", "ACCEPT", "tcp"): (32, 1),
        ("outbound", "ACCEPT", "icmp"): (64, 1),
        ("outbound", "ACCEPT", "other"): (128, 1),
    }


def test_the_port_is_that_of_the_service_whoever_sends() -> None:
    answer = f"2 123456789012 eni-0a1b2c3d 198.51.100.7 10.0.0.5 443 40000 6 1 5 {NINE} {NINE} ACCEPT OK"
    lines = [flow(port=443, size=1), answer, flow(port=22, action="REJECT", size=7), flow(port=4321, size=9)]
    expected = {("443", "ACCEPT"): (6, 2), ("22", "REJECT"): (7, 1), (OTHER, "ACCEPT"): (9, 1)}
    assert volumes("port", lines) == expected


def test_rows_that_tell_of_no_flow_are_no_traffic() -> None:
    nothing = f"2 123456789012 eni-0a1b2c3d - - - - - - - {NINE} {NINE + 60} - NODATA"
    assert volumes("traffic", [nothing]) == {}
    assert volumes("traffic", [nothing, flow(size=5)]) == {("outbound", "ACCEPT", "tcp"): (5, 1)}


def test_a_record_of_a_sample_counts_for_all_that_it_stands_for() -> None:
    assert volumes("traffic", [flow(size=5)], b"10") == {("outbound", "ACCEPT", "tcp"): (50, 10)}


def test_regions_and_services_are_summed_where_records_name_them() -> None:
    rest = f"10.0.0.5 198.51.100.7 40000 443 6 1 {{}} {NINE} {NINE} ACCEPT OK {{}} {{}} {{}}"
    lines = [FIELDS, rest.format(3, "eu-north-1", "-", "S3"), rest.format(4, "-", "EC2", "-")]
    assert volumes("region", lines) == {("eu-north-1",): (3, 1)}
    assert volumes("service", lines) == {("S3",): (3, 1), ("EC2",): (4, 1)}
    assert volumes("region", [flow()]) == volumes("service", [flow()]) == {}


def test_all_families_have_the_same_sum() -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    hosts = ["10.0.0.5", "10.0.0.6", "198.51.100.7", "203.0.113.9"]
    lines = [
        flow(*chance.sample(hosts, 2), port=chance.choice([*PORTS, 1, 65535]), size=chance.randrange(10**6))
        for _ in range(500)
    ]
    for family in ("traffic", "port"):
        sums = volumes(family, lines).values()
        assert sum(records for _, records in sums) == len(lines)
        assert sum(size for size, _ in sums) == table(lines).frame["bytes"].sum()


def test_there_are_only_so_many_names() -> None:
    regions = Regions()
    given = {regions.name(f"xx-north-{number}") for number in range(99)}
    assert len(given) == MOST_REGIONS + 1
    assert OTHER in given
    assert Regions().name("10.0.0.5") == Regions().name("") == Regions().name("x" * 99) == OTHER


@pytest.mark.parametrize("family", ["traffic", "port", "region", "service"])
def test_names_that_are_known_beforehand_are_those_that_are_summed(family: str) -> None:
    names = [each for of, each in known() if of == family]
    assert len(set(names)) == len(names) < 100
    found = Volume(family, names[0], 1, 1)
    assert found.names in names
    if family == "service":
        assert {name for (name,) in names} == {*SERVICES, OTHER}
