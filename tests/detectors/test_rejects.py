import pytest

from tests.detectors.records import INSIDE, Row, at, attempt, exchange, found


def refused(records: int, pane: int = 0, *, target: str = INSIDE, sources: int = 20, port: int = 8080) -> list[Row]:
    return [
        attempt(f"198.51.100.{number % sources}", target, port, action="REJECT", end=at(pane, number % 60))
        for number in range(records)
    ]


def test_sixty_refusals_within_a_minute_are_a_spike_and_fifty_nine_are_not() -> None:
    (spike,) = found("rejected_spike", refused(60))
    assert (spike.entity, spike.source, spike.target, spike.value) == (INSIDE, None, INSIDE, 60)
    assert found("rejected_spike", refused(59)) == []


def test_refusals_of_several_minutes_do_not_add_up() -> None:
    assert found("rejected_spike", [*refused(40, 0), *refused(40, 1), *refused(40, 2)]) == []


def test_refusals_of_several_hosts_do_not_add_up() -> None:
    assert found("rejected_spike", [*refused(40), *refused(40, target="10.0.0.8")]) == []


def test_what_was_let_pass_does_not_count() -> None:
    rows = [row for number in range(200) for row in exchange(f"198.51.100.{number}", INSIDE, 8080)]
    assert found("rejected_spike", rows) == []


def test_a_busy_host_at_which_much_is_always_refused_is_learnt() -> None:
    usual = [row for pane in range(10) for row in refused(200, pane)]
    spikes = found("rejected_spike", usual)
    assert [spike.pane for spike in spikes] == [at(0)]
    (later,) = [spike for spike in found("rejected_spike", [*usual, *refused(400, 10)]) if spike.pane > at(0)]
    assert (later.pane, later.value) == (at(10), 400)
    assert later.baseline == pytest.approx(200, rel=0.0625)
    assert later.summary.endswith(f"usually {later.baseline:.0f}")


def test_what_is_usual_elsewhere_is_not_usual_here() -> None:
    usual = [row for pane in range(10) for row in refused(200, pane, target="10.0.0.8")]
    spikes = found("rejected_spike", [*usual, *refused(200, 10)])
    assert [(spike.target, spike.baseline) for spike in spikes] == [("10.0.0.8", None), (INSIDE, 0)]


def test_a_scan_is_left_to_the_scan_detectors() -> None:
    scan = [attempt("203.0.113.5", INSIDE, port, action="REJECT") for port in range(500)]
    assert found("rejected_spike", scan) == []


def test_what_a_scanner_of_another_host_is_refused_here_counts() -> None:
    scan = [attempt("203.0.113.5", "10.0.0.8", port, action="REJECT") for port in range(50)]
    flood = [attempt("203.0.113.5", INSIDE, 8080, action="REJECT")] * 80
    assert [(spike.target, spike.value) for spike in found("rejected_spike", [*scan, *flood])] == [(INSIDE, 80)]


def test_what_is_left_beside_a_scan_counts() -> None:
    scan = [attempt("203.0.113.5", INSIDE, port, action="REJECT") for port in range(500)]
    (spike,) = found("rejected_spike", [*scan, *refused(80)])
    assert spike.value == 80


def test_a_scan_is_left_out_even_where_it_took_five_minutes_to_be_one() -> None:
    probes = [attempt("203.0.113.5", INSIDE, port, action="REJECT", end=at(port // 3)) for port in range(12)]
    minute = [attempt("203.0.113.5", INSIDE, 12 + n % 3, action="REJECT", end=at(4)) for n in range(90)]
    assert len(found("rejected_spike", minute)) == 1
    assert found("rejected_spike", [*probes, *minute]) == []


def test_refusals_over_ipv6_are_seen() -> None:
    rows = [attempt(f"2001:db8::{number:x}", "fd00::9", 8080, action="REJECT") for number in range(70)]
    assert [spike.target for spike in found("rejected_spike", rows)] == ["fd00::9"]


def test_the_evidence_says_how_many_sources_and_which_ports() -> None:
    (spike,) = found("rejected_spike", [*refused(90), *refused(10, port=22)])
    assert spike.summary.startswith(f"100 records from 20 sources were refused at {INSIDE} within a minute")
    assert spike.ports == (22, 8080)
    assert (spike.evidence["rejected_records"], spike.evidence["sources"]) == (100, 20)
    examples = spike.evidence["example_sources"]
    assert isinstance(examples, list)
    assert len(examples) == 10


def test_a_single_source_is_named_in_the_singular() -> None:
    assert "from 1 source were" in found("rejected_spike", refused(90, sources=1))[0].summary
