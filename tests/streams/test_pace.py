from streams.pace import Pace


def test_what_passed_has_to_be_waited_for() -> None:
    pace = Pace(10)
    assert pace.wait_seconds == 0
    pace.passed(5)
    assert 0 < pace.wait_seconds <= 0.5


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(float("inf"))
    pace.passed(10**9)
    assert pace.wait_seconds == 0
