import random
from pathlib import Path

import pytest

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records import RecordSettings
from streams.sources import Block, Source
from streams.sources.files import FileSource
from streams.sources.merged import MergedSource
from tests.streams.flow_lines import NINE, flow


def source(path: Path, *ends: int, block_bytes: int = 250) -> FileSource:
    """Store a file of one record for each time, two or three of them in a block."""
    path.write_text("".join(f"{flow(end=end)}\n" for end in ends))
    return FileSource(str(path), block_bytes=block_bytes)


def merged(*sources: Source) -> MergedSource:
    return MergedSource(sources, RecordSettings())


def ends(block: Block) -> list[int]:
    return [int(line.split()[11]) for line in block.value.split(b"\n")]


def test_what_ends_first_comes_next(tmp_path: Path) -> None:
    early = source(tmp_path / "early.log", *range(NINE, NINE + 3000, 60))
    late = source(tmp_path / "late.log", *range(NINE + 1500, NINE + 4500, 60))
    times = [time for block in merged(late, early).blocks() for time in ends(block)]
    assert sorted(times) == sorted([*range(NINE, NINE + 3000, 60), *range(NINE + 1500, NINE + 4500, 60)])
    furthest_back = max(max(times[:at], default=0) - time for at, time in enumerate(times))
    assert furthest_back <= 120


def test_files_named_in_the_wrong_order_come_in_the_right_one(tmp_path: Path) -> None:
    days = [
        source(tmp_path / f"{day}.log", *range(NINE + day * 86_400, NINE + day * 86_400 + 600, 60)) for day in (1, 0)
    ]
    times = [time for block in merged(*days).blocks() for time in ends(block)]
    assert times == sorted(times)


def test_each_source_keeps_its_own_order(tmp_path: Path) -> None:
    sources = [source(tmp_path / f"{name}.log", *range(NINE + name, NINE + 900, 30)) for name in range(3)]
    blocks = list(merged(*sources).blocks())
    for each in sources:
        lines = [block.line for block in blocks if block.origin == each.path]
        assert lines == sorted(lines)


def test_size_and_consumed_are_those_of_all(tmp_path: Path) -> None:
    sources = [source(tmp_path / f"{name}.log", NINE, NINE + 60) for name in "ab"]
    both = merged(*sources)
    assert (both.size, both.consumed) == (sum(each.size for each in sources), 0)
    list(both.blocks())
    assert both.consumed == both.size > 0


def test_the_source_of_a_block_is_told_that_kafka_has_it(tmp_path: Path) -> None:
    first = source(tmp_path / "a.log", NINE, NINE + 60)
    second = source(tmp_path / "b.log", *range(NINE, NINE + 600, 60))
    both = merged(first, second)
    for block in both.blocks():
        both.acknowledge(block)
    assert (first.acknowledged, second.acknowledged) == (first.size, second.size)


def test_a_single_source_is_passed_through(tmp_path: Path) -> None:
    only = source(tmp_path / "a.log", NINE)
    alone = merged(only)
    (block,) = alone.blocks()
    alone.acknowledge(block)
    assert only.acknowledged == only.size


def test_no_source_has_no_blocks() -> None:
    assert list(merged().blocks()) == []


def test_what_cannot_be_read_is_named_after_everything_else_was_read(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / f"{name}.gz").write_bytes(b"\x1f\x8b\x08\x00 broken")
    good = source(tmp_path / "good.log", *range(NINE, NINE + 600, 60))
    blocks = merged(FileSource(str(tmp_path / "x.gz")), good, FileSource(str(tmp_path / "y.gz"))).blocks()
    seen: list[Block] = []
    with pytest.raises(InputError) as caught:
        seen.extend(blocks)
    assert sum(block.lines for block in seen) == 10
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        f"{tmp_path}/x.gz",
        f"{tmp_path}/y.gz",
    ]


def test_lines_without_a_time_do_not_hold_up_the_others(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.log"
    garbage.write_text("no flow at all\n" * 50)
    good = source(tmp_path / "good.log", *range(NINE, NINE + 600, 60))
    blocks = list(merged(good, FileSource(str(garbage), block_bytes=100)).blocks())
    assert sum(block.lines for block in blocks) == 60


def test_the_time_of_a_block_is_known_although_its_last_line_is_none(tmp_path: Path) -> None:
    earlier, later = tmp_path / "earlier.log", tmp_path / "later.log"
    later.write_text(f"{flow(end=NINE + 600)}\ngarbage\n")
    earlier.write_text(f"{flow(end=NINE)}\n{'x ' * 11}9999999999 x x\n2 - eni-1 - - - - - - - 1 99x - NODATA\n")
    origins = [block.origin for block in merged(FileSource(str(later)), FileSource(str(earlier))).blocks()]
    assert origins == [str(earlier), str(later)]


def test_a_format_of_its_own_tells_where_the_time_stands(tmp_path: Path) -> None:
    paths = []
    for name, end in (("later", NINE + 600), ("earlier", NINE)):
        paths.append(tmp_path / name)
        fields = "10.0.0.1 10.0.0.2 1 2 6 1 40 ACCEPT OK"
        header = "end start srcaddr dstaddr srcport dstport protocol packets bytes action log-status"
        paths[-1].write_text(f"{header}\n{end} {end} {fields}\n")
    blocks = merged(*(FileSource(str(path)) for path in paths)).blocks()
    assert [Path(block.origin).name for block in blocks] == ["earlier", "later"]


def test_it_is_opened_by_no_place() -> None:
    assert not MergedSource.takes("a.log")
    with pytest.raises(InputError, match="name the sources one by one"):
        MergedSource.at("a.log b.log")


def test_many_files_are_opened_only_when_their_time_has_come(tmp_path: Path) -> None:
    count = 300
    files = [
        source(tmp_path / f"{day}.log", *range(NINE + day * 86_400, NINE + day * 86_400 + 600, 60))
        for day in range(count)
    ]
    random.Random(1).shuffle(files)  # noqa: S311 - the same order every time
    times = []
    opened = 0
    for block in merged(*files).blocks():
        times += ends(block)
        opened = max(opened, len(list(Path("/proc/self/fd").iterdir())))
    assert times == sorted(times)
    assert len(times) == count * 10
    assert opened < count


def test_where_many_files_are_of_the_same_time_their_blocks_are_smaller(tmp_path: Path) -> None:
    several = [source(tmp_path / f"{number}.log", *range(NINE, NINE + 600)) for number in range(100)]
    together = merged(*several)
    together.cut_into(BlockSettings())
    blocks = list(together.blocks())
    assert sum(block.lines for block in blocks) == 60_000
    assert max(len(block.value) for block in blocks) < BlockSettings().bytes / 2


def test_of_many_files_what_cannot_be_read_is_named_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    files = [source(tmp_path / f"{number}.log", NINE + number) for number in range(40)]
    (tmp_path / "empty.log").touch()
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b\x08\x00 broken")
    seen: list[Block] = []
    with pytest.raises(InputError, match=r"bad\.gz: stops being readable"):
        seen.extend(
            merged(*files, FileSource(str(tmp_path / "empty.log")), FileSource(str(tmp_path / "bad.gz"))).blocks()
        )
    assert sum(block.lines for block in seen) == 40
