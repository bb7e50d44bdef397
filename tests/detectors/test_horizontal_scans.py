from typing import Any

import pytest

from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, found

OWN = "10.0.0.6"
TARGETS = [f"10.0.1.{number}" for number in range(1, 101)]
SITES = [f"203.0.113.{number}" for number in range(1, 101)]


def block(source: str, hosts: int, ports: int, **said: Any) -> list[Row]:
    return [attempt(source, host, 1000 + port, **said) for host in TARGETS[:hosts] for port in range(ports)]


def six(address: str) -> str:
    return f"fd00::{address}" if address.startswith("10.") else f"2001:db8::{address}"


def over_ipv6(rows: list[Row]) -> list[Row]:
    return [{**row, "source": six(row["source"]), "destination": six(row["destination"])} for row in rows]


@pytest.mark.parametrize("said", [{}, {"action": "REJECT"}, {"tcp_flags": 6, "packets": 2}, {"protocol": 17}])
def test_four_net_misses_of_an_own_host_are_a_scan_and_three_are_not(said: dict[str, Any]) -> None:
    (scan,) = found("horizontal_scan", [attempt(OWN, each, 445, **said) for each in TARGETS[:4]])
    assert (scan.source, scan.target, scan.ports, scan.value, scan.threshold) == (OWN, None, (445,), 4, 4)
    assert found("horizontal_scan", [attempt(OWN, each, 445, **said) for each in TARGETS[:3]]) == []


def test_the_number_of_targets_counts_for_own_hosts_too() -> None:
    (scan,) = found("horizontal_scan", [attempt(OWN, each, 445) for each in TARGETS[:2]], targets=2)
    assert (scan.value, scan.threshold) == (2, 2)


def test_net_misses_are_found_over_ipv6() -> None:
    (scan,) = found("horizontal_scan", over_ipv6([attempt(OWN, each, 445) for each in TARGETS[:4]]))
    assert scan.source == "fd00::a00:6"


def test_hosts_that_answer_on_the_port_weigh_against_those_that_do_not() -> None:
    answered = [row for each in TARGETS[50:52] for row in exchange(OWN, each, 445)]
    assert found("horizontal_scan", [*answered, *(attempt(OWN, each, 445) for each in TARGETS[:5])]) == []
    (scan,) = found("horizontal_scan", [*answered, *(attempt(OWN, each, 445) for each in TARGETS[:6])])
    assert (scan.value, scan.threshold, scan.evidence["answered_targets"]) == (6, 6, 2)


def test_nine_net_misses_among_outside_hosts_are_a_scan_and_eight_are_not() -> None:
    (scan,) = found("horizontal_scan", [attempt(OWN, each, 23) for each in SITES[:9]])
    assert (scan.direction, scan.value) == ("outbound", 9)
    assert found("horizontal_scan", [attempt(OWN, each, 23) for each in SITES[:8]]) == []


def peers(*, usual: int = 4, chosen: int = 1025) -> list[Row]:
    """Attempts to reach peers that are gone, one in so many at the usual port."""
    said: dict[str, Any] = {"protocol": 17, "tcp_flags": None}
    return [
        attempt(OWN, each, 6881 if number % usual == 0 else chosen + number * 613, **said)
        for number, each in enumerate(SITES)
    ]


def test_who_looks_for_peers_that_each_choose_a_port_scans_nobody() -> None:
    assert found("horizontal_scan", peers()) == []
    assert len(found("horizontal_scan", peers(usual=1))) == 1
    worm = [attempt(OWN, each, (23, 80, 2323, 7547)[number % 4]) for number, each in enumerate(SITES)]
    assert len(found("horizontal_scan", worm)) == 1


def test_who_looks_for_peers_and_scans_as_well_is_found() -> None:
    elsewhere = [attempt(OWN, f"192.0.2.{number}", 445) for number in range(1, 101)]
    (scan,) = found("horizontal_scan", [*peers(), *elsewhere])
    assert (scan.value, scan.summary) == (100, f"{OWN} tried port 445 of 100 hosts in vain within six minutes")


def test_strangers_that_are_refused_at_a_few_public_hosts_are_no_finding() -> None:
    assert found("horizontal_scan", [attempt(OUTSIDE, each, 445, action="REJECT") for each in TARGETS[:24]]) == []


def test_asking_dead_hosts_again_and_again_adds_nothing() -> None:
    rows = [attempt(OWN, each, 445, end=at(pane), action="REJECT") for each in TARGETS[:3] for pane in range(5)]
    assert found("horizontal_scan", rows) == []


def test_misses_that_straddle_panes_add_up() -> None:
    rows = [attempt(OWN, each, 445, end=at(3 + pane, 59)) for pane, each in enumerate(TARGETS[:4])]
    assert len({scan.source for scan in found("horizontal_scan", rows)}) == 1


def test_contacts_that_share_one_time_and_whose_flags_are_ored_over_ten_minutes_are_a_scan() -> None:
    rows = [attempt(OWN, each, 445, start=at(0), end=at(9, 59), tcp_flags=6, packets=2) for each in TARGETS[:30]]
    assert [scan.value for scan in found("horizontal_scan", rows)] == [30]


def test_a_nat_gateway_some_of_whose_many_sites_are_dead_is_no_scanner() -> None:
    answered = [row for number in range(200) for row in exchange(OWN, f"198.18.0.{number}", 443)]
    dead = [attempt(OWN, each, 443) for each in SITES[:40]]
    assert found("horizontal_scan", [*answered, *dead]) == []
    assert len(found("horizontal_scan", [*answered, *dead, *(attempt(OWN, each, 443) for each in SITES[40:60])])) == 1


def test_sites_that_answer_over_tcp_where_quic_is_refused_are_no_misses() -> None:
    rows = [row for each in SITES[:30] for row in exchange(OWN, each, 443)]
    rows += [attempt(OWN, each, 443, protocol=17, tcp_flags=None, action="REJECT") for each in SITES[:30]]
    assert found("horizontal_scan", rows) == []


def test_health_checks_and_service_discovery_that_succeed_are_no_scan() -> None:
    rows = [row for pane in range(5) for each in TARGETS for row in exchange(OWN, each, 8080, end=at(pane))]
    rows += [row for each in TARGETS[:9] for port in range(9000, 9020) for row in exchange(OWN, each, port)]
    assert found("horizontal_scan", rows) == []
    assert found("vertical_scan", rows) == []


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("said", [{}, {"action": "REJECT"}, {"protocol": 17, "tcp_flags": None}])
def test_a_block_scan_is_one_finding_that_lists_the_ports(said: dict[str, Any], ipv6: bool) -> None:
    rows = block(OUTSIDE, 6, 20, **said)
    rows = over_ipv6(rows) if ipv6 else rows
    (scan,) = found("horizontal_scan", rows)
    assert (scan.target, scan.value, scan.threshold) == (None, 6, 3)
    assert (scan.evidence["failed_ports"], scan.evidence["failed_targets"]) == (20, 6)
    assert scan.evidence["example_ports"] == list(scan.ports) == list(range(1000, 1010))
    assert "tried 20 ports of 6 hosts" in scan.summary
    assert found("vertical_scan", rows) == []


def test_two_targets_are_two_vertical_scans() -> None:
    assert found("horizontal_scan", block(OUTSIDE, 2, 20)) == []
    assert len(found("vertical_scan", block(OUTSIDE, 2, 20))) == 2


def test_a_scan_mixed_over_hosts_and_ports_is_found_where_neither_alone_is_many() -> None:
    rows = block(OUTSIDE, 8, 8)
    assert found("vertical_scan", rows) == []
    (scan,) = found("horizontal_scan", rows)
    assert (scan.value, scan.evidence["failed_ports"]) == (8, 8)
    assert found("horizontal_scan", block(OUTSIDE, 7, 7)) == []


def test_peers_each_of_which_listens_on_a_port_of_its_own_are_no_mixed_scan() -> None:
    rows = [attempt(OWN, each, 20_000 + 7 * number, protocol=17) for number, each in enumerate(SITES)]
    assert found("horizontal_scan", rows) == []


def test_a_source_that_sweeps_several_ports_is_one_finding_with_all_of_them() -> None:
    rows = [attempt(OUTSIDE, each, port) for port in (22, 445) for each in TARGETS[: port // 8 + 25]]
    (scan,) = found("horizontal_scan", rows)
    assert (scan.ports, scan.value, scan.evidence["example_ports"]) == ((22, 445), 80, [22, 445])


def test_the_evidence_says_how_fast_it_went() -> None:
    rows = [attempt(OWN, each, 445, end=at(number // 10, 30)) for number, each in enumerate(TARGETS[:40])]
    scan = max(found("horizontal_scan", rows), key=lambda scan: scan.value)
    assert scan.evidence["attempts_per_minute"] == pytest.approx(40 / 3, abs=0.01)


def test_one_host_asking_its_dead_server_is_no_horizontal_scan() -> None:
    assert found("horizontal_scan", [attempt(OWN, INSIDE, port) for port in range(1000, 1014)]) == []
