from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from detectors.examples import START, records
from detectors.finding import Finding
from detectors.incidents import Incidents
from detectors.span import Position, Span
from detectors.watch import END_OF_TIME
from tests.detectors.records import INSIDE, OUTSIDE, Row, attempt, exchange, watching

SCANS = ("vertical_scan", "horizontal_scan", "slow_scan")
FIRST = -(-START // 3600) * 3600
OWN = "10.0.0.6"


def when(minute: float) -> int:
    return FIRST + int(60 * minute)


def ticking(minutes: Iterable[int]) -> list[Row]:
    """Somebody else's traffic, so that panes close."""
    return [row for each in minutes for row in exchange("10.0.0.50", "203.0.113.80", end=when(each))]


def attack(number: int, every: float, *, source: str, hosts: bool, **said: Any) -> list[Row]:
    """One new host or port every so many minutes."""
    if hosts:
        return [
            attempt(source, f"10.0.{n // 200 + 1}.{n % 200 + 1}", 445, end=when(n * every), **said)
            for n in range(number)
        ]
    return [attempt(source, INSIDE, 1000 + n, end=when(n * every), **said) for n in range(number)]


def told(rows: Sequence[Row], kinds: Sequence[str] = SCANS, *, minutes: int, **parameters: float) -> list[Finding]:
    """The findings of some detectors, each once, from records that come hour by hour."""
    watch, incidents = watching({"slow_scan": parameters}, kinds), Incidents()
    known: dict[str, Finding] = {}
    rows = sorted([*rows, *ticking(range(0, minutes, 2))], key=lambda row: row["end"])
    for number in range(-(-minutes // 60)):
        part = [row for row in rows if number * 60 <= (row["end"] - FIRST) / 60 < (number + 1) * 60]
        watch.apply(records(part), Span("test", Position(number), Position(number + 1)))
        until = END_OF_TIME if number + 1 == -(-minutes // 60) else when((number + 1) * 60)
        known |= {each.id: each for each in incidents.apply(watch.advance(until).detections)}
        known |= {each.id: each for each in incidents.advance(watch.closed_until)}
    return list(known.values())


@pytest.mark.parametrize("hosts", [False, True])
@pytest.mark.parametrize("said", [{}, {"action": "REJECT"}, {"protocol": 17, "tcp_flags": None}])
def test_an_own_host_that_tries_a_new_one_every_five_minutes_is_found_within_hours(
    hosts: bool, said: dict[str, Any]
) -> None:
    (scan,) = told(attack(60, 5, source=OWN, hosts=hosts, **said), minutes=320)
    assert (scan.kind, scan.source, scan.target) == ("slow_scan", OWN, None if hosts else INSIDE)
    assert scan.window_start >= when(-1440)
    assert scan.value >= 10
    assert scan.evidence["most_in_six_minutes"] == 2


def test_a_stranger_that_tries_thirty_ports_an_hour_is_found_within_the_hour() -> None:
    (scan,) = told(attack(30, 2, source=OUTSIDE, hosts=False), minutes=70)
    assert (scan.kind, scan.severity, scan.evidence["most_in_six_minutes"]) == ("slow_scan", "low", 3)
    assert scan.evidence["attempts_per_minute"] == pytest.approx(0.5, abs=0.05)
    assert "within an hour" in scan.summary


def test_ten_ports_an_hour_are_found_within_a_day() -> None:
    (scan,) = told(attack(120, 6, source=OUTSIDE, hosts=False), ["slow_scan"], minutes=730)
    assert (scan.source, scan.target, scan.threshold) == (OUTSIDE, INSIDE, 100)
    assert "within a day" in scan.summary


def test_a_slow_ping_sweep_is_found() -> None:
    rows = attack(30, 4, source=OWN, hosts=True, protocol=1, source_port=0, tcp_flags=None)
    (scan,) = told([{**row, "destination_port": 0} for row in rows], minutes=130)
    assert (scan.protocol, scan.ports) == (1, ())
    assert "protocol 1 of" in scan.summary


def test_who_looks_for_peers_all_day_scans_nobody_slowly() -> None:
    sites = [f"203.0.{n // 200}.{n % 200 + 1}" for n in range(240)]
    ports = [6881 if n % 4 == 0 else 1025 + 251 * n for n in range(240)]
    rows = [attempt(OWN, site, port, end=when(n)) for n, (site, port) in enumerate(zip(sites, ports, strict=True))]
    assert told(rows, ["slow_scan"], minutes=250) == []
    assert told([{**row, "destination_port": 6881} for row in rows], ["slow_scan"], minutes=250) != []


def test_slow_scans_of_several_hosts_are_one_finding() -> None:
    rows = [attempt(OWN, f"10.0.1.{n % 4}", 1000 + n // 4, end=when(n)) for n in range(60)]
    assert {(scan.source, scan.target) for scan in told(rows, ["slow_scan"], minutes=70)} == {(OWN, None)}


def test_over_ipv6_it_is_the_same() -> None:
    rows = [attempt("2001:db8::7", "fd00::9", 1000 + n, end=when(2 * n)) for n in range(30)]
    assert [(scan.kind, scan.target) for scan in told(rows, minutes=70)] == [("slow_scan", "fd00::9")]


@pytest.mark.parametrize("begin", [0, 3, 4.5, 58])
@pytest.mark.parametrize(("hosts", "kind"), [(False, "vertical_scan"), (True, "horizontal_scan")])
def test_what_is_fast_is_told_once_wherever_it_begins(begin: float, hosts: bool, kind: str) -> None:
    rows = [{**row, "end": row["end"] + int(60 * begin)} for row in attack(60, 0.1, source=OWN, hosts=hosts)]
    assert [scan.kind for scan in told(rows, minutes=80)] == [kind]


def test_a_block_scan_leaves_nothing_for_the_slow_ones() -> None:
    rows = [attempt(OWN, f"10.0.1.{host}", 1000 + port, end=when(3)) for host in range(20) for port in range(40)]
    assert [scan.kind for scan in told(rows, minutes=80)] == ["horizontal_scan"]


def test_asking_the_same_dead_services_all_day_is_no_scan() -> None:
    rows = [attempt(OWN, f"10.0.1.{n % 3}", 5433, end=when(n), action="REJECT") for n in range(360)]
    assert told(rows, minutes=370) == []


def test_a_busy_client_some_of_whose_sites_are_dead_is_no_slow_scanner() -> None:
    rows = [attempt(OWN, f"198.51.100.{n}", 443, end=when(2 * n)) for n in range(100)]
    rows += [row for n in range(1000) for row in exchange(OWN, f"203.0.{n // 200}.{n % 200}", end=when(n / 5))]
    assert told(rows, minutes=210) == []
    assert [scan.kind for scan in told(rows[:100], minutes=210)] == ["slow_scan"]


def test_strangers_that_knock_at_a_few_hosts_an_hour_are_no_finding() -> None:
    assert told(attack(100, 5, source=OUTSIDE, hosts=True, action="REJECT"), minutes=510) == []


def test_what_a_flooded_victim_sprays_is_no_slow_scan() -> None:
    rows = [{**row, "tcp_flags": 18, "source_port": 80} for row in attack(200, 1, source=OUTSIDE, hosts=True)]
    rows += [{**row, "tcp_flags": 20, "source_port": 80} for row in attack(200, 1, source=OUTSIDE, hosts=False)]
    assert told(rows, minutes=210) == []


def test_a_slow_scan_that_ended_is_not_told_for_the_rest_of_the_day() -> None:
    (scan,) = told(attack(30, 3, source=OWN, hosts=True), minutes=600)
    assert scan.status == "closed"
    assert scan.window_end <= when(90 + 240)


def test_hosts_that_were_tried_hours_ago_are_named() -> None:
    (scan,) = told(attack(40, 9, source=OWN, hosts=True), minutes=400)
    named = scan.evidence["example_targets"]
    assert isinstance(named, list)
    assert len(named) == 10
    assert {*named} <= {f"10.0.1.{number}" for number in range(1, 41)}
