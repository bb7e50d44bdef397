from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.sources import Block, Position
from streams.sources.resumed import behind

LINES = [b"line %d" % number for number in range(12)]
TEXT = b"\n".join(LINES) + b"\n"


def blocks(cuts: list[int]) -> list[Block]:
    """Cut the lines into blocks at these numbers of lines."""
    edges = sorted({0, *cuts, len(LINES)})
    found = []
    for start, end in pairwise(edges):
        position = len(b"".join(line + b"\n" for line in LINES[:end]))
        found.append(Block(b"\n".join(LINES[start:end]), {}, end - start, "a.log", position, start + 1))
    return found


CUTS = st.lists(st.integers(0, len(LINES)), max_size=5)


@given(first=CUTS, second=CUTS, known=st.integers(0, len(LINES)))
def test_any_cut_goes_on_at_the_same_line(first: list[int], second: list[int], known: int) -> None:
    published = [block for block in blocks([*first, known]) if block.line + block.lines - 1 <= known]
    positions = {block.origin: Position(block.position) for block in published}
    left = list(behind(blocks(second), positions))
    assert [line for block in left for line in block.value.split(b"\n")] == LINES[known:]
    assert [block.line for block in left[:1]] == [known + 1][: len(left)]
    assert sum(block.lines for block in left) == len(LINES) - known


def test_other_origins_and_other_contents_are_whole() -> None:
    assert list(behind(blocks([4]), {"b.log": Position(10)})) == blocks([4])
    assert list(behind(blocks([4]), {"a.log": Position(10, "another")})) == blocks([4])
