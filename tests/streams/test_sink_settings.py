from pathlib import Path

import pytest
import yaml
from rich.console import Console

from streams.errors import SettingsError
from streams.metrics import Metrics
from streams.settings import load
from streams.sink_settings import configured_sinks, sinks
from streams.sinks import Surroundings
from streams.sinks.json_lines import JsonLinesSettings
from streams.sinks.terminal import TerminalSettings


def file(folder: Path, text: str) -> Path:
    path = folder / "flowhawk.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_only_the_terminal_is_on_by_default() -> None:
    settings = load().sinks
    assert {name for name in sinks() if getattr(settings, name) is not None} == {"terminal"}


@pytest.mark.parametrize(("text", "on"), [("true", True), ("{}", True), ("false", False), ("null", False)], ids=str)
def test_a_section_is_a_switch_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, on: bool) -> None:
    expected = TerminalSettings() if on else None
    assert getattr(load(file(tmp_path, f"sinks: {{terminal: {text}}}")).sinks, "terminal") == expected  # noqa: B009 - found, not written
    monkeypatch.setenv("FLOWHAWK__SINKS__TERMINAL", text)
    assert getattr(load().sinks, "terminal") == expected  # noqa: B009 - found, not written


def test_a_section_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWHAWK__SINKS__JSON_LINES__PATH", str(tmp_path / "a"))
    assert getattr(load().sinks, "json_lines") == JsonLinesSettings(path=tmp_path / "a")  # noqa: B009 - found, not written


async def test_the_path_of_the_file_has_a_short_form(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    short = load(file(tmp_path, yaml.safe_dump({"sinks": {"json_lines_path": str(path), "terminal": False}})))
    (sink,) = configured_sinks(short.sinks, Surroundings(Console(quiet=True), Metrics()))
    assert sink.name == "json_lines"
    await sink.close()
    assert path.is_file()
    both = {"sinks": {"json_lines_path": "a", "json_lines": {"path": "b"}}}
    with pytest.raises(SettingsError, match=r"give json_lines\.path or json_lines_path, not both"):
        load(file(tmp_path, yaml.safe_dump(both)))


def test_mistakes_inside_a_section_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"sinks\.json_lines\.pth is no setting; did you mean 'path'\?"):
        load(file(tmp_path, "sinks: {json_lines: {path: a, pth: b}}"))
    with pytest.raises(SettingsError, match=r"sinks\.json_line is no setting; did you mean 'json_lines'\?"):
        load(file(tmp_path, "sinks: {json_line: {path: a}}"))
