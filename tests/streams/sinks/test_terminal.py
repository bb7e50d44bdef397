import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from detectors.finding import SEVERITIES
from streams.metrics import Metrics
from streams.sinks import Delivery, Surroundings
from streams.sinks.terminal import Terminal, TerminalSettings, line
from tests.streams.found import findings
from tests.streams.sinks.ends import End


class Screen(End):
    """Somebody who reads, and may leave."""

    def __init__(self) -> None:
        self._file = _File()
        super().__init__(TerminalSettings(), Surroundings(Console(file=self._file, width=500), Metrics()))

    async def heard(self) -> str:
        return self._file.getvalue()

    async def refuse(self) -> None:
        self._file.gone = True


class _File(io.StringIO):
    gone = False

    def write(self, text: Any) -> int:
        if self.gone:
            raise BrokenPipeError
        return super().write(text)


@asynccontextmanager
async def other_end(folder: Path) -> AsyncIterator[End]:
    del folder
    yield Screen()


def plain(width: int = 200) -> Console:
    return Console(file=io.StringIO(), width=width)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


async def test_each_finding_is_one_line_the_first_time_it_is_heard_of() -> None:
    console = plain(width=40)
    sink = Terminal(console)
    for _ in range(2):
        assert await sink.deliver(findings(2)) is Delivery.DELIVERED
    lines = sorted(printed(console))
    begin = "2026-01-05 09:00:20Z  medium    vertical_scan       "
    assert [line.partition(" in vain")[0] for line in lines] == [
        f"{begin}203.0.113.10 tried 20 ports of 10.0.1.2",
        f"{begin}203.0.113.9 tried 20 ports of 10.0.1.1",
    ]


async def test_what_is_over_when_it_is_first_heard_of_is_not_news() -> None:
    console = plain()
    await Terminal(console).deliver([each for each in findings() if each.status == "closed"])
    assert printed(console) == []


def test_every_severity_has_a_look_of_its_own() -> None:
    (finding, _) = findings()
    styles = set()
    for severity in SEVERITIES:
        text = line(finding.model_copy(update={"severity": severity}))
        (span,) = [each for each in text.spans if text.plain[each.start : each.end].strip() == severity]
        styles.add(span.style)
    assert len(styles) == len(SEVERITIES)


async def test_words_of_records_are_never_taken_for_markup() -> None:
    console = plain()
    (finding, _) = findings()
    await Terminal(console).deliver([finding.model_copy(update={"summary": "[bold]10.0.0.1[/bold] [/nonsense]"})])
    assert printed(console)[0].endswith("[bold]10.0.0.1[/bold] [/nonsense]")
