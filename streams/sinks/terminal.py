"""Findings as lines on a terminal."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.text import Text

from detectors.finding import Finding, Severity
from streams.sinks.contract import Delivery, Sink, Surroundings

STYLES: dict[Severity, str] = {"low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}

_REMEMBERED: Final = 100_000
"""Findings that are kept from being printed twice; of older ones a late word may come again."""


def line(finding: Finding) -> Text:
    """Write a finding as one line: when, how bad, what, and who did it to whom."""
    when = datetime.fromtimestamp(finding.first_seen, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return Text.assemble(
        (when, "dim"),
        "  ",
        (finding.severity.ljust(8), STYLES[finding.severity]),
        "  ",
        (finding.kind.ljust(18), "bold"),
        "  ",
        finding.summary,
        *_certainty(finding),
    )


def _certainty(finding: Finding) -> list[tuple[str, str]]:
    """Say what may be, or was, untrue about a finding."""
    if finding.status == "retracted":
        return [("  retracted: it was answered after all", "green")]
    return [("  early, not certain yet", "dim")] if finding.provisional else []


class TerminalSettings(BaseModel):
    """Each finding is printed as a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Terminal(Sink):
    """Prints each finding once, when it is first heard of, and once more if it is retracted."""

    name = "terminal"
    settings = TerminalSettings
    default = TerminalSettings()
    skipped_checks: ClassVar[Mapping[str, str]] = {
        "who_fails_for_a_while_is_told_later": "whoever left a terminal does not come back"
    }

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: OrderedDict[str, None] = OrderedDict()

    @classmethod
    def make(cls, settings: TerminalSettings, surroundings: Surroundings) -> Self:
        """Print on the console of the process."""
        del settings
        return cls(surroundings.console)

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Print the findings not printed before; hopeless once nobody reads them any more."""
        try:
            for finding in findings:
                if (finding.id in self._printed) == (finding.status == "retracted"):
                    self._print(finding)
        except (OSError, SystemExit):
            # Rich would end the program when the reader of a pipe leaves; the other sinks are still there.
            return Delivery.HOPELESS
        return Delivery.DELIVERED

    def _print(self, finding: Finding) -> None:
        if finding.status == "open":
            self._printed[finding.id] = None
        elif finding.status == "retracted":
            del self._printed[finding.id]
        else:
            return
        if len(self._printed) > _REMEMBERED:
            self._printed.popitem(last=False)
        self._console.print(line(finding), soft_wrap=True)
