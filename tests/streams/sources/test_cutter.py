from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.block_settings import LINE_BYTES, BlockSettings, of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block
from streams.sources.cutter import Cutter

HEADER = "version account-id interface-id srcaddr dstaddr srcport dstport protocol"


def cut(parts: list[bytes], settings: BlockSettings) -> list[Block]:
    cutter = Cutter("a.log", settings=settings)
    return [*(block for part in parts for block in cutter.add(part)), *cutter.end()]


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=60),
    end=st.booleans(),
    at=st.lists(st.integers(0, 2000), max_size=8),
    records=st.integers(1, 9),
    size=st.integers(1, 200),
)
def test_however_text_comes_it_is_cut_into_whole_lines_within_the_limits(
    lines: list[bytes], end: bool, at: list[int], records: int, size: int
) -> None:
    text = b"\n".join(lines) + (b"\n" if end else b"")
    bounds = [0, *sorted(min(each, len(text)) for each in at), len(text)]
    blocks = cut([text[begin:stop] for begin, stop in pairwise(bounds)], BlockSettings(records=records, bytes=size))
    whole = b"\n".join(block.value for block in blocks)
    assert whole == text.removesuffix(b"\n") or whole + b"\n" == text
    assert all(block.lines == block.value.count(b"\n") + 1 <= records for block in blocks)
    assert all(len(block.value) <= size or block.lines == 1 for block in blocks)
    for block, following in pairwise(blocks):
        assert text[block.position :].startswith(following.value)
        assert following.line == block.line + block.lines
    assert not blocks or blocks[-1].position == len(text)


def test_a_block_has_as_many_lines_as_are_allowed_however_text_comes() -> None:
    parts = [b"".join(b"%d\n" % number for number in range(begin, begin + 7)) for begin in range(0, 70, 7)]
    assert [block.lines for block in cut(parts, BlockSettings(records=20))] == [20, 20, 20, 10]


def test_what_waits_can_be_cut_off_before_a_block_is_full() -> None:
    cutter = Cutter("a.log", settings=BlockSettings())
    assert list(cutter.add(b"one\ntwo\nthr")) == []
    (block,) = cutter.flush()
    assert (block.value, block.position, block.line) == (b"one\ntwo", 8, 1)
    assert list(cutter.flush()) == []
    assert list(cutter.add(b"ee")) == []
    (rest,) = cutter.end()
    assert (rest.value, rest.position, rest.line) == (b"three", 13, 3)


def test_it_goes_on_from_a_position() -> None:
    cutter = Cutter("a.log", settings=BlockSettings(), position=100, line=11)
    (block,) = [*cutter.add(b"one\n"), *cutter.end()]
    assert (block.position, block.line) == (104, 11)


def test_every_block_has_one_format() -> None:
    text = f"2 1 eni-1\n{HEADER}\n2 1 eni-2\n{HEADER} packets\n2 1 eni-3\n".encode()
    blocks = cut([text], BlockSettings())
    assert [block.headers.get(FORMAT_HEADER, b"").decode() for block in blocks] == ["", HEADER, f"{HEADER} packets"]
    assert [block.line for block in blocks] == [1, 2, 4]
    assert blocks[-1].position == len(text)


def test_a_line_that_is_too_long_is_named_although_it_comes_in_parts() -> None:
    with pytest.raises(InputError, match=r"^a\.log:2: is longer than 1 MiB"):
        cut([b"one\n", *[b"x" * 300_000] * 4], of_bytes(1 << 18))
    assert cut([b"x" * LINE_BYTES], of_bytes(100))[0].lines == 1
