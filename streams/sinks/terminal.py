"""Findings as lines on a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from detectors.finding import Finding, Severity
from streams.sinks.contract import Delivery, Sink

_STYLES: dict[Severity, str] = {"low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}


def line(finding: Finding) -> Text:
    """Write a finding as one line: when, how bad, what, and who did it to whom."""
    when = datetime.fromtimestamp(finding.first_seen, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return Text.assemble(
        (when, "dim"),
        "  ",
        (finding.severity.ljust(8), _STYLES[finding.severity]),
        "  ",
        (finding.kind.ljust(18), "bold"),
        "  ",
        finding.summary,
    )


class Terminal(Sink):
    """Prints each finding once, when it is first heard of."""

    name = "terminal"

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Print the findings not printed before; hopeless once nobody reads them any more."""
        try:
            for finding in findings:
                if finding.id not in self._printed and finding.status == "open":
                    self._printed.add(finding.id)
                    self._console.print(line(finding), soft_wrap=True)
        except (OSError, SystemExit):
            # Rich would end the program when the reader of a pipe leaves; the other sinks are still there.
            return Delivery.HOPELESS
        return Delivery.DELIVERED
