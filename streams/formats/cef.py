"""Findings in the Common Event Format of ArcSight, version 0."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

from detectors.finding import Direction, Finding, Severity
from streams.formats import facts
from streams.formats.contract import Format

SEVERITIES: Final[Mapping[Severity, int]] = {"low": 3, "medium": 6, "high": 8, "critical": 10}
"""In the middle of what CEF calls low (0 to 3), medium (4 to 6), high (7 and 8) and very high (9 and 10), or above."""

_DIRECTIONS: Final[Mapping[Direction, int | None]] = {"inbound": 0, "outbound": 1, "internal": None}

_HEADER: Final = str.maketrans({"\\": r"\\", "|": r"\|", "\n": " ", "\r": " "})
"""A header has no way to hold the end of a line."""

_EXTENSION: Final = str.maketrans({"\\": r"\\", "=": r"\=", "\n": r"\n", "\r": r"\r"})


class Cef(Format):
    """Common Event Format."""

    name: ClassVar[str] = "cef"
    content_type: ClassVar[str] = "text/plain; charset=utf-8"

    def written(self, finding: Finding) -> bytes:
        """Write the line."""
        header = (
            *("CEF:0", facts.PRODUCT, facts.PRODUCT, facts.product_version()),
            *(finding.kind, facts.title(finding.kind), str(SEVERITIES[finding.severity])),
        )
        extension = " ".join(f"{key}={value.translate(_EXTENSION)}" for key, value in _extension(finding))
        return "|".join([*(each.translate(_HEADER) for each in header), extension]).encode()

    def together(self, findings: Sequence[Finding]) -> bytes:
        """Write lines."""
        return b"".join(self.written(finding) + b"\n" for finding in findings)


def _extension(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield keys and values; numbers of times are milliseconds."""
    yield "externalId", finding.id
    yield "rt", str(facts.changed(finding) * 1000)
    yield "start", str(finding.first_seen * 1000)
    yield "end", str(finding.last_seen * 1000)
    yield "cat", finding.kind
    yield "act", finding.status
    yield "msg", finding.summary
    yield from _ends(finding)
    if finding.protocol is not None:
        yield "proto", facts.PROTOCOLS.get(finding.protocol, str(finding.protocol)).upper()
    if (direction := _DIRECTIONS[finding.direction]) is not None:
        yield "deviceDirection", str(direction)
    if finding.interface_id is not None:
        yield "deviceExternalId", finding.interface_id
    yield from _labelled(finding)


def _ends(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield both ends: CEF has keys of its own for IPv4, and labelled ones for IPv6."""
    for address, key, key_6, label in (
        (finding.source, "src", "c6a2", "Source IPv6 Address"),
        (finding.target, "dst", "c6a3", "Destination IPv6 Address"),
    ):
        if address is None:
            continue
        if facts.is_version_6(address):
            yield key_6, address
            yield f"{key_6}Label", label
        else:
            yield key, address
    if len(finding.ports) == 1:
        yield "dpt", str(finding.ports[0])


def _labelled(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield what has no key of its own, each beside its name."""
    values = {
        "cfp1": ("score", finding.score),
        "cfp2": ("value", finding.value),
        "cfp3": ("threshold", finding.threshold),
        "cfp4": ("baseline", finding.baseline),
    }
    texts = {
        "cs1": ("entity", finding.entity),
        "cs2": ("scope", finding.scope),
        "cs3": ("ports", ",".join(map(str, finding.ports)) if len(finding.ports) > 1 else ""),
        "cs4": ("mitre", ",".join(finding.mitre)),
        "cs5": ("direction", finding.direction),
        "cs6": ("account", finding.account_id or ""),
    }
    for key, (label, value) in values.items():
        if value is not None:
            yield key, facts.plain(value)
            yield f"{key}Label", label
    for key, (label, text) in texts.items():
        if text:
            yield key, text
            yield f"{key}Label", label
    for key, label, flag in (("cn1", "provisional", finding.provisional), ("cn2", "updates", finding.updates)):
        yield key, str(int(flag))
        yield f"{key}Label", label
