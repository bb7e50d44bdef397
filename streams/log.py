"""The service's own log: one line an event, for people or for machines."""

import logging
import sys
from typing import Final

import structlog

from streams.log_limits import RateLimit
from streams.log_settings import LogSettings

# Faust's services log in the name of the modules that make or extend them. AWS's client writes down what it signs,
# session tokens among it.
LIBRARIES: Final = (
    *("aiokafka", "boto3", "botocore", "faust", "kafka", "mode", "streams.app", "streams.transport", "urllib3"),
)
"""Whose lines are written from warnings on, whatever the level."""


def configure(settings: LogSettings) -> RateLimit:
    """Send the log of Flowhawk and of the libraries below it to standard error; return what keeps lines back."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    limit = RateLimit(settings.burst)
    handler.addFilter(limit)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in LIBRARIES:
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return limit
