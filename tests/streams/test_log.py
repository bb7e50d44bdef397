import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.log import LIBRARIES, configure
from streams.log_settings import LogSettings


@pytest.fixture(autouse=True)
def _the_log_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    output, errors = capsys.readouterr()
    assert output == ""
    return errors.splitlines()


def test_json_lines_hold_level_time_logger_and_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    structlog.get_logger("here").info("running", flows="flows")
    (line,) = written(capsys)
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "running", "flows": "flows", "level": "info", "logger": "here"}


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings())
    structlog.get_logger("here").warning("a sink does not take findings", sink="siem")
    (line,) = written(capsys)
    assert "warning" in line
    assert "a sink does not take findings" in line
    assert line.endswith("sink=siem")
    assert "\x1b" not in line


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(level="warning", format="json"))
    log = structlog.get_logger("here")
    log.info("no")
    log.error("yes")
    assert [json.loads(line)["event"] for line in written(capsys)] == ["yes"]


def test_libraries_speak_in_the_same_form_but_only_when_something_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(level="debug", format="json"))
    logging.getLogger("faust.app").info("Starting...")
    logging.getLogger("aiokafka.conn").warning("closed by %s", "peer")
    logging.getLogger("other").debug("details")
    entries = [json.loads(line) for line in written(capsys)]
    assert [(each["logger"], each["event"]) for each in entries] == [
        ("aiokafka.conn", "closed by peer"),
        ("other", "details"),
    ]


def test_exceptions_stay_on_their_line_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    try:
        int("wrong")
    except ValueError:
        structlog.get_logger("here").exception("failed")
    (line,) = written(capsys)
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_configuring_twice_does_not_say_everything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    configure(LogSettings(format="json"))
    structlog.get_logger("here").info("once")
    assert len(written(capsys)) == 1


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
