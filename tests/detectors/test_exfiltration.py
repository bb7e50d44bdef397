from collections.abc import Sequence

import pytest

from detectors.examples import records
from detectors.finding import Detection, Finding
from detectors.incidents import Incidents
from detectors.span import Position, Span
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import Row, at, attempt, exchange, found, watching

HOST, PEER, OTHER = "10.0.0.12", "203.0.113.99", "203.0.113.1"
MEGABYTE = 1_000_000
HOUR, DAY = 60, 1440
COLD = {"cold_bytes": 1}
KIND = "exfiltration_burst"


def upload(sent: int, received: int = 1000, pane: int = 0, peer: str = PEER, host: str = HOST) -> list[Row]:
    return exchange(host, peer, sent=sent, received=received, packets=1000, end=at(pane, 30))


def past(sent: int, panes: int, host: str = HOST) -> list[Row]:
    """What the host usually sends, a little more and a little less, to another peer."""
    return [
        row for pane in range(panes) for row in upload(sent + sent // 20 * (pane % 3), pane=pane, peer=OTHER, host=host)
    ]


def bursts(rows: Sequence[Row], **parameters: float) -> list[Detection]:
    return found(KIND, rows, **parameters)


def watched(rows: Sequence[Row], **parameters: float) -> tuple[Watch, list[Finding]]:
    """The watch, and the last states of the findings that stand."""
    watch = watching({KIND: parameters}, [KIND])
    watch.apply(records(rows), Span("test", Position(0), Position(1)))
    incidents = Incidents()
    published = incidents.apply(watch.advance(END_OF_TIME).detections) + incidents.advance(END_OF_TIME)
    last = {finding.id: finding for finding in published}
    return watch, [finding for finding in last.values() if finding.status != "superseded"]


def findings(rows: Sequence[Row], **parameters: float) -> list[Finding]:
    return watched(rows, **parameters)[1]


def test_an_upload_at_the_floor_is_a_burst_and_one_below_is_not() -> None:
    (burst,) = bursts([*past(1000, 20), *upload(8 * MEGABYTE, pane=20)])
    assert (burst.source, burst.target, burst.value, burst.direction) == (HOST, PEER, 8 * MEGABYTE, "outbound")
    assert (burst.threshold, burst.severity, burst.ports) == (8 * MEGABYTE, "high", (443,))
    assert bursts([*past(1000, 20), *upload(8 * MEGABYTE - 1, pane=20)]) == []


def test_without_any_past_only_what_is_much_anywhere_counts_and_little_is_made_of_it() -> None:
    assert bursts(upload(99 * MEGABYTE)) == []
    (burst,) = bursts(upload(100 * MEGABYTE))
    assert (burst.threshold, burst.baseline, burst.severity) == (100 * MEGABYTE, None, "low")
    assert burst.evidence["compared_with"] == "fixed limit"


def test_baselines_are_warm_after_six_windows() -> None:
    """A window of one pane has six before it in the seventh pane."""
    leak = 20 * MEGABYTE
    assert bursts([*past(1000, 5), *upload(leak, pane=5)]) == []
    (burst,) = bursts([*past(1000, 6), *upload(leak, pane=6)])
    assert (burst.threshold, burst.evidence["baseline_windows"]) == (8 * MEGABYTE, 6)


def test_what_a_host_always_sends_is_usual() -> None:
    usual = past(40 * MEGABYTE, 30)
    told = bursts([*usual, *upload(60 * MEGABYTE, pane=30)])
    # As long as nothing is known it may be told, and matters little.
    assert {burst.severity for burst in told} <= {"low"}
    assert [burst for burst in told if burst.pane >= at(15)] == []
    burst = bursts([*usual, *upload(600 * MEGABYTE, pane=30)])[-1]
    assert (burst.pane, burst.target) == (at(30), PEER)
    assert burst.baseline == pytest.approx(42 * MEGABYTE, rel=0.1)
    assert 40 * MEGABYTE < burst.threshold < 100 * MEGABYTE


def test_a_host_without_a_past_is_held_against_its_peers() -> None:
    def among(sent: int) -> list[Row]:
        return [row for number in range(20) for row in past(sent, 20, host=f"10.0.1.{number}")]

    for quiet in (1000, MEGABYTE):
        (burst,) = bursts([*among(quiet), *upload(12 * MEGABYTE, pane=20)])
        assert (burst.source, burst.severity, burst.evidence["compared_with"]) == (HOST, "high", "peers")
        assert "among its peers" in burst.summary
    busy = among(10 * MEGABYTE)
    assert bursts([*busy, *upload(12 * MEGABYTE, pane=20)]) == []
    assert {burst.source for burst in bursts([*busy, *upload(200 * MEGABYTE, pane=20)])} == {HOST}


def test_one_busy_host_says_nothing_of_its_peers() -> None:
    rows = [row for number in range(30) for row in past(1000, 20, host=f"10.0.1.{number}")]
    rows += past(400 * MEGABYTE, 20, host="10.0.2.1")
    (burst,) = (each for each in bursts([*rows, *upload(12 * MEGABYTE, pane=20)]) if each.source == HOST)
    assert burst.threshold == 8 * MEGABYTE


def test_bytes_of_five_minutes_are_added_up() -> None:
    slices = [row for pane in range(20, 25) for row in upload(2 * MEGABYTE, pane=pane)]
    first = bursts([*past(1000, 25), *slices])[0]
    assert (first.value, first.pane) == (8 * MEGABYTE, at(23))


def test_tens_of_megabytes_within_a_minute_stand_out_where_five_minutes_vary() -> None:
    uneven = [
        row for pane in range(60) for row in upload(6 * MEGABYTE * (pane // 5 % 2), pane=pane, peer=OTHER, received=0)
    ]
    (finding,) = findings([*uneven, *upload(70 * MEGABYTE, pane=60)])
    assert finding.target == PEER


def test_what_a_peer_came_to_fetch_must_be_more() -> None:
    def fetched(received: int) -> list[Detection]:
        rows = exchange(PEER, HOST, 22, sent=1000, received=received, packets=1000, end=at(20))
        return bursts([*past(1000, 20), *rows])

    assert fetched(39 * MEGABYTE) == []
    (burst,) = fetched(41 * MEGABYTE)
    assert (burst.source, burst.threshold, burst.evidence["opened_by_peer"]) == (HOST, 40 * MEGABYTE, True)


def test_a_call_that_sends_both_ways_is_no_burst() -> None:
    call = [row for pane in range(20, 50) for row in upload(15 * MEGABYTE, 14 * MEGABYTE, pane=pane)]
    assert bursts([*past(1000, 50), *call]) == []
    assert bursts(upload(400 * MEGABYTE, 101 * MEGABYTE), **COLD) == []
    assert len(bursts(upload(400 * MEGABYTE, 100 * MEGABYTE), **COLD)) == 1


def test_a_copy_between_own_hosts_is_no_burst() -> None:
    assert bursts(upload(10**12, peer="10.0.0.13"), **COLD) == []


def test_a_download_is_no_burst() -> None:
    assert bursts(upload(9 * MEGABYTE, 10**12), **COLD) == []


def test_what_others_send_each_other_is_no_burst() -> None:
    rows = exchange("198.51.100.1", "203.0.113.2", sent=10**12, received=1)
    assert bursts(rows, **COLD) == []


def test_what_was_refused_was_not_sent() -> None:
    assert bursts([attempt(HOST, PEER, 443, bytes=10**12, action="REJECT")], **COLD) == []


def test_pages_for_very_many_visitors_are_no_leak() -> None:
    rows = [
        row
        for number in range(200)
        for row in exchange(f"203.0.113.{number}", HOST, sent=1000, received=2 * MEGABYTE, packets=1000, end=at(20))
    ]
    assert bursts([*past(1000, 20), *rows]) == []


def test_a_leak_to_several_peers_is_one_finding_about_the_host() -> None:
    rows = [row for number in range(20) for row in upload(600_000, pane=20, peer=f"203.0.113.{number + 10}")]
    (finding,) = findings([*past(1000, 21), *rows])
    assert (finding.source, finding.target, finding.value) == (HOST, None, 12 * MEGABYTE)
    assert finding.evidence["targets"] == 20
    named = finding.evidence["example_targets"]
    assert isinstance(named, list)
    assert len(named) == 10
    assert "to 20 outside addresses within" in finding.summary


def test_a_leak_that_goes_on_to_other_peers_supersedes_what_was_told_of_the_first() -> None:
    rows = upload(10 * MEGABYTE, pane=20)
    rows += [row for number in range(4) for row in upload(10 * MEGABYTE, pane=22, peer=f"203.0.113.{number + 10}")]
    (finding,) = findings([*past(1000, 23), *rows])
    assert (finding.source, finding.target, finding.evidence["targets"]) == (HOST, None, 5)


def test_a_leak_to_one_peer_is_told_of_that_peer_whatever_else_is_sent() -> None:
    rows = [*upload(40 * MEGABYTE, pane=20), *upload(MEGABYTE, pane=20, peer="203.0.113.10")]
    assert [finding.target for finding in findings([*past(1000, 21), *rows])] == [PEER]


def test_a_leak_through_a_gateway_is_told_of_the_host_behind_it() -> None:
    gateway, leak = "10.0.0.2", 40 * MEGABYTE
    rows = [*past(1000, 21), *past(1000, 21, host=gateway)]
    rows += upload(leak, pane=20)
    rows += exchange(
        HOST, gateway, sent=leak, packets=1000, end=at(20, 30), direction="ingress", interface_id="eni-nat"
    )
    rows += upload(leak, pane=20, host=gateway)
    assert [finding.source for finding in findings(rows)] == [HOST]


def test_two_hosts_that_leak_to_one_peer_are_two_findings() -> None:
    rows = [*past(1000, 21), *past(1000, 21, host="10.0.0.2"), *upload(40 * MEGABYTE, pane=20)]
    rows += upload(40 * MEGABYTE, pane=20, host="10.0.0.2")
    assert sorted(str(finding.source) for finding in findings(rows)) == [HOST, "10.0.0.2"]


def test_sampled_records_count_for_those_they_stand_for() -> None:
    rows = [{**row, "weight": 100} for row in upload(MEGABYTE)]
    assert bursts(rows, **COLD)[0].value == 100 * MEGABYTE


def test_an_upload_over_ipv6_is_seen() -> None:
    rows = exchange("fd00::12", "2001:db8::99", sent=150 * MEGABYTE, received=1, packets=1000)
    assert [burst.target for burst in bursts(rows, **COLD)] == ["2001:db8::99"]


@pytest.mark.parametrize(("protocol", "port"), [(1, 0), (17, 53), (6, 6667), (47, 0)])
def test_no_port_or_protocol_hides_a_leak(protocol: int, port: int) -> None:
    ports = {"source_port": 0, "destination_port": 0} if not port else {"destination_port": port}
    flags = {} if protocol == 6 else {"tcp_flags": None}
    row = {**attempt(HOST, PEER, port), **ports, **flags, "protocol": protocol}
    (burst,) = bursts([*past(1000, 21), {**row, "bytes": 12 * MEGABYTE, "packets": 9000, "end": at(20, 30)}])
    assert (burst.target, burst.protocol) == (PEER, protocol)


def test_the_summary_says_how_much_and_what_is_usual() -> None:
    burst = bursts([*past(MEGABYTE, 20), *upload(60 * MEGABYTE, pane=20)])[-1]
    assert burst.summary.startswith(f"{HOST} sent 60 MB to {PEER} within a minute, usually 1.")
    assert burst.evidence["statistic"] == "bytes sent within a minute"
    assert (burst.evidence["example_ports"], burst.first_seen, burst.last_seen) == ([443], at(20, 30), at(20, 30))


def nightly(nights: int, sent: int = 600 * MEGABYTE) -> list[Row]:
    """Half an hour of upload, at the same time of every day, from the second hour on."""
    return [
        row for night in range(nights) for pane in range(30) for row in upload(sent // 30, pane=90 + DAY * night + pane)
    ]


def quiet(panes: int, host: str = HOST) -> list[Row]:
    """A little every ten minutes."""
    return [row for pane in range(0, panes, 10) for row in upload(1000, pane=pane, peer=OTHER, host=host)]


def test_a_nightly_backup_is_told_once() -> None:
    (first,) = findings([*quiet(3 * DAY), *nightly(3)])
    assert first.first_seen < at(2 * HOUR)


def test_what_was_sent_before_is_known_after_a_restart_too() -> None:
    parameters: dict[str, dict[str, float]] = {KIND: {}}
    before = watching(parameters, [KIND])
    before.apply(records([*quiet(DAY), *nightly(1)]), Span("test", Position(0), Position(1)))
    before.advance(at(DAY))
    after = watching(parameters, [KIND])
    after.restore(before.changes(whole=True))
    after.apply(records([*quiet(2 * DAY)[288:], *nightly(2)[60:]]), Span("test", Position(1), Position(2)))
    assert after.advance(END_OF_TIME).detections == []


@pytest.mark.parametrize("every", [1, 10, 30])
def test_a_leak_of_a_day_is_one_finding_however_it_is_cut(every: int) -> None:
    total = 200 * MEGABYTE
    drops = [row for pane in range(90, 90 + DAY, every) for row in upload(total * every // DAY, pane=pane)]
    (finding,) = findings([*quiet(DAY + 120), *drops])
    assert (finding.source, finding.target, finding.ports) == (HOST, PEER, (443,))
    assert finding.threshold == 100 * MEGABYTE
    assert finding.summary.startswith(f"{HOST} sent ")
    assert "within a day" in finding.summary
    assert finding.window_end - finding.window_start >= 86_400


def test_what_leaks_within_an_hour_below_the_floor_of_minutes_is_found() -> None:
    drops = [row for pane in range(150, 230) for row in upload(MEGABYTE, pane=pane)]
    (finding,) = findings([*quiet(260), *drops])
    assert (finding.target, finding.threshold) == (PEER, 50 * MEGABYTE)
    assert "within an hour" in finding.summary


def test_a_slow_leak_to_ever_new_peers_is_one_finding() -> None:
    drops = [
        row
        for number, pane in enumerate(range(90, 90 + DAY, 45))
        for row in upload(6 * MEGABYTE, pane=pane, peer=f"198.51.100.{number}")
    ]
    (finding,) = findings([*quiet(DAY + 120), *drops])
    assert (finding.source, finding.target) == (HOST, None)


def test_what_a_host_sends_all_day_to_a_peer_that_was_there_from_the_start_is_no_leak() -> None:
    steady = [row for pane in range(0, DAY + 120, 5) for row in upload(MEGABYTE, pane=pane, peer=OTHER)]
    assert findings(steady) == []


def test_what_visitors_fetch_all_day_is_no_slow_leak() -> None:
    rows = [
        row
        for number, pane in enumerate(range(0, 10 * HOUR, 3))
        for row in exchange(
            f"198.51.100.{number // 15}", HOST, sent=900, received=1_200_000, packets=900, end=at(pane, 30)
        )
    ]
    assert findings(rows) == []


def test_a_host_that_ships_as_much_every_minute_from_the_start_leaks_nothing() -> None:
    rows = [row for pane in range(10 * HOUR) for row in upload(MEGABYTE, pane=pane)]
    assert findings(rows) == []
