import tracemalloc
from collections import Counter
from collections.abc import Iterable

import structlog

from detectors.finding import Finding
from streams.alertmanager.alerts import Alert
from streams.alertmanager.book import Book
from streams.alertmanager.settings import AlertmanagerSettings
from tests.streams.alertmanager.made import NOW, finding, settings


def caught_up(of: AlertmanagerSettings | None = None) -> Book:
    book = Book(of or settings())
    book.catch_up(NOW)
    return book


def sent(book: Book, now: float) -> list[tuple[str, str, bool]]:
    """Return host, severity and whether it is over, of what is sent."""
    return [said(each) for unit in book.due(now) for each in unit]


def said(each: Alert) -> tuple[str, str, bool]:
    named = dict(each.labels)
    return named.get("host", named["alertname"]), named["severity"], each.resolved_at is not None


def take(book: Book, *findings: Finding, now: float = NOW) -> None:
    book.take(findings, now)


OPEN, OVER = ("host-a", "medium", False), ("host-a", "medium", True)


def test_an_alert_is_sent_at_once_and_every_minute_while_it_is_open() -> None:
    book = caught_up()
    take(book, finding())
    assert [sent(book, NOW + after) for after in (0, 1, 59, 60, 61, 120)] == [[OPEN], [], [], [OPEN], [], [OPEN]]


def test_what_is_over_is_said_at_once_and_again_for_a_quarter_of_an_hour() -> None:
    for status in ("closed", "retracted", "superseded"):
        book = caught_up()
        take(book, finding())
        sent(book, NOW)
        take(book, finding(status=status), now=NOW + 5)
        times = [after for after in range(5, 3600, 5) if sent(book, NOW + after) == [OVER]]
        assert times == list(range(5, 906, 60)), status
        assert book.open == 0


def test_the_time_of_the_end_stays_what_it_was() -> None:
    book = caught_up()
    take(book, finding())
    sent(book, NOW)
    take(book, finding(status="closed"), now=NOW + 5)
    ends = [each.resolved_at for after in (5, 65, 125) for unit in book.due(NOW + after) for each in unit]
    assert ends == [NOW + 5] * 3


def test_what_opens_again_is_no_longer_said_to_be_over() -> None:
    book = caught_up()
    take(book, finding())
    sent(book, NOW)
    take(book, finding(status="closed"), finding("b", entity="host-a"))
    assert sent(book, NOW + 1)[-1] == OPEN
    assert [each for after in range(2, 300) for each in sent(book, NOW + after) if each[2]] == []


def test_a_severity_that_rises_ends_one_alert_and_opens_another_in_one_request() -> None:
    book = caught_up()
    take(book, finding())
    sent(book, NOW)
    take(book, finding(severity="critical"), now=NOW + 1)
    ((before, after),) = book.due(NOW + 1)
    assert [said(before), said(after)] == [OVER, ("host-a", "critical", False)]
    assert sent(book, NOW + 61) == [("host-a", "critical", False), OVER]


def test_an_alert_stays_as_long_as_one_of_its_findings_does() -> None:
    book = caught_up()
    take(book, finding(), finding("b", entity="host-a"))
    assert sent(book, NOW) == [OPEN]
    take(book, finding(status="closed"))
    assert sent(book, NOW + 60) == [OPEN]
    take(book, finding("b", entity="host-a", status="closed"), now=NOW + 61)
    assert sent(book, NOW + 61) == [OVER]


def test_what_is_not_certain_is_sent_or_held_back() -> None:
    early, certain = finding(provisional=True), finding()
    for send, expected in ((True, [OPEN]), (False, [])):
        book = caught_up(settings(send_provisional=send))
        take(book, early)
        assert sent(book, NOW) == expected
        take(book, certain)
        assert sent(book, NOW + 1) == ([] if send else [OPEN])
        assert book.open == 1


def test_early_word_that_was_wrong_is_taken_back_at_once() -> None:
    book = caught_up()
    take(book, finding(provisional=True))
    sent(book, NOW)
    take(book, finding(provisional=True, status="retracted"))
    assert sent(book, NOW + 1) == [OVER]


def test_a_new_state_of_a_finding_is_told_with_the_next_word() -> None:
    book = caught_up()
    take(book, finding())
    sent(book, NOW)
    take(book, finding(summary="it is worse"))
    ((again,),) = book.due(NOW + 60)
    assert again.annotations["summary"] == "it is worse"


def test_until_it_has_caught_up_nothing_is_said() -> None:
    book = Book(settings())
    take(book, finding(), finding("b"), finding("b", status="closed", last_seen=0))
    assert sent(book, NOW) == []
    book.catch_up(NOW)
    assert sent(book, NOW) == [OPEN]


def test_what_ended_lately_is_said_to_be_over_since_a_worker_before_may_have_told_it() -> None:
    book = Book(settings())
    lately, long_ago = int(NOW) - 1200, int(NOW) - 86_400
    take(book, finding(status="closed", last_seen=lately), finding("b", status="closed", last_seen=long_ago))
    book.catch_up(NOW)
    assert sent(book, NOW) == [OVER]


def test_what_ended_lately_and_opened_again_is_open() -> None:
    book = Book(settings())
    take(book, finding(status="closed", last_seen=int(NOW) - 1200), finding("b", entity="host-a"))
    book.catch_up(NOW)
    assert sent(book, NOW) == [OPEN]


def test_after_a_restart_all_that_is_open_is_told_before_it_would_count_as_resolved() -> None:
    book = Book(settings(new_alerts_per_interval=1))
    take(book, *(finding(str(number)) for number in range(100)))
    book.catch_up(NOW)
    assert len(sent(book, NOW)) == 100


def many(count: int, **others: object) -> Iterable[Finding]:
    return (finding(f"{number}", **others) for number in range(count))


def test_new_alerts_wait_for_their_turn_the_most_severe_first() -> None:
    book = caught_up(settings(new_alerts_per_interval=2))
    take(book, finding("low", severity="low"), finding("medium"), finding("high", severity="high"))
    assert [host for host, _, _ in sent(book, NOW)] == ["host-high", "host-medium"]
    take(book, finding("critical", severity="critical"))
    assert [host for host, _, _ in sent(book, NOW + 1)] == ["host-critical", "host-low"]
    assert book.waiting == 0


def test_what_ends_while_it_waits_is_never_told() -> None:
    book = caught_up(settings(new_alerts_per_interval=1))
    take(book, finding(), finding("b"), finding("b", status="closed"))
    assert sent(book, NOW) == [OPEN]
    assert sent(book, NOW + 1) == []


def test_a_flood_is_summed_up_in_one_alert_and_said_once() -> None:
    book = caught_up(settings(new_alerts_per_interval=10, open_alerts=100))
    told: Counter[str] = Counter()
    with structlog.testing.capture_logs() as captured:
        for second in range(60):
            take(book, *(finding(f"{second}-{number}") for number in range(200)), now=NOW + second)
            now = [host for host, _, _ in sent(book, NOW + second)]
            assert len({*now} - {*told, "FlowhawkFindingsSurge"}) <= 10
            told.update(now)
            assert (book.open, book.waiting) <= (100, 500)
    assert book.surges
    assert told["FlowhawkFindingsSurge"] == 1
    assert len(told) == 101
    assert book.untold == 60 * 200 - 100 - 500
    assert [entry["event"] for entry in captured] == ["more findings come than are sent as alerts"]


def test_the_most_severe_are_told_in_a_flood() -> None:
    book = caught_up(settings(new_alerts_per_interval=10, open_alerts=20))
    take(book, *many(5000, severity="low"), *(finding(f"c{number}", severity="critical") for number in range(15)))
    told = [each for second in range(10) for each in sent(book, NOW + second)]
    assert sum(severity == "critical" and host != "FlowhawkFindingsSurge" for host, severity, _ in told) == 15


def test_a_surge_is_over_when_nothing_was_left_over_for_five_minutes() -> None:
    book = caught_up(settings(new_alerts_per_interval=10))
    take(book, *many(500))
    times = [
        (after, over)
        for after in range(800)
        for host, _, over in sent(book, NOW + after)
        if host == "FlowhawkFindingsSurge"
    ]
    assert times[0] == (0, False)
    (ended, *_) = [after for after, over in times if over]
    assert 300 < ended < 400
    assert not book.surges


def test_a_few_more_than_an_interval_takes_are_no_surge() -> None:
    book = caught_up(settings(new_alerts_per_interval=10))
    take(book, *many(60))
    assert {over for after in range(10) for _, _, over in sent(book, NOW + after)} == {False}
    assert not book.surges
    assert book.open == 60


def test_twenty_thousand_findings_take_no_more_room_than_those_that_are_kept() -> None:
    book = caught_up(settings(new_alerts_per_interval=20, open_alerts=200))
    tracemalloc.start()
    try:
        for begin in range(0, 20_000, 1000):
            take(book, *(finding(str(begin + number)) for number in range(1000)))
            sent(book, NOW + begin / 1000)
        assert book.open + book.waiting <= 1200
        assert tracemalloc.get_traced_memory()[0] < 6 << 20
    finally:
        tracemalloc.stop()
