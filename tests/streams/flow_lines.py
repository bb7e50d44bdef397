"""Flow log lines in AWS's default format, one field at a time."""

from collections.abc import Sequence
from typing import Final

NINE: Final = 1_767_603_600
"""2026-01-05 09:00 UTC, the begin of a pane."""


def flow(
    source: str = "10.0.0.5",
    destination: str = "198.51.100.7",
    *,
    port: int = 443,
    action: str = "ACCEPT",
    end: int = NINE + 30,
    size: int = 840,
) -> str:
    """Write a TCP flow that took ten seconds."""
    return f"2 123456789012 eni-0a1b2c3d {source} {destination} 40000 {port} 6 10 {size} {end - 10} {end} {action} OK"


def scan(source: str = "203.0.113.9", target: str = "10.0.0.5", *, ports: int = 20, end: int = NINE + 30) -> list[str]:
    """Write the refused attempts of one vertical scan, all within a pane."""
    return [flow(source, target, port=1000 + port, action="REJECT", end=end) for port in range(ports)]


def block(lines: Sequence[str]) -> bytes:
    """Put lines into the value of a message."""
    return "\n".join(lines).encode()
