import io
from pathlib import Path

import pytest
from rich.console import Console

from streams.explained import show
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.test_explain import MINUTES, explained, findings


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "flows.log"
    path.write_text("\n".join([*scan(ports=9), *scan(ports=45, end=NINE + 90), flow(end=NINE + 7200), *MINUTES]))
    return path


def shown(path: Path, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(explained(findings(path)[0].id, path), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_person_reads_why_line_by_line(log: Path, width: int) -> None:
    text = shown(log, width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for expected in (
        "When, 2026-01-05 UTC",
        "09:00 9 15 - ████░░░░ 60%",
        "09:01 45 15 - ████████ x3.0 anchor",
        "09:02 - 09:06 45 15 - ████████ x3.0",
        "09:07 - 09:11 nothing near",
    ):
        assert [line for line in lines if line.startswith(expected)], text
    assert "ports 15 distinct ports (default); threshold" in lines
    assert max(map(len, text.splitlines())) <= width


def test_what_to_do_stands_at_the_end(log: Path) -> None:
    _, _, end = shown(log, 80).partition("What to do\n")
    assert end.split()[:4] == ["Find", "out", "who", "runs"]
