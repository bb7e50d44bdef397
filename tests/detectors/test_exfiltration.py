import pytest

from tests.detectors.records import Row, at, attempt, exchange, found

HOST, PEER = "10.0.0.12", "203.0.113.99"
COLD = {"cold_factor": 1}


def upload(sent: int, received: int = 1000, pane: int = 0, peer: str = PEER) -> list[Row]:
    return exchange(HOST, peer, sent=sent, received=received, packets=1000, end=at(pane))


def past(sent: int, panes: int) -> list[Row]:
    """What the host usually sends, a little more and a little less, to another peer."""
    return [
        row for pane in range(panes) for row in upload(sent + sent // 20 * (pane % 3), pane=pane, peer="203.0.113.1")
    ]


def test_an_upload_at_the_floor_is_a_burst_and_one_below_is_not() -> None:
    (burst,) = found("exfiltration_burst", upload(50_000_000), **COLD)
    assert (burst.source, burst.target, burst.value, burst.direction) == (HOST, PEER, 50_000_000, "outbound")
    assert found("exfiltration_burst", upload(49_999_999), **COLD) == []


def test_without_a_past_twice_the_floor_is_needed() -> None:
    assert found("exfiltration_burst", upload(99_999_999)) == []
    (burst,) = found("exfiltration_burst", upload(100_000_000))
    assert (burst.threshold, burst.baseline) == (100_000_000, None)


def test_with_a_past_the_floor_is_enough() -> None:
    (burst,) = found("exfiltration_burst", [*past(1000, 20), *upload(60_000_000, pane=20)])
    assert burst.threshold == 50_000_000
    assert burst.baseline == pytest.approx(5000, rel=0.2)
    assert burst.evidence["baseline_windows"] == 12


def test_what_a_host_always_sends_is_learnt() -> None:
    usual = past(40_000_000, 20)
    bursts = found("exfiltration_burst", [*usual, *upload(60_000_000, pane=20)])
    assert max(burst.pane for burst in bursts) < at(10)
    last = found("exfiltration_burst", [*usual, *upload(600_000_000, pane=20)])[-1]
    assert (last.pane, last.target) == (at(20), PEER)
    assert 200_000_000 < last.threshold < 600_000_000


def test_bytes_of_five_minutes_are_added_up() -> None:
    slices = [row for pane in range(10) for row in upload(12_000_000, pane=pane)]
    first = found("exfiltration_burst", slices, **COLD)[0]
    assert (first.value, first.pane) == (60_000_000, at(4))


def test_bytes_that_the_host_served_count_too() -> None:
    rows = exchange(PEER, HOST, 22, sent=1000, received=80_000_000, packets=1000)
    assert [burst.source for burst in found("exfiltration_burst", rows, **COLD)] == [HOST]


def test_a_call_that_sends_both_ways_is_no_burst() -> None:
    assert found("exfiltration_burst", upload(400_000_000, 101_000_000)) == []
    assert len(found("exfiltration_burst", upload(400_000_000, 100_000_000))) == 1


def test_a_copy_between_own_hosts_is_no_burst() -> None:
    assert found("exfiltration_burst", upload(10**12, peer="10.0.0.13")) == []


def test_a_download_is_no_burst() -> None:
    assert found("exfiltration_burst", upload(1_000_000, 10**12)) == []


def test_what_others_send_each_other_is_no_burst() -> None:
    rows = exchange("198.51.100.1", "203.0.113.2", sent=10**12, received=1)
    assert found("exfiltration_burst", rows) == []


def test_what_was_refused_was_not_sent() -> None:
    assert found("exfiltration_burst", [attempt(HOST, PEER, 443, bytes=10**12, action="REJECT")]) == []


def test_many_small_uploads_to_many_peers_are_no_burst() -> None:
    rows = [row for number in range(200) for row in upload(10_000_000, peer=f"203.0.113.{number}")]
    assert found("exfiltration_burst", rows) == []


def test_sampled_records_count_for_those_they_stand_for() -> None:
    rows = [{**row, "weight": 100} for row in upload(1_000_000)]
    assert found("exfiltration_burst", rows)[0].value == 100_000_000


def test_an_upload_over_ipv6_is_seen() -> None:
    rows = exchange("fd00::12", "2001:db8::99", sent=150_000_000, received=1, packets=1000)
    assert [burst.target for burst in found("exfiltration_burst", rows)] == ["2001:db8::99"]


def test_the_summary_says_how_much_and_what_is_usual() -> None:
    (burst,) = found("exfiltration_burst", [*past(1_000_000, 20), *upload(60_000_000, pane=20)])
    assert burst.summary.startswith(f"{HOST} sent 60 MB to {PEER} within five minutes, usually 5.")
