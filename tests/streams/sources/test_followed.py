import gzip
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block, Position, source_at
from streams.sources.followed import FollowedSource
from tests.streams.flow_lines import NINE, flow
from tests.streams.programs import every

HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol"


def lines(first: int, count: int) -> str:
    return "".join(f"{flow(port=number, end=NINE + number)}\n" for number in range(first, first + count))


class Follower:
    """A source that is read in a thread of its own."""

    def __init__(self, place: str, positions: dict[str, Position] | None = None) -> None:
        source = source_at(place)
        assert isinstance(source, FollowedSource)
        self.source = source
        self.blocks: list[Block] = []
        self.problems: list[InputError] = []
        source.on_problem = self.problems.append
        source.cut_into(BlockSettings(ms=20))
        source.resume(positions or {})
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        for block in self.source.blocks():
            self.blocks.append(block)

    @property
    def ports(self) -> list[int]:
        return [int(line.split()[6]) for block in list(self.blocks) for line in block.value.decode().split("\n")]

    @property
    def positions(self) -> dict[str, Position]:
        return {block.origin: Position(block.position) for block in self.blocks}

    def until(self, *ports: int) -> None:
        for _ in every(0.02, seconds=60):
            if len(self.ports) >= len(ports):
                break
        assert sorted(self.ports) == sorted(ports)


@contextmanager
def following(pattern: Path, query: str = "", positions: dict[str, Position] | None = None) -> Iterator[Follower]:
    follower = Follower(f"follow://{pattern}?poll_ms=10&quiet_seconds=0.3{query}", positions)
    try:
        yield follower
    finally:
        follower.source.stop()
        follower.thread.join(60)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_what_is_added_comes_line_by_line_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 3))
    with following(path) as follower:
        follower.until(0, 1, 2)
        whole = lines(3, 2)
        append(path, whole[:-20])
        follower.until(0, 1, 2, 3)
        append(path, whole[-20:])
        follower.until(0, 1, 2, 3, 4)
    assert [block.line for block in follower.blocks] == [1, 4, 5]


@pytest.mark.parametrize("pattern", ["*.log", "", "a.log"])
def test_a_file_that_is_renamed_and_made_anew_loses_and_repeats_nothing(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 3))
    with following(tmp_path / pattern) as follower:
        follower.until(0, 1, 2)
        append(path, lines(3, 2))
        path.rename(tmp_path / "a.log.1")
        path.write_text(lines(10, 2))
        append(tmp_path / "a.log.1", lines(5, 1))
        follower.until(0, 1, 2, 3, 4, 5, 10, 11)


def test_the_last_line_of_a_file_that_was_moved_away_needs_no_line_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 2).removesuffix("\n"))
    with following(tmp_path / "*.log") as follower:
        follower.until(0)
        path.unlink()
        follower.until(0, 1)


def test_a_file_that_is_copied_and_cut_short_loses_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 3))
    with following(tmp_path / "a.log*") as follower:
        follower.until(0, 1, 2)
        append(path, lines(3, 2))
        shutil.copy(path, tmp_path / "a.log.1")
        os.truncate(path, 0)
        append(path, lines(10, 9))
        follower.until(0, 1, 2, 3, 4, *range(10, 19))


def test_new_files_are_found_also_compressed_ones_and_one_that_was_compressed_is_known(tmp_path: Path) -> None:
    first = tmp_path / "a.log"
    first.write_text(lines(0, 3))
    with following(tmp_path) as follower:
        follower.until(0, 1, 2)
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "b.log").write_text(lines(3, 2))
        (tmp_path / "c.log.gz").write_bytes(gzip.compress(lines(5, 2).encode()))
        (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(lines(0, 3).encode()))
        first.unlink()
        follower.until(*range(7))
        append(tmp_path / "below" / "b.log", lines(7, 1))
        follower.until(*range(8))


@pytest.mark.parametrize("rotated", [False, True])
def test_it_goes_on_where_it_was_whatever_the_file_is_called_by_now(tmp_path: Path, rotated: bool) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{HEADER}\n{lines(0, 3)}")
    with following(path) as follower:
        for _ in every(0.02, seconds=60):
            if len(follower.blocks) and follower.blocks[-1].position == path.stat().st_size:
                break
    append(path, lines(3, 2))
    if rotated:
        path.rename(tmp_path / "a.log.1")
        path.write_text(lines(10, 2))
    with following(path, positions=follower.positions) as again:
        again.until(3, 4, *([10, 11] if rotated else []))
    assert again.blocks[0].line == 5
    assert again.blocks[0].headers[FORMAT_HEADER] == HEADER.encode()


def test_files_that_are_there_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 3))
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(lines(20, 2).encode()))
    with following(tmp_path, "&from=end") as follower:
        for _ in every(0.01, seconds=60):
            if follower.source.waits:
                break
        append(path, lines(3, 1))
        follower.until(3)


def test_a_backlog_comes_in_the_order_of_its_time(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(lines(300, 200))
    (tmp_path / "b.log").write_text(lines(0, 300))
    with following(tmp_path) as follower:
        follower.until(*range(500))
    assert follower.ports == list(range(500))


def test_what_is_damaged_is_named_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "bad.gz").write_bytes(gzip.compress(lines(0, 3000).encode())[:-2000])
    with following(tmp_path) as follower:
        for _ in every(0.02, seconds=60):
            if follower.problems:
                break
        (tmp_path / "a.log").write_text(lines(5000, 1))
        for _ in every(0.02, seconds=60):
            if 5000 in follower.ports:
                break
    (problem,) = follower.problems
    assert str(problem).startswith(f"{tmp_path}/bad.gz: stops being readable after ")
    assert 5000 in follower.ports


def test_a_file_that_is_gone_for_long_needs_to_be_remembered_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(0, 1))
    with following(tmp_path, "&remember_seconds=0") as follower:
        follower.until(0)
        path.unlink()
        forgotten: list[str] = []
        for _ in every(0.02, seconds=60):
            forgotten += follower.source.forget()
            if forgotten:
                break
    assert forgotten == [follower.blocks[0].origin]


def test_no_name_is_a_mistake() -> None:
    with pytest.raises(InputError, match=r"^follow://: names no file"):
        source_at("follow://")
