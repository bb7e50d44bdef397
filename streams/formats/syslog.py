r"""Messages of syslog (RFC 5424), and how they are told apart on a connection (RFC 6587, RFC 5425).

The text of a message is UTF-8 without a byte order mark: the RFC allows that, and readers of
JSON and CEF stumble over the mark.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from detectors.finding import Finding, Severity
from streams.formats import facts

SEVERITIES: Final[Mapping[Severity, int]] = {"low": 5, "medium": 4, "high": 3, "critical": 2}
"""Notice, warning, error, critical. What is worse is for a system that cannot be used any more."""

FACILITIES: Final[Mapping[str, int]] = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    **{f"local{number}": 16 + number for number in range(8)},
}

EXAMPLE_ENTERPRISE: Final = 32473
"""The enterprise number that IANA keeps for examples (RFC 5612)."""

_NOTHING: Final = "-"
_VALUE: Final = str.maketrans({"\\": r"\\", '"': r"\"", "]": r"\]"})


@dataclass(frozen=True, slots=True)
class Header:
    """What is the same in every message of a sender.

    Attributes
    ----------
    hostname
        Who sends.
    facility
        A key of `FACILITIES`.
    enterprise
        Private enterprise number of the structured data.
    """

    hostname: str
    facility: str = "local0"
    enterprise: int = EXAMPLE_ENTERPRISE


def message(finding: Finding, text: bytes, header: Header) -> bytes:
    """Write a message.

    Parameters
    ----------
    finding
        What it tells of; its identity goes into the structured data.
    text
        The finding in some format.
    header
        Who sends it.
    """
    priority = FACILITIES[header.facility] * 8 + SEVERITIES[finding.severity]
    when = datetime.fromtimestamp(facts.changed(finding), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = (_name(header.hostname, 255), "flowhawk", _NOTHING, _name(finding.kind, 32))
    data = "".join(f' {name}="{value.translate(_VALUE)}"' for name, value in _parameters(finding))
    return f"<{priority}>1 {when} {' '.join(names)} [flowhawk@{header.enterprise}{data}] ".encode() + text


def counted(text: bytes) -> bytes:
    """Put its length before a message, so that whoever reads a connection knows where it ends.

    >>> counted(b"<134>1 ...")
    b'10 <134>1 ...'
    """
    return b"%d %b" % (len(text), text)


def _name(text: str, limit: int) -> str:
    """Leave of a text what a header may hold: printable ASCII without spaces."""
    return re.sub(r"[^!-~]", "_", text)[:limit] or _NOTHING


def _parameters(finding: Finding) -> Iterator[tuple[str, str]]:
    values = {
        "id": finding.id,
        "kind": finding.kind,
        "severity": finding.severity,
        "status": finding.status,
        "provisional": "true" if finding.provisional else "false",
        "entity": finding.entity,
        "source": finding.source,
        "target": finding.target,
        "direction": finding.direction,
        "scope": finding.scope or None,
        "account": finding.account_id,
        "vpc": finding.vpc_id,
        "score": facts.plain(finding.score),
    }
    for name, value in values.items():
        if value is not None:
            yield name, value
