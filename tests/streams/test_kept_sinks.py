from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streams.errors import FlowhawkError
from streams.kept_sinks import KeptSinks, SinkChange
from streams.metrics import Metrics
from streams.settings import load
from streams.sinks import Surroundings
from streams.sinks.json_lines import JsonLines

WEBHOOK = {"url": "https://hooks.example.org"}


def sections(**several: Any) -> Any:
    return load(overrides={"sinks": {"terminal": None, **several}}).sinks


def kept(**several: Any) -> KeptSinks:
    return KeptSinks(sections(**several), Surroundings(Console(quiet=True), Metrics()))


async def shown(change: SinkChange) -> tuple[list[str], list[str]]:
    for sink in change.begins:
        await sink.close()
    return sorted(change.ends), [sink.name for sink in change.begins]


async def test_a_sink_whose_settings_are_the_same_goes_on() -> None:
    before = kept(webhook=WEBHOOK)
    change = await before.change(sections(webhook=WEBHOOK))
    assert (change, change.names) == (SinkChange(), [])


async def test_sinks_end_begin_and_are_made_anew(tmp_path: Path) -> None:
    running = kept(webhook=WEBHOOK, syslog={"host": "collector.example.org"})
    change = await running.change(sections(webhook={**WEBHOOK, "batch": 7}, json_lines={"path": tmp_path / "a"}))
    assert change.names == ["json_lines", "syslog", "webhook"]
    assert await shown(change) == (["syslog", "webhook"], ["json_lines", "webhook"])
    again = await running.change(sections(webhook={**WEBHOOK, "batch": 7}, json_lines={"path": tmp_path / "a"}))
    assert again == SinkChange()
    assert await shown(await running.change(sections())) == (["json_lines", "webhook"], [])


async def test_a_new_secret_in_the_same_file_is_a_change(tmp_path: Path) -> None:
    key = tmp_path / "key"
    section = {**WEBHOOK, "signing_key_file": key}
    key.write_text("old")
    running = kept(webhook=section)
    key.write_text("new")
    assert await shown(await running.change(sections(webhook=section))) == (["webhook"], ["webhook"])
    assert await running.change(sections(webhook=section)) == SinkChange()


async def test_where_one_cannot_be_made_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[JsonLines] = []
    monkeypatch.setattr(JsonLines, "close", lambda sink: _noted(closed, sink))
    running = kept(webhook=WEBHOOK)
    wanted = {"json_lines": {"path": tmp_path / "a"}, "webhook": {**WEBHOOK, "signing_key_file": tmp_path / "none"}}
    with pytest.raises(FlowhawkError, match="none cannot be read: No such file"):
        await running.change(sections(**wanted))
    assert [sink.path for sink in closed] == [tmp_path / "a"]
    closed[0]._file.close()
    assert await running.change(sections(webhook=WEBHOOK)) == SinkChange()


async def _noted(closed: list[JsonLines], sink: JsonLines) -> None:
    closed.append(sink)
