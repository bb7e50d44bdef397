from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest

from detectors.examples import records
from detectors.finding import Detection
from detectors.span import Position, Span
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.table import Table
from detectors.watch import END_OF_TIME
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, found, watching

WARM = 10
PAST = exchange("10.0.0.1", "203.0.113.10")
"""Records of the first pane: from then on it is known that nothing was refused."""


def refused(
    records: int, pane: int = WARM, *, target: str = INSIDE, sources: int = 20, port: int = 8080, **said: Any
) -> list[Row]:
    return [
        attempt(
            f"198.51.100.{number % sources}", target, port, **{"action": "REJECT", "end": at(pane, number % 60)} | said
        )
        for number in range(records)
    ]


def spikes(rows: Iterable[Row], **parameters: float) -> list[Detection]:
    """What is said of rows behind ten minutes in which nothing was refused."""
    return found("rejected_spike", [*PAST, *rows], **parameters)


def probes(source: str, target: str, ports: Iterable[int], pane: int = WARM) -> list[Row]:
    return [attempt(source, target, port, action="REJECT", end=at(pane)) for port in ports]


def test_thirty_refusals_within_a_minute_are_a_spike_and_twenty_nine_are_not() -> None:
    (spike,) = spikes(refused(30))
    assert (spike.entity, spike.source, spike.target, spike.value) == (INSIDE, None, INSIDE, 30)
    assert (spike.threshold, spike.baseline) == (30, 0)
    assert spikes(refused(29)) == []


@pytest.mark.parametrize(("pane", "least"), [(0, 150), (5, 150), (6, 30)])
def test_until_six_panes_are_known_a_spike_is_five_times_as_large(pane: int, least: int) -> None:
    (spike,) = spikes(refused(least, pane))
    assert (spike.threshold, spike.baseline) == (least, 0 if pane == 6 else None)
    assert spikes(refused(least - 1, pane)) == []


def test_refusals_of_several_minutes_do_not_add_up() -> None:
    assert spikes([*refused(20, 10), *refused(20, 11), *refused(20, 12)]) == []


def test_refusals_of_several_hosts_do_not_add_up() -> None:
    assert spikes([*refused(20), *refused(20, target="10.0.0.8")]) == []


def test_what_was_let_pass_does_not_count() -> None:
    rows = [row for number in range(200) for row in exchange(f"198.51.100.{number}", INSIDE, 8080, end=at(WARM))]
    assert spikes(rows) == []


def test_refused_answers_to_what_nobody_asked_do_not_count() -> None:
    answer = {"source_port": 443, "destination_port": 50_000, "tcp_flags": 18, "action": "REJECT", "end": at(WARM)}
    assert spikes([{"source": OUTSIDE, "destination": INSIDE, **answer}] * 200) == []


def test_a_refusal_that_both_interfaces_log_counts_once() -> None:
    ends = {"source": "10.0.0.7", "action": "REJECT"}
    both = [
        {**row, **ends, "direction": direction, "interface_id": interface}
        for row in refused(20)
        for direction, interface in (("egress", "eni-7"), ("ingress", "eni-9"))
    ]
    assert spikes(both) == []
    assert [spike.value for spike in spikes([*both, *refused(10)])] == [30]


def test_what_only_the_source_tells_of_counts() -> None:
    rows = [{**row, "source": "10.0.0.7", "direction": "egress"} for row in refused(40)]
    assert [(spike.target, spike.value) for spike in spikes(rows)] == [(INSIDE, 40)]


def test_sampled_records_count_for_all_that_they_stand_for() -> None:
    assert [spike.value for spike in spikes(refused(3, weight=10))] == [30]


def test_a_busy_host_at_which_much_is_always_refused_is_learnt() -> None:
    usual = [row for pane in range(20) for row in refused(140, pane)]
    assert found("rejected_spike", usual) == []
    (spike,) = found("rejected_spike", [*usual, *refused(1400, 20)])
    assert (spike.pane, spike.value) == (at(20), 1400)
    assert spike.baseline == pytest.approx(140, rel=0.0625)
    assert spike.baseline is not None
    assert spike.summary.endswith(f"usually {spike.baseline:.0f}")


def test_ten_times_the_noise_of_the_internet_is_a_spike_and_three_times_is_not() -> None:
    usual = [row for pane in range(60) for row in refused(5 + pane % 3, pane)]
    assert found("rejected_spike", [*usual, *refused(18, 60)]) == []
    assert [spike.value for spike in found("rejected_spike", [*usual, *refused(60, 60)])] == [60]


def test_bursts_widen_what_is_usual() -> None:
    bursts = [row for pane in range(60) for row in refused((0, 5, 20, 30)[pane % 4], pane)]
    assert found("rejected_spike", [*bursts, *refused(130, 60)]) == []
    even = [row for pane in range(60) for row in refused(13 + pane % 2, pane)]
    assert len(found("rejected_spike", [*even, *refused(130, 60)])) == 1


def test_what_is_usual_elsewhere_is_not_usual_here() -> None:
    usual = [row for pane in range(10) for row in refused(100, pane, target="10.0.0.8")]
    assert [spike.target for spike in found("rejected_spike", [*usual, *refused(100, 10)])] == [INSIDE]


def test_a_scan_is_left_to_the_scan_detectors() -> None:
    assert spikes(probes("203.0.113.5", INSIDE, range(500))) == []


def test_a_sweep_is_left_to_the_scan_detectors() -> None:
    sweep = [attempt(OUTSIDE, f"10.0.1.{n}", 445, action="REJECT", end=at(WARM)) for n in range(25)]
    assert spikes(sweep * 10) == []
    assert [spike.source for spike in spikes(sweep[1:] * 10)] == [OUTSIDE]


def test_a_scan_mixed_over_hosts_and_ports_is_left_to_the_scan_detectors() -> None:
    mixed = [row for n in range(7) for row in probes(OUTSIDE, f"10.0.1.{n}", range(8000, 8008))]
    assert spikes(mixed * 2) == []


def test_a_scan_by_many_sources_is_left_to_the_scan_detectors() -> None:
    scan = [row for n in range(20) for row in probes(f"203.0.113.{n}", INSIDE, range(8000 + 3 * n, 8003 + 3 * n))]
    assert spikes(scan) == []
    assert [spike.value for spike in spikes([*scan, *refused(40)])] == [40]


def test_guessing_is_left_to_its_own_detector() -> None:
    guesses = [
        attempt(OUTSIDE, INSIDE, 22, action="REJECT", source_port=41_000 + n, end=at(WARM, n % 60)) for n in range(120)
    ]
    assert spikes(guesses) == []
    assert len(spikes(guesses[1:])) == 1


def test_what_a_scanner_of_another_host_is_refused_here_counts() -> None:
    scan = probes("203.0.113.5", "10.0.0.8", range(50))
    flood = [attempt("203.0.113.5", INSIDE, 8080, action="REJECT", end=at(WARM))] * 80
    assert [(spike.target, spike.value) for spike in spikes([*scan, *flood])] == [(INSIDE, 80)]


def test_what_is_left_beside_a_scan_counts() -> None:
    (spike,) = spikes([*probes("203.0.113.5", INSIDE, range(500)), *refused(80)])
    assert spike.value == 80


def test_a_scan_is_left_out_even_where_it_took_five_minutes_to_be_one() -> None:
    early = [attempt("203.0.113.5", INSIDE, port, action="REJECT", end=at(10 + port // 3)) for port in range(12)]
    minute = [attempt("203.0.113.5", INSIDE, 12 + n % 3, action="REJECT", end=at(14)) for n in range(90)]
    assert len(spikes(minute)) == 1
    assert spikes([*early, *minute]) == []


def test_refusals_over_ipv6_are_seen() -> None:
    rows = [attempt(f"2001:db8::{number:x}", "fd00::9", 8080, action="REJECT", end=at(WARM)) for number in range(70)]
    assert [spike.target for spike in spikes(rows)] == ["fd00::9"]


def everywhere(records: int, hosts: int, *, source: str | None = None, port: int = 8080, pane: int = WARM) -> list[Row]:
    """Refusals at many hosts, each with an interface of its own."""
    return [
        attempt(
            source or f"198.51.{number % 100}.{number % 250}",
            f"10.0.1.{number % hosts}",
            port,
            action="REJECT",
            interface_id=f"eni-1{number % hosts}",
            end=at(pane, number % 60),
        )
        for number in range(records)
    ]


@pytest.mark.parametrize("source", ["203.0.113.5", "10.0.0.77"])
def test_one_source_that_is_refused_at_many_hosts_is_one_spike(source: str) -> None:
    (spike,) = spikes(everywhere(100, 10, source=source))
    assert (spike.entity, spike.source, spike.target, spike.value) == (source, source, None, 100)
    assert spike.summary == f"100 records of {source} were refused at 10 hosts within a minute, usually 0"
    assert spikes(everywhere(59, 10, source=source)) == []


def test_one_source_that_is_refused_at_one_host_is_the_spike_of_the_host() -> None:
    assert [(spike.source, spike.target) for spike in spikes(refused(90, sources=1))] == [(None, INSIDE)]


def test_one_source_that_is_refused_far_more_at_several_hosts_is_still_one_spike() -> None:
    spread = everywhere(1500, 5, source="10.0.0.77")
    assert [(spike.source, spike.value) for spike in spikes(spread)] == [("10.0.0.77", 1500)]


def test_what_a_stranger_is_always_refused_is_usual_for_the_hosts_that_it_meets() -> None:
    usual = [row for pane in range(20) for row in everywhere(100, 10, source=OUTSIDE, pane=pane)]
    assert found("rejected_spike", usual) == []
    (spike,) = found("rejected_spike", [*usual, *everywhere(1000, 10, source=OUTSIDE, pane=20)])
    assert (spike.source, spike.value) == (OUTSIDE, 1000)
    assert spike.baseline == pytest.approx(100, rel=0.0625)


def test_what_is_always_refused_at_an_outside_address_is_usual_for_those_who_try() -> None:
    def minute(records: int, pane: int) -> list[Row]:
        row = attempt("10.0.0.7", OUTSIDE, 8080, action="REJECT", direction="egress", end=at(pane))
        return [{**row, "source": f"10.0.0.{50 + n % 20}"} for n in range(records)]

    usual = [row for pane in range(20) for row in minute(100, pane)]
    assert found("rejected_spike", usual) == []
    (spike,) = found("rejected_spike", [*usual, *minute(1000, 20)])
    assert (spike.target, spike.direction) == (OUTSIDE, "outbound")


def test_many_sources_at_many_hosts_are_a_spike_of_the_network() -> None:
    (spike,) = spikes(everywhere(800, 50))
    assert (spike.entity, spike.source, spike.target, spike.value) == ("network", None, None, 800)
    assert (spike.scope, spike.interface_id, spike.vpc_id, spike.shard) == ("", None, None, 0)
    assert (spike.threshold, spike.baseline, spike.ports) == (200, 0, (8080,))
    assert spike.summary == (
        "800 records from 500 sources to 50 hosts were refused in the network within a minute, usually 0"
    )


def test_a_network_at_which_much_is_always_refused_is_learnt() -> None:
    usual = [row for pane in range(20) for row in everywhere(800, 50, pane=pane)]
    assert found("rejected_spike", usual) == []
    (spike,) = found("rejected_spike", [*usual, *everywhere(8000, 50, pane=20)])
    assert spike.entity == "network"


def test_hosts_that_all_are_refused_more_are_told_once() -> None:
    (spike,) = spikes(everywhere(5000, 50))
    assert (spike.entity, spike.value, spike.evidence["targets"]) == ("network", 5000, 50)


def test_two_hosts_alike_are_told_apart() -> None:
    rows = [*refused(300, interface_id="eni-9"), *refused(300, target="10.0.0.8", interface_id="eni-8")]
    assert sorted(str(spike.target) for spike in spikes(rows)) == ["10.0.0.8", INSIDE]


def test_what_is_left_beside_a_host_is_told_unless_it_is_about_the_same_port() -> None:
    flood = refused(4000, interface_id="eni-9")
    assert [spike.entity for spike in spikes([*flood, *everywhere(1000, 50)])] == [INSIDE]
    apart = spikes([*flood, *everywhere(1000, 50, port=22)])
    assert [(spike.entity, spike.value) for spike in apart] == [("network", 1000), (INSIDE, 4000)]


def test_what_happens_at_a_port_of_its_own_is_told_beside_what_goes_on_everywhere() -> None:
    client = everywhere(120, 3, source="10.0.0.77", port=5432)
    told = spikes([*everywhere(2000, 50), *refused(100, port=8443, interface_id="eni-9"), *client])
    assert [(spike.entity, spike.value) for spike in told] == [("network", 2000), (INSIDE, 100), ("10.0.0.77", 120)]
    assert [spike.ports for spike in told] == [(8080,), (8443,), (5432,)]


def test_where_the_network_is_not_unusual_every_host_is_told() -> None:
    usual = [row for pane in range(20) for row in everywhere(900, 200, pane=pane)]
    hosts = [f"10.0.2.{number}" for number in range(4)]
    rows = [row for host in hosts for row in refused(50, 20, target=host, interface_id=f"eni-2{host[-1]}")]
    told = found("rejected_spike", [*usual, *rows])
    assert [(spike.target, spike.value) for spike in told] == [(host, 50) for host in hosts]


def test_several_addresses_of_one_interface_are_its_spike() -> None:
    rows = [row for number in range(5) for row in refused(24, target=f"10.0.1.{number}", interface_id="eni-77")]
    (spike,) = spikes(rows)
    assert (spike.entity, spike.interface_id, spike.source, spike.target) == ("eni-77", "eni-77", None, None)
    assert (spike.vpc_id, spike.account_id, spike.value) == ("vpc-1", "123456789012", 120)
    assert "from 20 sources to 5 hosts were refused at interface eni-77" in spike.summary


def test_two_interfaces_are_two_spikes_with_a_past_of_their_own() -> None:
    usual = [
        row
        for pane in range(20)
        for n in range(5)
        for row in refused(20, pane, target=f"10.0.1.{n}", interface_id="eni-77")
    ]
    both = [
        row
        for n in range(10)
        for row in refused(24, 20, target=f"10.0.1.{n}", interface_id="eni-77" if n < 5 else "eni-78")
    ]
    assert [spike.entity for spike in found("rejected_spike", [*usual, *both])] == ["eni-78"]


def test_the_evidence_says_where_from_where_to_why_and_when() -> None:
    rows = [*refused(90), *refused(10, port=22), *refused(5, port=23, sources=1)]
    (spike,) = spikes(rows)
    assert spike.summary == f"105 records from 20 sources were refused at {INSIDE} within a minute, usually 0"
    assert spike.ports == (8080,)
    evidence = spike.evidence
    assert (evidence["rejected_records"], evidence["sources"], evidence["targets"], evidence["ports"]) == (
        105,
        20,
        1,
        3,
    )
    assert evidence["top_ports"] == [
        {"port": 8080, "records": 90},
        {"port": 22, "records": 10},
        {"port": 23, "records": 5},
    ]
    sources = evidence["top_sources"]
    assert isinstance(sources, list)
    assert (len(sources), sources[0]) == (10, {"address": "198.51.100.0", "records": 11})
    assert evidence["top_targets"] == [{"address": INSIDE, "records": 105}]
    examples = evidence["examples"]
    assert isinstance(examples, list)
    assert len(examples) == 4
    for example in examples:
        assert isinstance(example, dict)
        number = int(str(example["source"]).rpartition(".")[2])
        times = {"first_seen": at(WARM, number), "last_seen": at(WARM, 40 + number)}
        assert example == {"source": example["source"], "target": INSIDE, "port": 8080, "records": 5, **times}


def test_the_evidence_names_the_reasons_where_they_are_logged() -> None:
    table = records([*PAST, *refused(40)])
    reasons = pl.Series("reject_reason", [None] * len(PAST) + ["BPA"] * 30 + [None] * 10, pl.String)
    watch = watching({}, ["rejected_spike"])
    watch.apply(Table(table.frame.with_columns(reasons)), Span("test", Position(0), Position(1)))
    (spike,) = watch.advance(END_OF_TIME).detections
    assert spike.evidence["reject_reasons"] == [{"reason": "BPA", "records": 30}, {"reason": None, "records": 10}]


def test_a_single_source_is_named_in_the_singular() -> None:
    assert "from 1 source were" in spikes(refused(90, sources=1))[0].summary


def test_an_open_pane_tells_of_it_early() -> None:
    watch = watching({}, ["rejected_spike"])
    past = [row for pane in range(WARM) for row in exchange("10.0.0.1", "203.0.113.10", end=at(pane))]
    watch.apply(records([*past, *everywhere(400, 50)]), Span("test", Position(0), Position(1)))
    assert watch.advance(at(WARM + SPREAD_SECONDS // 60)).detections == []
    (spike,) = watch.look()
    assert (spike.entity, spike.provisional, spike.value) == ("network", True, 400)
