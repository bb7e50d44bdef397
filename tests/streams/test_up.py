import asyncio
import gzip
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from streams.errors import InputError
from streams.http_settings import HttpSettings
from streams.settings import Settings
from streams.sources import Source
from streams.sources.files import FileSource
from streams.up import Summary, Up, raise_failures, show
from tests.streams.flow_lines import NINE, flow, scan

REPEATED_LINES = 50_000
REPETITIONS = 60
PATIENCE_SECONDS = 180


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def text(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def run(sources: Sequence[Source], folder: Path) -> tuple[Summary, str, str]:
    """Run sources through everything; return the summary, and what was shown as findings and as messages."""
    output, messages = console(), console()
    settings = Settings(http=HttpSettings(port=0))
    up = Up(settings, sources, folder / "findings.jsonl", output, messages)
    summary = asyncio.run(asyncio.wait_for(up.run(), PATIENCE_SECONDS))
    return summary, text(output), text(messages)


def test_three_million_records_go_in_and_come_out_whole(tmp_path: Path) -> None:
    lines = (
        flow(f"10.0.0.{number % 20}", f"198.51.100.{number % 7}", end=NINE + number * 240 // REPEATED_LINES)
        for number in range(REPEATED_LINES)
    )
    path = tmp_path / "flows.log.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 1) * REPETITIONS)

    summary, _, messages = run([FileSource(str(path))], tmp_path)

    assert summary.published == summary.records == REPEATED_LINES * REPETITIONS == 3_000_000
    assert (summary.refused, summary.late, summary.failures) == (0, 0, [])
    assert summary.hosts == 27
    assert "3,000,000 in " in messages


def test_a_run_sums_up_what_was_read_found_and_refused(tmp_path: Path) -> None:
    first, second, broken = tmp_path / "first.log", tmp_path / "second.log", tmp_path / "broken.log.gz"
    first.write_text("\n".join([flow(end=NINE), "garbage", *scan(), flow(end=NINE + 7200)]))
    second.write_text("\n".join([*scan("203.0.113.77", end=NINE + 3600), "nonsense"]))
    broken.write_bytes(b"\x1f\x8b\x08\x00 and no more of it")

    summary, output, messages = run([FileSource(str(each)) for each in (first, second, broken)], tmp_path)

    assert (summary.published, summary.records, summary.refused, summary.late) == (44, 42, 2, 0)
    assert summary.findings == Counter(vertical_scan=2)
    assert sorted(line.split()[3:5] for line in output.splitlines()) == [
        ["vertical_scan", "203.0.113.77"],
        ["vertical_scan", "203.0.113.9"],
    ]
    states = [json.loads(line) for line in (tmp_path / "findings.jsonl").read_text().splitlines()]
    assert Counter(state["status"] for state in states) == {"open": 2, "closed": 2}
    assert not summary.interrupted
    assert summary.metrics.startswith("http://127.0.0.1:")
    for part in ("42 in ", "2 refused", "2: 2 vertical_scan", summary.metrics, str(tmp_path / "findings.jsonl")):
        assert part in messages
    with pytest.raises(InputError, match=r"broken\.log\.gz: stops being readable"):
        raise_failures(summary)


def test_the_summary_names_only_what_there_was() -> None:
    shown = console()
    show(Summary(records=10, seconds=2, metrics="http://127.0.0.1:1/metrics", json_lines=Path("a.jsonl")), shown)
    assert [line.rstrip() for line in text(shown).splitlines()] == [
        "",
        "records     10 in 2.0 s, 5 a second",
        "hosts       0",
        "findings    none",
        "metrics     http://127.0.0.1:1/metrics",
        "written to  a.jsonl",
    ]


def test_the_summary_says_what_was_lost_and_whether_it_is_all() -> None:
    shown = console()
    summary = Summary(records=5, refused=1200, late=3, findings=Counter(b=2, a=1), interrupted=True)
    show(summary, shown)
    assert "interrupted: what was not read by then is not counted" in text(shown)
    assert "; 1,200 refused; 3 too late" in text(shown)
    assert "3: 1 a, 2 b" in text(shown)


def test_a_run_without_failures_raises_none() -> None:
    raise_failures(Summary())
