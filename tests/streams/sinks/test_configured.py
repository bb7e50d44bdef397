import io
from pathlib import Path

import pytest
from rich.console import Console

import streams.sinks
from detectors.discovery import implementations
from streams.errors import SettingsError
from streams.metrics import Metrics
from streams.settings import Settings, load
from streams.sink_settings import configured_sinks
from streams.sinks import Delivery, Sink, Surroundings
from tests.streams.formats.golden import findings

EVERY = """
sinks:
  json_lines:
    path: {path}
    format: cef
    rotate_bytes: 2000
    kept: 1
  webhook:
    url: https://siem.example/first
  alertmanager:
    urls: [https://alerts.example]
  syslog:
    host: siem.example
  security_hub:
    account_id: "123456789010"
    region: eu-central-1
"""


def sinks(settings: Settings) -> list[Sink]:
    return configured_sinks(settings.sinks, Surroundings(Console(file=io.StringIO()), Metrics()))


@pytest.fixture
def every(tmp_path: Path) -> list[Sink]:
    path = tmp_path / "flowhawk.yaml"
    path.write_text(EVERY.format(path=tmp_path / "findings.cef"))
    return sinks(load(path))


async def test_every_sink_there_is_can_be_asked_for(every: list[Sink]) -> None:
    kinds = implementations(streams.sinks, Sink)  # type: ignore[type-abstract]  # mypy issue 4717
    assert {type(each) for each in every} == set(kinds)
    for each in every:
        await each.close()


async def test_the_file_is_written_as_the_settings_say(every: list[Sink], tmp_path: Path) -> None:
    (file,) = (each for each in every if each.name == "json_lines")
    for finding in findings():
        assert await file.deliver([finding]) is Delivery.DELIVERED
    for each in every:
        await each.close()
    held = [(tmp_path / name).read_bytes() for name in ("findings.cef", "findings.cef.1")]
    assert all(len(text) <= 2000 and text.startswith(b"CEF:0|") for text in held)
    assert not (tmp_path / "findings.cef.2").exists()


async def test_without_settings_there_is_the_terminal_alone() -> None:
    assert [each.name for each in sinks(Settings())] == ["terminal"]


def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text("sinks: {webhook: {url: 'https://siem.example', signing_key_file: missing}}")
    with pytest.raises(SettingsError, match="missing cannot be read"):
        sinks(load(path))
