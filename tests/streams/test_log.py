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
