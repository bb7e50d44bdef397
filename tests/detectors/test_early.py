from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from detectors.examples import records
from detectors.finding import Finding
from detectors.incidents import Incidents
from detectors.span import Position, Span
from detectors.state import Change
from detectors.table import Table
from detectors.watch import END_OF_TIME
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange, watching

PARAMETERS = {
    "vertical_scan": {"ports": 3},
    "horizontal_scan": {"targets": 2},
    "exfiltration_burst": {"floor_bytes": 50, "asymmetry": 0, "cold_factor": 1, "deviations": 0},
    "rejected_spike": {"floor_records": 2, "deviations": 0, "scan_ports": 3},
}


class Told:
    """What is said while records come in: a watch and its incidents, which are looked at in between."""

    def __init__(self, kinds: list[str] | None = None) -> None:
        self.watch = watching(PARAMETERS, kinds or [])
        self.incidents = Incidents()
        self.findings: list[Finding] = []
        self._batches = 0

    def apply(self, rows: list[Row]) -> None:
        self.apply_table(records(rows))

    def apply_table(self, table: Table) -> None:
        self.watch.apply(table, Span("test", Position(self._batches), Position(self._batches + 1)))
        self._batches += 1

    def look(self) -> list[Finding]:
        return self._keep(self.incidents.apply(self.watch.look()))

    def advance(self, watermark: int) -> list[Finding]:
        found = self.watch.advance(watermark)
        findings = self.incidents.apply(found.detections, found.partials)
        return self._keep(findings + self.incidents.advance(self.watch.closed_until))

    def last(self) -> dict[str, Finding]:
        return {finding.id: finding for finding in self.findings}

    def _keep(self, findings: list[Finding]) -> list[Finding]:
        self.findings += findings
        return findings


def scan(pane: int, ports: range, **said: Any) -> list[Row]:
    return [attempt(OUTSIDE, INSIDE, port, end=at(pane, 10), **said) for port in ports]


def answered(pane: int, ports: range) -> list[Row]:
    return [
        row for port in ports for row in exchange(OUTSIDE, INSIDE, port, end=at(pane, 10)) if row["source"] == INSIDE
    ]


def scans() -> Told:
    return Told(["vertical_scan"])


def states(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.status, finding.provisional) for finding in findings]


def test_a_scan_is_told_while_its_pane_is_open_and_confirmed_under_the_same_identifier() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    early = told.look()
    assert states(early) == [("open", True)]
    confirmed = told.advance(at(12))
    assert states(confirmed) == [("open", False)]
    assert confirmed[0].id == early[0].id


def test_too_little_is_not_told() -> None:
    told = scans()
    told.apply(scan(0, range(1, 3)))
    assert told.look() == []


def test_a_pane_to_which_nothing_was_added_is_not_looked_at_again() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    assert len(told.look()) == 1
    assert told.watch.look() == []


def test_what_grows_much_is_told_again_and_what_grows_little_is_not() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    told.look()
    told.apply(scan(0, range(4, 6)))
    assert told.look() == []
    told.apply(scan(0, range(6, 10)))
    (grown,) = told.look()
    assert (grown.value, grown.updates, grown.provisional) == (9, 1, True)


def test_what_was_answered_after_all_is_retracted_when_its_pane_closes() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    (early,) = told.look()
    told.apply(answered(0, range(1, 4)))
    (settled,) = told.advance(at(12))
    assert (settled.id, settled.status, settled.superseded_by) == (early.id, "retracted", None)
    assert told.advance(END_OF_TIME) == []


def test_an_earlier_beginning_gives_another_identifier_that_supersedes_the_first() -> None:
    told = scans()
    told.apply(scan(3, range(1, 4)))
    (first,) = told.look()
    told.apply(scan(1, range(1, 4)))
    superseded, second = told.look()
    assert (superseded.id, superseded.status, superseded.superseded_by) == (first.id, "superseded", second.id)
    (confirmed,) = told.advance(at(12))
    assert (confirmed.id, confirmed.provisional) == (second.id, False)


def test_where_only_the_beginning_was_answered_the_rest_goes_on_under_its_own_identifier() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    (first,) = told.look()
    told.apply([*answered(0, range(1, 4)), *scan(6, range(10, 13))])
    told.look()
    superseded, second = told.advance(at(12))
    assert (superseded.id, superseded.status, superseded.superseded_by) == (first.id, "superseded", second.id)
    assert (second.status, second.provisional, second.first_seen) == ("open", True, at(6, 10))
    (confirmed,) = told.advance(at(18))
    assert (confirmed.id, confirmed.provisional) == (second.id, False)


def test_what_nobody_looked_at_in_time_supersedes_what_was_told_of_a_later_pane() -> None:
    told = scans()
    told.apply(scan(2, range(1, 4)))
    (early,) = told.look()
    told.apply(scan(0, range(1, 4)))
    told.advance(at(14))
    assert told.last()[early.id].status == "superseded"
    confirmed = told.last()[told.last()[early.id].superseded_by or ""]
    assert (confirmed.first_seen, confirmed.provisional) == (at(0, 10), False)


def test_an_attack_that_is_confirmed_already_needs_no_early_word() -> None:
    told = scans()
    told.apply(scan(0, range(1, 4)))
    told.advance(at(12))
    told.apply(scan(12, range(1, 4)))
    assert told.look() == []


def test_what_was_told_is_settled_by_whoever_takes_the_state_up() -> None:
    told, again = scans(), scans()
    told.apply(scan(0, range(1, 4)))
    (early,) = told.look()
    changes: list[Change] = told.incidents.changes()
    again.incidents.restore(changes)
    (settled,) = again.advance(at(12))
    assert (settled.id, settled.status, settled.updates) == (early.id, "retracted", 1)


def test_what_was_told_and_forgotten_is_retracted_once_its_window_is_closed() -> None:
    told, again = scans(), scans()
    told.apply([*scan(0, range(1, 4))])
    (early,) = told.look()
    again.incidents.adopt([early])
    again.apply([*scan(0, range(1, 3)), *exchange("10.0.0.1", INSIDE, end=at(5))])
    (settled,) = again.advance(at(12))
    assert (settled.id, settled.status) == (early.id, "retracted")
    assert again.advance(END_OF_TIME) == []


def test_what_was_told_and_forgotten_is_confirmed_like_anything_else() -> None:
    told, again, anew = scans(), scans(), scans()
    for each in (told, again, anew):
        each.apply(scan(0, range(1, 4)))
    (early,) = told.look()
    for each in (again, anew):
        each.incidents.adopt([early])
    again.look()
    assert [states(each.advance(at(12))) for each in (again, anew)] == [[("open", False)]] * 2


def test_a_scan_of_two_ports_at_once_is_told_with_both() -> None:
    told = Told(["horizontal_scan"])
    rows = [attempt(OUTSIDE, f"10.0.0.{host}", port, end=at(0)) for host in (1, 2) for port in (22, 23)]
    told.apply(rows)
    (early,) = told.look()
    assert early.ports == (22, 23)
    told.advance(END_OF_TIME)
    assert (told.last()[early.id].ports, told.last()[early.id].status) == ((22, 23), "closed")


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Row], list[int], list[bool]]:
    rows: list[Row] = [*draw(strategies.rows(panes=draw(st.sampled_from([2, 8, 30])), most=60))]
    order = draw(st.permutations(range(len(rows))))
    looks = draw(st.lists(st.booleans(), min_size=6, max_size=6))
    return rows, order, looks


@settings(max_examples=60, deadline=None)
@given(deliveries())
def test_looking_changes_nothing_that_is_confirmed_and_leaves_nothing_unsettled(
    drawn: tuple[list[Row], list[int], list[bool]],
) -> None:
    rows, order, looks = drawn
    frame = records(rows).frame[order]
    quiet, told = Told(), Told()
    size = max(-(-len(frame) // len(looks)), 1)
    for number, look in enumerate(looks):
        batch = Table(frame[number * size : (number + 1) * size])
        rest = frame["end"][(number + 1) * size :]
        for each in (quiet, told):
            each.apply_table(batch)
        if look:
            told.look()
        for each in (quiet, told):
            each.advance(min(rest) if len(rest) else END_OF_TIME)
    confirmed = [finding for finding in told.findings if not finding.provisional]
    assert confirmed == quiet.findings
    last = told.last()
    for finding in last.values():
        assert not finding.provisional or finding.status in {"retracted", "superseded"}
        if finding.status == "superseded":
            assert finding.superseded_by in last


def test_what_is_kept_of_open_panes_is_what_somebody_finds_who_looks_for_the_first_time() -> None:
    guess = partial(exchange, OUTSIDE, INSIDE, 22, sent=2000, received=2500)
    batches = [
        [*scan(0, range(1, 9)), *guess(client_port=40_000, end=at(0, 20))],
        [*scan(1, range(9, 12)), *guess(client_port=40_001, end=at(1, 20))],
        # What was asked and guessed before is answered, and gone on with, late.
        [*answered(0, range(1, 5)), *guess(client_port=40_000, end=at(2, 20)), *scan(0, range(20, 24))],
    ]
    looking, waiting = Told(["vertical_scan", "brute_force"]), Told(["vertical_scan", "brute_force"])
    for rows in batches:
        for each in (looking, waiting):
            each.apply(rows)
        looking.look()
    for panes, table in ((5, "contact"), (5, "pair"), (1, "contact")):
        for pane in range(3):
            kept, fresh = (each.watch.window(at(pane), panes).table(table) for each in (looking, waiting))
            assert_frame_equal(kept, fresh, check_row_order=False)
    for pane in range(3):
        assert_frame_equal(*(each.watch.logins.table(at(pane), 5) for each in (looking, waiting)))
