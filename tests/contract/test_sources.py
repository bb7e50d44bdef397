"""What every source must hold to, whatever it reads from."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from streams.errors import InputError
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.sources import Block, Source, source_at, sources
from streams.sources.files import FileSource
from streams.sources.generated import GeneratedSource
from streams.sources.merged import MergedSource
from tests.streams.flow_lines import NINE, flow


def _file(folder: Path, name: str = "a.log") -> FileSource:
    path = folder / name
    path.write_text("".join(f"{flow(end=NINE + second)}\n" for second in range(3000)))
    return FileSource(str(path), block_bytes=20_000)


MAKERS: dict[type[Source], Callable[[Path], Source]] = {
    FileSource: _file,
    GeneratedSource: lambda _: GeneratedSource.at("generate://?minutes=3&hosts=40&records_per_minute=900"),
    MergedSource: lambda folder: MergedSource([_file(folder), _file(folder, "b.log")], RecordSettings()),
}
"""How a test comes by a source of each kind, with a few blocks in it."""


@pytest.fixture(params=sources(), ids=lambda kind: kind.name)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    maker = MAKERS.get(request.param)
    assert maker is not None, f"say in MAKERS how to come by a {request.param.__name__}"
    return maker(tmp_path)


def by_origin(blocks: list[Block]) -> list[list[Block]]:
    return [[block for block in blocks if block.origin == origin] for origin in {block.origin for block in blocks}]


def test_names_are_unique() -> None:
    assert len({kind.name for kind in sources()}) == len(sources())


def test_each_place_is_taken_by_one_kind_at_most() -> None:
    for place in ("flows.log", "-", "generate://", "generate://?seed=2", "nowhere://"):
        assert sum(kind.takes(place) for kind in sources()) <= 1


def test_a_place_that_nobody_takes_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^nowhere://x: no source takes this; there are "):
        source_at("nowhere://x")


def test_there_are_blocks_of_whole_lines(source: Source) -> None:
    blocks = list(source.blocks())
    assert len(blocks) > 1
    assert all(block.value and not block.value.endswith(b"\n") for block in blocks)
    assert all(block.lines == block.value.count(b"\n") + 1 for block in blocks)


def test_lines_and_positions_go_on_where_the_block_before_ended(source: Source) -> None:
    for blocks in by_origin(list(source.blocks())):
        assert blocks[0].line == 1
        assert blocks[0].position > 0
        for block, following in pairwise(blocks):
            assert following.line == block.line + block.lines
            assert following.position > block.position


def test_every_block_can_be_decoded_alone(source: Source) -> None:
    for block in source.blocks():
        decoded = decode(Message(block.value, block.headers), RecordSettings(), NetworkSettings())
        assert decoded.refused.is_empty()
        assert len(decoded.table) >= block.lines - 1


def test_what_was_consumed_grows_to_the_size(source: Source) -> None:
    assert source.consumed == 0
    consumed = [source.consumed for _ in source.blocks()]
    assert consumed == sorted(consumed)
    assert source.consumed == source.size > 0


def test_blocks_may_be_acknowledged_while_or_after_they_are_read(source: Source) -> None:
    blocks = []
    for block in source.blocks():
        blocks.append(block)
        if len(blocks) == 2:
            source.acknowledge(blocks[0])
    for block in blocks[1:]:
        source.acknowledge(block)
