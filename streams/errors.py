"""The errors people see.

    FlowhawkError
    ├── SettingsError       a setting is unknown, or its value makes no sense
    ├── InputError          something to read is not there, or not readable
    ├── KafkaUnavailable    the broker, or a topic on it, cannot be used
    └── ServiceError        the service itself cannot go on

The text of each says what was wrong, where, and what to do. Commands print it as one line.
"""

from collections.abc import Iterable
from difflib import get_close_matches
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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to an unknown one, or which there are where none is near.

    >>> did_you_mean("prots", ["ports", "seconds"]), did_you_mean("x", ["b", "a"])
    ("; did you mean 'ports'?", '; known: a, b')
    """
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(names))}"
