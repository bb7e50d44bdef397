"""What was written to the log, and the log as it was before."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.log import LIBRARIES


def put_back() -> Iterator[None]:
    """Let a test configure the log, and undo that."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard error since the last time."""
    output, errors = capsys.readouterr()
    assert output == ""
    return errors.splitlines()
