"""The errors people see.

    FlowhawkError
    ├── SettingsError       a setting is unknown, or its value makes no sense
    ├── InputError          something to read is not there, or not readable
    ├── KafkaUnavailable    the broker, or a topic on it, cannot be used
    └── ServiceError        the service itself cannot go on

The text of each says what was wrong, where, and what to do. Commands print it as one line.
"""

from typing import Final

FAILED: Final = 70
"""Exit status of a process that met what it cannot go on with (`EX_SOFTWARE` of sysexits.h)."""


class FlowhawkError(Exception):
    """Root of the errors that are shown as one line, without a traceback."""

    exit_code = 1


class SettingsError(FlowhawkError):
    """A setting is unknown, or its value makes no sense."""

    exit_code = 2


class InputError(FlowhawkError):
    """Something to read is not there, or not readable."""


class KafkaUnavailable(FlowhawkError):  # noqa: N818 - says what happened better than "KafkaUnavailableError"
    """The broker, or a topic on it, cannot be used."""


class ServiceError(FlowhawkError):
    """The service itself cannot go on."""
