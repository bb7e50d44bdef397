from typing import Any

import pytest

from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, found

TARGETS = [f"10.0.1.{number}" for number in range(1, 101)]


def ports(number: int, source: str = OUTSIDE, **said: Any) -> list[Row]:
    return [attempt(source, INSIDE, 1000 + port, **said) for port in range(number)]


def reset(source: str, source_port: int, destination: str, destination_port: int, flags: int = 20) -> Row:
    row = attempt(source, destination, destination_port, source_port=source_port)
    return {**row, "tcp_flags": flags}


@pytest.mark.parametrize("said", [{}, {"action": "REJECT"}, {"tcp_flags": 6, "packets": 2}, {"protocol": 17}])
def test_fifteen_failed_ports_are_a_vertical_scan_and_fourteen_are_not(said: dict[str, Any]) -> None:
    (scan,) = found("vertical_scan", ports(15, **said))
    assert (scan.source, scan.target, scan.value) == (OUTSIDE, INSIDE, 15)
    assert found("vertical_scan", ports(14, **said)) == []


def test_twenty_five_failed_targets_are_a_horizontal_scan_and_twenty_four_are_not() -> None:
    sweep = [attempt(OUTSIDE, each, 445) for each in TARGETS]
    (scan,) = found("horizontal_scan", sweep[:25])
    assert (scan.source, scan.target, scan.ports, scan.value) == (OUTSIDE, None, (445,), 25)
    assert found("horizontal_scan", sweep[:24]) == []


def test_trying_the_same_port_again_does_not_count() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, source_port=40_000 + number) for number in range(100)]
    assert found("vertical_scan", rows) == []
    assert found("horizontal_scan", rows) == []


def test_a_scan_over_six_panes_is_seen_and_one_over_seven_is_not() -> None:
    six = [attempt(OUTSIDE, INSIDE, port, end=at(port * 6 // 15)) for port in range(15)]
    seven = [attempt(OUTSIDE, INSIDE, port, end=at(port * 7 // 15)) for port in range(15)]
    assert len(found("vertical_scan", six)) == 1
    assert found("vertical_scan", seven) == []


@pytest.mark.parametrize("said", [{}, {"action": "REJECT"}])
def test_a_scan_over_ipv6_is_seen(said: dict[str, Any]) -> None:
    rows = [attempt("2001:db8::7", "fd00::9", port, **said) for port in range(15)]
    assert [scan.target for scan in found("vertical_scan", rows)] == ["fd00::9"]


def test_a_ping_sweep_is_a_horizontal_scan_and_a_round_of_answered_pings_is_not() -> None:
    ping = {"protocol": 1, "source_port": 0, "tcp_flags": None}
    there = [attempt("10.0.0.6", each, 0, **ping) for each in TARGETS]
    back = [attempt(each, "10.0.0.6", 0, **ping) for each in TARGETS]
    (sweep,) = found("horizontal_scan", there)
    assert (sweep.ports, sweep.protocol) == ((), 1)
    assert "tried protocol 1 of 100 hosts" in sweep.summary
    assert found("horizontal_scan", [*there, *back]) == []


def test_scans_from_inside_matter_more() -> None:
    outside, inside = (found("vertical_scan", ports(20, source))[0] for source in (OUTSIDE, "10.0.0.6"))
    assert (outside.severity, outside.direction) == ("medium", "inbound")
    assert (inside.severity, inside.direction) == ("high", "internal")


def test_what_was_answered_is_no_scan() -> None:
    rows = [row for port in range(1000, 1100) for row in exchange(OUTSIDE, INSIDE, port)]
    rows += [row for each in TARGETS for row in exchange(OUTSIDE, each, 443)]
    assert found("vertical_scan", rows) == []
    assert found("horizontal_scan", rows) == []


def test_the_answered_ports_of_a_scan_do_not_count() -> None:
    answered = [row for port in range(2000, 2100) for row in exchange(OUTSIDE, INSIDE, port)]
    (scan,) = found("vertical_scan", [*ports(20), *answered])
    assert (scan.value, scan.evidence["tried_ports"]) == (20, 120)


def test_ports_that_were_closed_with_a_reset_are_a_scan() -> None:
    closed = [reset(INSIDE, 1000 + port, OUTSIDE, 40_000) for port in range(20)]
    (scan,) = found("vertical_scan", [*ports(20), *closed])
    assert (scan.source, scan.value) == (OUTSIDE, 20)


def test_a_target_that_closes_high_ports_with_resets_does_not_scan() -> None:
    tried = [attempt(OUTSIDE, INSIDE, 50_000 + n, source_port=40_000 + n) for n in range(100)]
    closed = [reset(INSIDE, 50_000 + n, OUTSIDE, 40_000 + n) for n in range(100)]
    assert {scan.source for scan in found("vertical_scan", [*tried, *closed])} == {OUTSIDE}


@pytest.mark.parametrize("flags", [4, 18, 20])
@pytest.mark.parametrize("action", ["ACCEPT", "REJECT"])
@pytest.mark.parametrize("victims_port", [80, 25_565, 50_000])
def test_backscatter_of_a_flooded_victim_is_no_scan(flags: int, action: str, victims_port: int) -> None:
    hosts = [*TARGETS, *[INSIDE] * 7]
    spoofed = [
        {**reset(OUTSIDE, victims_port, each, 1024 + 600 * number, flags), "action": action}
        for number, each in enumerate(hosts)
    ]
    one_port = [{**reset(OUTSIDE, victims_port, each, 60_000, flags), "action": action} for each in TARGETS]
    for kind in ("vertical_scan", "horizontal_scan"):
        assert found(kind, spoofed, ports=3, targets=3) == []
        assert found(kind, one_port, ports=3, targets=3) == []


def test_a_busy_client_of_many_servers_is_no_scan() -> None:
    rows = [
        row
        for number in range(300)
        for row in exchange("10.0.0.6", f"203.0.113.{number % 250}", 443, client_port=32_768 + number)
    ]
    assert found("horizontal_scan", rows) == []
    assert found("vertical_scan", rows) == []


def test_a_server_of_many_clients_scans_none_of_them() -> None:
    """Only its own answers are known, as where the records of one direction are missing."""
    answers = [
        exchange(f"203.0.113.{number % 250}", INSIDE, client_port=1024 + number * 50)[1] for number in range(900)
    ]
    unflagged = [{**answer, "tcp_flags": 0, "packets": 1} for answer in answers]
    for kind in ("vertical_scan", "horizontal_scan"):
        assert found(kind, answers) == []
        assert found(kind, unflagged) == []


def test_connections_that_last_without_a_known_answer_are_no_scan() -> None:
    rows = [attempt("10.0.0.6", each, 8125, packets=500, protocol=17, tcp_flags=0) for each in TARGETS]
    assert found("horizontal_scan", rows) == []


def test_two_scanners_are_two_detections() -> None:
    rows = [*ports(20, "198.51.100.7"), *ports(30, "198.51.100.8")]
    assert [scan.value for scan in found("vertical_scan", rows)] == [20, 30]


def test_the_evidence_says_what_was_tried_and_refused() -> None:
    (scan,) = found("vertical_scan", [*ports(20), *ports(16, action="REJECT")])
    assert scan.evidence == {
        "failed_ports": 20,
        "tried_ports": 20,
        "rejected_records": 16,
        "attempts_per_minute": 36.0,
        "example_ports": list(range(1000, 1010)),
        "protocols": [6],
    }
    (sweep,) = found("horizontal_scan", [attempt(OUTSIDE, each, 445) for each in TARGETS])
    assert sweep.evidence["failed_targets"] == sweep.evidence["tried_targets"] == 100
    examples = sweep.evidence["example_targets"]
    assert isinstance(examples, list)
    assert len(examples) == 10
    assert set(examples) < set(TARGETS)


def together(sources: int, each: int) -> list[Row]:
    """Many sources, each on few ports of one host, together on as many ports as there are attempts."""
    return [
        attempt(f"198.51.100.{source}", INSIDE, 1000 + source * each + port, end=at(source % 5))
        for source in range(sources)
        for port in range(each)
    ]


def test_many_sources_that_scan_a_host_together_are_one_finding_about_the_target() -> None:
    scan = max(found("vertical_scan", together(40, 5)), key=lambda scan: scan.value)
    assert (scan.source, scan.target, scan.entity, scan.value) == (None, INSIDE, INSIDE, 200)
    assert (scan.threshold, scan.direction, scan.evidence["sources"]) == (60, "inbound", 40)
    examples = scan.evidence["example_sources"]
    assert isinstance(examples, list)
    assert len(examples) == 10
    assert {scan.source for scan in found("vertical_scan", together(40, 5))} == {None}


def test_the_noise_of_the_internet_is_no_distributed_scan() -> None:
    ports = [22, 23, 80, 443, 445, 1433, 3306, 3389, 5060, 5555, 5900, 6379, 7547, 8080, 8443, 9200, 2323, 81]
    rows = [attempt(f"198.51.100.{n}", INSIDE, ports[n % len(ports)], action="REJECT") for n in range(250)]
    assert found("vertical_scan", rows) == []
    assert found("vertical_scan", together(8, 9)) == []


def test_scans_by_single_sources_are_no_distributed_one() -> None:
    rows = [attempt(f"198.51.100.{n}", INSIDE, 1000 + 20 * n + port) for n in range(12) for port in range(20)]
    assert {scan.source for scan in found("vertical_scan", rows)} == {f"198.51.100.{n}" for n in range(12)}


def test_a_distributed_scan_over_ipv6_is_found() -> None:
    rows = [{**row, "source": f"2001:db8::{row['source']}", "destination": "fd00::9"} for row in together(40, 5)]
    assert {scan.entity for scan in found("vertical_scan", rows)} == {"fd00::9"}


def test_a_host_that_asks_fewer_ports_of_its_dead_server_than_the_threshold_is_no_finding() -> None:
    rows = [attempt("10.0.0.6", INSIDE, 1000 + port, end=at(pane)) for port in range(14) for pane in range(5)]
    assert found("vertical_scan", rows) == []


def test_pings_are_no_ports() -> None:
    ping = attempt(OUTSIDE, INSIDE, 0, protocol=1, source_port=0, tcp_flags=None)
    assert found("vertical_scan", [*ports(14), ping]) == []
