import gzip
import io
import os
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.block_settings import LINE_BYTES
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block
from streams.sources.files import FileSource
from streams.sources.lines import BLOCK_BYTES

HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol"


def blocks_of(path: Path, *, block_bytes: int = BLOCK_BYTES) -> list[Block]:
    return list(FileSource(str(path), block_bytes=block_bytes).blocks())


def stored(path: Path, text: bytes) -> Path:
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=40)


@settings(deadline=None)
@given(lines=LINES, end=st.booleans(), block_bytes=st.integers(1, 200))
def test_blocks_are_whole_lines_and_together_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bool, block_bytes: int
) -> None:
    text = b"\n".join(lines) + (b"\n" if end else b"")
    assume(not text.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1")))
    path = stored(tmp_path_factory.mktemp("lines") / "a.log", text)
    blocks = blocks_of(path, block_bytes=block_bytes)
    whole = b"\n".join(block.value for block in blocks)
    assert whole == text.removesuffix(b"\n") or whole + b"\n" == text
    assert [block.lines for block in blocks] == [block.value.count(b"\n") + 1 for block in blocks]
    for block, following in pairwise(blocks):
        assert text[: block.position] + following.value == text[: block.position + len(following.value)]
        assert following.line == block.line + block.lines
    assert all(block.line == text[: block.position - len(block.value) - 1].count(b"\n") + 1 for block in blocks[:-1])


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
def test_size_and_consumed_are_stored_bytes_and_positions_are_offsets_into_the_text(tmp_path: Path, name: str) -> None:
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    path = stored(tmp_path / name, text)
    source = FileSource(str(path))
    assert (source.size, source.consumed) == (path.stat().st_size, 0)
    blocks = list(source.blocks())
    assert source.consumed == path.stat().st_size
    assert len(blocks) > 3
    assert blocks[-1].position == len(text)
    source.acknowledge(blocks[1])
    assert text[source.acknowledged :].startswith(blocks[2].value)


def test_a_format_goes_with_every_block_behind_its_header_line(tmp_path: Path) -> None:
    text = "\n".join(["2 1 eni-1 early", HEADER, *["2 1 eni-1 10.0.0.1"] * 20]).encode()
    first, *others = blocks_of(stored(tmp_path / "a.log", text), block_bytes=18)
    assert first.headers == {}
    assert {block.headers[FORMAT_HEADER] for block in others} == {HEADER.encode()}


def test_files_of_several_compressed_parts_are_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert [block.value for block in blocks_of(path)] == [b"one\ntwo"]


def test_an_empty_file_has_no_blocks(tmp_path: Path) -> None:
    assert blocks_of(stored(tmp_path / "a.log", b"")) == []
    assert blocks_of(stored(tmp_path / "a.log.gz", b"")) == []


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"one\ntwo\n"))))
    source = FileSource.at("-")
    assert source.size == 0
    (block,) = source.blocks()
    assert (block.value, block.origin) == (b"one\ntwo", "-")


def test_a_pipe_is_read_as_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\ntwo\n",))
    writer.start()
    assert [block.value for block in blocks_of(pipe)] == [b"one\ntwo"]
    writer.join()


def test_places_with_a_protocol_are_not_files() -> None:
    assert FileSource.takes("flows.log")
    assert FileSource.takes("-")
    assert not FileSource.takes("s3://bucket/flows.log")


@pytest.mark.parametrize(("name", "reason"), [("none.log", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_opened_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        FileSource(f"{tmp_path}/{name}")
    assert str(caught.value) == f"{tmp_path}/{name}: cannot be read: {reason}"


def test_what_breaks_off_is_named_after_everything_before_it(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.log.gz", b"".join(b"line %d\n" % number for number in range(50_000)))
    path.write_bytes(path.read_bytes()[:-20])
    source = FileSource(str(path))
    seen: list[Block] = []
    with pytest.raises(InputError, match=r"a\.log\.gz: stops being readable after \d+ bytes: it ends in the middle"):
        seen.extend(source.blocks())
    assert sum(block.lines for block in seen) > 49_900


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.log.gz", os.urandom(1000))
    damaged = bytearray(path.read_bytes())
    damaged[500] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"a\.log\.gz: stops being readable"):
        blocks_of(path)


@pytest.mark.parametrize("before", [0, 1000])
@pytest.mark.parametrize("behind", [b"", b"\nmore\n"])
def test_a_line_longer_than_any_is_named(tmp_path: Path, before: int, behind: bytes) -> None:
    path = stored(tmp_path / "a.log", b"line\n" * before + b"x" * (LINE_BYTES + 1) + behind)
    with pytest.raises(InputError) as caught:
        blocks_of(path)
    assert str(caught.value) == f"{path}:{before + 1}: is longer than 1 MiB; is this a flow log?"


def test_a_line_as_long_as_allowed_is_read(tmp_path: Path) -> None:
    line = b"x" * LINE_BYTES
    assert [block.value for block in blocks_of(stored(tmp_path / "a.log", line + b"\n"))] == [line]
    assert blocks_of(stored(tmp_path / "b.log", b"short\n" + line))[-1].value == line
