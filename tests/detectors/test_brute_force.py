from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from detectors.brute_force import BruteForce
from detectors.catalogue import FixedParameters
from detectors.examples import START, records
from detectors.finding import Detection
from detectors.span import Position, Span
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, found

SIZES = {"sent": 1900, "received": 2600}
WORKER, MONITOR, DATABASE = "10.0.0.6", "10.0.0.7", "10.0.0.8"
HOUR = 3600


def guess(
    number: int, end: int, *, source: str = OUTSIDE, target: str = INSIDE, port: int = 22, **said: Any
) -> list[Row]:
    """One attempt to log in, alike and not the same as the others."""
    usual = {"sent": 1900 + number % 5 * 30, "received": 2600, "packets": 14, "client_port": 33_000 + number % 30_000}
    return exchange(source, target, port, end=end, **{**usual, **said})


def guesses(count: int, *, begin: int = START, every: float = 2, **said: Any) -> list[Row]:
    return [row for number in range(count) for row in guess(number, begin + int(number * every), **said)]


def at_once(rows: Sequence[Row], **parameters: float) -> list[Detection]:
    return found("brute_force", rows, **parameters)


def ends(detections: Iterable[Detection]) -> set[tuple[str | None, str | None]]:
    return {(each.source, each.target) for each in detections}


def test_twenty_five_attempts_within_five_minutes_are_guessing_and_twenty_four_are_not() -> None:
    (found_first, *_) = at_once(guesses(25))
    assert (found_first.source, found_first.target, found_first.ports, found_first.value) == (
        OUTSIDE,
        INSIDE,
        (22,),
        25,
    )
    assert at_once(guesses(24)) == []


def test_what_straddles_two_windows_of_fixed_begin_is_found() -> None:
    for begin in range(at(0), at(5), 40):
        assert at_once(guesses(25, begin=begin, every=9)), begin


@pytest.mark.parametrize("begin", [0, 130, 290, 1000])
def test_thirty_attempts_within_half_an_hour_are_guessing_and_twenty_eight_are_not(begin: int) -> None:
    (detection, *_) = at_once(guesses(30, begin=START + begin, every=60))
    assert detection.window_end - detection.window_start == 35 * 60
    assert at_once(guesses(28, begin=START + begin, every=60)) == []


def test_twenty_attempts_an_hour_for_hours_are_guessing() -> None:
    detections = at_once(guesses(100, every=180))
    assert ends(detections) == {(OUTSIDE, INSIDE)}
    assert detections[0].window_end - detections[0].window_start == 24 * HOUR
    assert detections[0].first_seen < START + HOUR
    assert at_once(guesses(40, every=180)) == []


@pytest.mark.parametrize(
    ("port", "sizes"),
    [
        (21, {"sent": 570, "received": 970, "packets": 9}),
        (23, {"sent": 700, "received": 900, "packets": 12}),
        (3389, {"sent": 3500, "received": 20_000, "packets": 40}),
        (445, {"sent": 1500, "received": 1300, "packets": 10}),
        (5985, {"sent": 2500, "received": 1500, "packets": 10}),
        (3306, {"sent": 520, "received": 480, "packets": 6}),
        (1433, {"sent": 2200, "received": 1900, "packets": 9}),
    ],
)
def test_guessing_is_found_at_every_login_service(port: int, sizes: dict[str, int]) -> None:
    assert ends(at_once(guesses(40, port=port, **sizes))) == {(OUTSIDE, INSIDE)}


def test_guessing_at_another_port_takes_four_times_as_much() -> None:
    assert ends(at_once(guesses(100, port=2222))) == {(OUTSIDE, INSIDE)}
    assert at_once(guesses(99, port=2222)) == []


def test_a_port_that_is_made_one_for_logins_is_held_to_their_limits() -> None:
    detector = BruteForce()
    for ports, count in ([22], 0), ([22, 2222], 1):
        parameters = {"brute_force": FixedParameters.of(detector.card, {})}
        watch = Watch({"brute_force": detector}, parameters, login_ports=ports)
        watch.apply(records(guesses(25, port=2222)), Span("test", Position(0), Position(1)))
        assert len(watch.advance(END_OF_TIME).detections) == count


def test_ipv6_is_seen() -> None:
    assert ends(at_once(guesses(30, source="2001:db8::7", target="fd00::9"))) == {("2001:db8::7", "fd00::9")}


def test_an_own_host_that_guesses_matters_more_than_one_that_is_guessed_at() -> None:
    for target in (INSIDE, "203.0.113.9"):
        (acting, *_) = at_once(guesses(30, source=WORKER, target=target))
        assert acting.severity == "high"
    (acted_on, *_) = at_once(guesses(30))
    assert (acted_on.severity, acted_on.direction) == ("low", "inbound")


def test_one_source_at_many_hosts_is_one_detection_a_pane() -> None:
    rows = [row for number in range(40) for row in guess(number, START + number, target=f"10.0.1.{number % 8}")]
    (spray,) = at_once(rows)
    assert (spray.source, spray.target, spray.value, spray.evidence["targets"]) == (OUTSIDE, None, 40, 8)
    assert "of 8 hosts" in spray.summary


def test_many_sources_at_one_host_are_one_detection_about_the_host() -> None:
    rows = [row for number in range(40) for row in guess(number, START + number, source=f"198.51.100.{number % 20}")]
    (joined,) = at_once(rows)
    assert (joined.entity, joined.source, joined.target, joined.value) == (INSIDE, None, INSIDE, 40)
    assert joined.evidence["sources"] == 20


def test_sources_that_would_each_be_found_are_still_one_detection() -> None:
    rows = [row for n in range(8) for row in guesses(30, source=f"198.51.100.{n}", begin=START, every=1)]
    assert ends(at_once(rows)) == {(None, INSIDE)}


def test_attempts_that_both_interfaces_logged_count_once() -> None:
    once = guesses(20, source=WORKER)
    twice = [*once, *({**row, "interface_id": "eni-2"} for row in once)]
    assert at_once(twice) == []
    (first, *_) = at_once([*guesses(26, source=WORKER), *({**r, "interface_id": "eni-2"} for r in guesses(26))])
    assert first.value in {26, 25}


def test_connections_in_several_records_count_once() -> None:
    pieces = [
        {**row, "end": row["end"] + 60 * piece, "tcp_flags": flags[row["source"] == INSIDE], "bytes": 800, "packets": 6}
        for row in guesses(24, every=9)
        for piece, flags in enumerate([(2, 18), (1, 1)])
    ]
    assert at_once(pieces) == []
    more = [
        {**row, "end": row["end"] + 60 * piece, "tcp_flags": flags[row["source"] == INSIDE], "bytes": 800, "packets": 6}
        for row in guesses(26, every=9)
        for piece, flags in enumerate([(2, 18), (1, 1)])
    ]
    assert at_once(more)[0].value in {25, 26}


def test_without_flags_5_tuples_are_counted() -> None:
    unflagged = [{**row, "tcp_flags": None} for row in guesses(30)]
    assert ends(at_once(unflagged)) == {(OUTSIDE, INSIDE)}
    one = [{**row, "tcp_flags": None} for row in guesses(200, client_port=40_000, every=10)]
    assert at_once(one) == []


def test_refused_attempts_at_one_login_service_are_low_at_most() -> None:
    rows = [attempt(OUTSIDE, INSIDE, 22, source_port=33_000 + n, action="REJECT", end=at(n // 8)) for n in range(160)]
    (first, *_) = at_once(rows)
    assert (first.severity, first.value >= 120, first.evidence["attempts"] == first.value) == ("low", True, True)
    assert "refused" in first.summary
    own = [{**row, "source": WORKER} for row in rows]
    assert {each.severity for each in at_once(own)} == {"low"}
    assert at_once(rows[:110]) == []


def test_a_port_that_answers_with_resets_is_a_closed_door_too() -> None:
    tried = [attempt(OUTSIDE, INSIDE, 22, source_port=33_000 + n, end=at(0)) for n in range(150)]
    closed = [
        {"source": INSIDE, "destination": OUTSIDE, "source_port": 22, "destination_port": 33_000 + n, "tcp_flags": 20}
        | {"packets": 1, "bytes": 40, "end": at(0)}
        for n in range(150)
    ]
    assert {each.severity for each in at_once([*tried, *closed])} == {"low"}


def test_a_program_that_looks_for_its_database_is_left_alone() -> None:
    rows = [
        attempt(WORKER, DATABASE, 5432, source_port=33_000 + n, action="REJECT", end=at(n // 30)) for n in range(900)
    ]
    assert at_once(rows) == []


def test_a_health_check_of_a_login_service_is_left_alone() -> None:
    checks = [
        row for n in range(720) for row in guess(n, START + 10 * n, source=MONITOR, sent=220, received=200, packets=4)
    ]
    banners = [
        row for n in range(720) for row in guess(n, START + 10 * n, source=MONITOR, sent=330, received=290, packets=5)
    ]
    assert at_once(checks) == []
    assert at_once(banners) == []


@pytest.mark.parametrize("port", [8080, 9100, 443, 8443])
def test_probes_and_balancers_are_left_alone(port: int) -> None:
    assert at_once(guesses(900, source=MONITOR, port=port, every=4)) == []


def test_a_web_client_that_visits_one_site_again_and_again_is_left_alone() -> None:
    assert at_once(guesses(2000, source=WORKER, target="203.0.113.9", port=443, every=1)) == []


def test_a_program_that_was_at_its_database_from_the_start_is_left_alone() -> None:
    assert at_once(guesses(3000, source=WORKER, target=DATABASE, port=3306, sent=520, received=480, every=2)) == []


def test_who_comes_new_to_a_database_is_found() -> None:
    usual = guesses(300, source=WORKER, target=DATABASE, port=3306, sent=520, received=480, every=20)
    new = guesses(300, source=MONITOR, target=DATABASE, port=3306, sent=520, received=480, begin=START + 3000, every=1)
    assert ends(at_once([*usual, *new])) == {(MONITOR, DATABASE)}


def test_who_comes_new_to_a_database_that_is_used_in_long_connections_alone_is_found() -> None:
    usual = guesses(20, source=WORKER, target=DATABASE, port=3306, sent=40_000, received=90_000, every=300)
    new = guesses(300, source=MONITOR, target=DATABASE, port=3306, sent=520, received=480, begin=START + 3000, every=1)
    assert ends(at_once([*usual, *new])) == {(MONITOR, DATABASE)}
    assert at_once(new) == []


def test_a_pool_of_connections_that_stay_open_is_left_alone() -> None:
    opened = [
        {**row, "tcp_flags": row["tcp_flags"] - 1}
        for row in guesses(60, source=WORKER, target=DATABASE, port=3306, sent=520, received=480)
    ]
    assert at_once(opened, known_seconds=0, elsewhere_factor=1) == []


def test_automation_that_moves_more_than_a_password_is_left_alone() -> None:
    playbook = [
        row
        for n in range(400)
        for row in guess(n, START + 2 * n, source=WORKER, target=f"10.0.1.{n % 100}", sent=40_000, received=25_000)
    ]
    assert at_once(playbook) == []
    some_short = [
        row for n in range(60) for row in guess(n + 500, START + 10 * n, source=WORKER, target=f"10.0.1.{n % 100}")
    ]
    assert at_once([*playbook, *some_short]) == []


def test_a_backup_and_long_sessions_are_left_alone() -> None:
    long = [{**row, "start": row["end"], "end": row["end"] + 170} for row in guesses(60, source=WORKER)]
    assert at_once(long) == []
    assert at_once(guesses(60, source=WORKER, sent=5_000_000, received=90_000, packets=4000)) == []


def test_connections_that_are_not_alike_are_left_alone_where_programs_work() -> None:
    sizes = [900, 4900]
    rows = [row for n in range(300) for row in guess(n, START + n, port=2222, sent=sizes[n % 2], received=sizes[n % 2])]
    assert at_once(rows) == []
    assert at_once(rows, spread_elsewhere=2)


def test_who_has_stopped_is_not_told_again() -> None:
    rows = [*guesses(60, every=2), *exchange(WORKER, "203.0.113.9", end=at(200)), *guesses(1, begin=at(300))]
    assert max(each.pane for each in at_once(rows)) <= at(5)


def test_the_evidence_says_how_much_and_from_whom() -> None:
    (spray,) = at_once([row for n in range(40) for row in guess(n, START + n, target=f"10.0.1.{n % 20}", sent=1900)])
    examples = spray.evidence["example_hosts"]
    assert spray.evidence == {
        "attempts": 40,
        "window_seconds": 360,
        "sources": 1,
        "targets": 20,
        "larger_sessions": 0,
        "refused_attempts": 0,
        "mean_bytes_sent": 1900,
        "mean_bytes_received": 2600,
        "example_hosts": examples,
    }
    assert isinstance(examples, list)
    assert len(examples) == 10
