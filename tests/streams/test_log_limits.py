import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.log import configure
from streams.log_settings import LogSettings
from tests.streams.log_lines import put_back, written


@pytest.fixture(autouse=True)
def _the_log_is_put_back() -> Iterator[None]:
    yield from put_back()


def test_of_many_lines_of_a_kind_a_few_are_written_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    limit = configure(LogSettings(format="json", burst=3))
    kept_back: list[str] = []
    limit.counted = kept_back.append
    log = structlog.get_logger("here")
    for number in range(10):
        log.warning("a sink does not take findings", sink="siem", failures=number)
        logging.getLogger("aiokafka").warning("closed by %s", number)
    log.warning("a sink does not take findings", sink="webhook")
    log.error("a sink does not take findings", sink="siem")
    limit.tell()
    entries = [json.loads(line) for line in written(capsys)]
    assert [each["event"] for each in entries if each["logger"] == "aiokafka"] == [f"closed by {n}" for n in range(3)]
    assert [each["failures"] for each in entries if "failures" in each] == [0, 1, 2]
    assert [(each["sink"], each["level"]) for each in entries[-2:]] == [("webhook", "warning"), ("siem", "error")]
    assert kept_back == ["warning"] * 14


def test_how_many_more_there_were_is_said_once_the_minute_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    limit = configure(LogSettings(format="json", burst=1))
    limit._clock = lambda: now[0]
    log = structlog.get_logger("here")
    for _ in range(5):
        log.error("failed", sink="siem", error="no")
    log.error("once")
    now[0] = 59
    limit.tell()
    assert len(written(capsys)) == 2
    now[0] = 60
    log.error("failed", sink="siem", error="again")
    said, again = (json.loads(line) for line in written(capsys))
    assert {name: said[name] for name in ("event", "of", "by", "about")} == {
        "event": "4 more suppressed in the last minute",
        "of": "failed",
        "by": "here",
        "about": "sink=siem",
    }
    assert again["error"] == "again"
    log.error("failed", sink="siem")
    now[0] = 200
    limit.tell()
    limit.tell()
    assert [json.loads(line)["event"] for line in written(capsys)] == ["1 more suppressed in the last minute"]


def test_what_was_kept_back_is_said_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    limit = configure(LogSettings(format="json", burst=1))
    for _ in range(3):
        structlog.get_logger("here").error("failed")
    limit.tell(everything=True)
    assert json.loads(written(capsys)[-1])["event"] == "2 more suppressed in the last minute"


def test_without_a_limit_every_line_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json", burst=None))
    for _ in range(100):
        structlog.get_logger("here").error("failed")
    assert len(written(capsys)) == 100


def test_kinds_without_end_take_no_memory_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    limit = configure(LogSettings(format="json", burst=2))
    for number in range(5000):
        logging.getLogger("here").error(f"failed at {number}")  # noqa: G004 - as some libraries do
    assert len(limit._minutes) == 1001
    assert len(written(capsys)) == 1002
