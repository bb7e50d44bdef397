from collections.abc import Sequence
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from streams.records import RecordSettings
from streams.sources import Block
from streams.sources.merge import SLICE_SECONDS, Merge
from tests.streams.flow_lines import NINE, flow

TIMES = st.lists(
    st.lists(st.integers(0, 4000), min_size=1, max_size=30).map(lambda steps: [NINE + each for each in steps]),
    min_size=1,
    max_size=5,
)


def blocks_of(source: int, ends: Sequence[int], lines: int) -> list[Block]:
    """Make blocks of so many lines; a line's port is its number."""
    made, position = [], 0
    for first in range(0, len(ends), lines):
        some = [flow(port=number, end=ends[number]) for number in range(first, min(first + lines, len(ends)))]
        value = "\n".join(some).encode()
        start, position = position, position + len(value) + 1
        made.append(Block(value, {}, len(some), f"{source}", position, first + 1, start=start))
    return made


def merged(several: Sequence[Sequence[int]], lines: int) -> list[Block]:
    merge = Merge(RecordSettings())
    waiting = [blocks_of(source, ends, lines) for source, ends in enumerate(several)]
    for source, blocks in enumerate(waiting):
        merge.put(source, blocks.pop(0))
    found = []
    while merge:
        source, block = merge.take()
        assert block is not None
        found.append(block)
        if source not in merge and waiting[source]:
            merge.put(source, waiting[source].pop(0))
    return found


@given(TIMES, st.integers(1, 12))
def test_nothing_is_later_than_by_the_order_of_its_own_source_but_for_a_minute(
    several: list[list[int]], lines: int
) -> None:
    newest = 0
    seen: dict[str, int] = {}
    for block in merged(several, lines):
        for line in block.value.decode().split("\n"):
            end = int(line.split()[11])
            own = max(seen.get(block.origin, 0), end)
            assert newest <= own + SLICE_SECONDS
            newest, seen[block.origin] = max(newest, end), own


@given(TIMES, st.integers(1, 12))
def test_every_line_comes_once_in_the_order_of_its_source_with_its_position(
    several: list[list[int]], lines: int
) -> None:
    positions = {f"{source}": 0 for source in range(len(several))}
    found: dict[str, list[int]] = {origin: [] for origin in positions}
    for block in merged(several, lines):
        assert block.start == positions[block.origin]
        assert block.position == block.start + len(block.value) + 1
        assert block.line == len(found[block.origin]) + 1
        positions[block.origin] = block.position
        found[block.origin] += [int(line.split()[6]) for line in block.value.decode().split("\n")]
        assert len(found[block.origin]) == block.line + block.lines - 1
    assert list(found.values()) == [list(range(len(ends))) for ends in several]


def test_a_source_that_is_alone_in_its_time_is_not_cut() -> None:
    ends = list(accumulate([60] * 40, initial=NINE))
    assert [block.lines for block in merged([ends[:20], ends[21:]], 10)] == [10, 10, 10, 10]


def test_a_source_that_is_only_expected_is_asked_for_when_its_time_has_come() -> None:
    merge = Merge(RecordSettings())
    (later,) = blocks_of(1, [NINE + 600, NINE + 601], 10)
    merge.expect(1, later)
    merge.put(0, blocks_of(0, [NINE], 1)[0])
    first = merge.take()
    assert first[0] == 0
    assert merge.take() == (1, None)
    merge.put(1, later)
    assert merge.take() == (1, later)
    assert not merge
