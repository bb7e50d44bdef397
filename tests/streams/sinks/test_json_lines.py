import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detectors.finding import Finding
from streams.errors import ServiceError
from streams.formats import formats
from streams.sinks import Delivery
from streams.sinks.json_lines import JsonLines, JsonLinesSettings
from tests.streams.found import findings
from tests.streams.sinks.ends import End


class File(End):
    """A file."""

    def __init__(self, path: Path) -> None:
        super().__init__(JsonLinesSettings(path=path))
        self._path = path

    async def heard(self) -> str:
        return "\n".join(json.loads(line)["kind"] + line for line in self._path.read_text().split("\n") if line)


@asynccontextmanager
async def other_end(folder: Path) -> AsyncIterator[End]:
    yield File(folder / "findings.jsonl")


async def test_every_state_is_a_line_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "findings.jsonl"
    sink = JsonLines(path)
    assert await sink.deliver(findings(2)) is Delivery.DELIVERED
    lines = path.read_text().splitlines()
    assert [Finding.model_validate_json(line) for line in lines] == findings(2)
    assert all(json.loads(line)["schema_version"] == 1 for line in lines)
    await sink.close()


async def test_a_file_that_is_there_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    for _ in range(2):
        sink = JsonLines(path)
        await sink.deliver(findings())
        await sink.close()
    assert len(path.read_text().splitlines()) == 4


def test_a_place_that_cannot_be_written_is_one_line_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError) as caught:
        JsonLines(tmp_path / "file" / "findings.jsonl")
    assert str(caught.value) == (
        f"{tmp_path}/file/findings.jsonl: findings cannot be written there (File exists); set sinks.json_lines.path"
    )
    with pytest.raises(ServiceError, match="Is a directory"):
        JsonLines(tmp_path)


async def test_a_full_disk_asks_for_another_try() -> None:
    sink = JsonLines(Path("/dev/full"))
    assert await sink.deliver(findings()) is Delivery.RETRY
    await sink.close()


async def test_lines_may_have_another_format(tmp_path: Path) -> None:
    path = tmp_path / "findings.cef"
    sink = JsonLines(path, formats()["cef"])
    await sink.deliver(findings())
    assert [line.partition("|")[0] for line in path.read_text().splitlines()] == ["CEF:0", "CEF:0"]
    await sink.close()


async def test_a_full_file_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    sink = JsonLines(path, rotate_bytes=1, kept=2, sync=True)
    for each in findings(2):
        await sink.deliver([each])
    await sink.close()
    held = [Finding.model_validate_json(path.with_name(name).read_text()) for name in NAMES]
    assert held == findings(2)[:-4:-1]
    assert not path.with_name("findings.jsonl.3").exists()


NAMES = ("findings.jsonl", "findings.jsonl.1", "findings.jsonl.2")
