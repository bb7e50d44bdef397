"""Whoever reads the blocks of one partition knows what the whole pipeline knows of its rows."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.episodes import LONGEST_QUIET_SECONDS
from detectors.route import rows_by_partition
from detectors.span import Int64Array, Position
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.volumes import SPREAD_SECONDS
from detectors.watch import END_OF_TIME
from detectors.watermark import Watermarks
from streams.by_host.blocks import Block, decode
from streams.by_host.columns import KEPT
from streams.by_host.cuts import MOST_BYTES, write
from streams.pipeline import Batch, Pipeline
from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode_all
from streams.records.contract import WATERMARK_HEADER
from streams.settings import Settings, TimeSettings
from tests.detectors import strategies
from tests.streams.flow_lines import NINE, flow
from tests.streams.flow_lines import block as lines

LATENESS: Final = TimeSettings().allowed_lateness_seconds
MARK: Final = {WATERMARK_HEADER: b"end"}
PARTITIONS: Final = st.sampled_from([1, 2, 5])

RECORDS: Final = st.builds(
    flow,
    st.sampled_from(["10.0.0.5", "10.0.0.6", "10.9.0.7", "203.0.113.9"]),
    st.sampled_from(["10.0.0.8", "198.51.100.7", "192.0.2.33"]),
    end=st.integers(NINE, NINE + 7200),
)
MESSAGES: Final = st.builds(
    Message,
    st.lists(RECORDS | st.just("garbage"), max_size=4).map(lines),
    # A mark may have rows of its own, though nobody writes such.
    st.sampled_from([{}, {}, {}, MARK]),
    st.none(),
)


def cut(batch: Batch, decoded: Decoded, partitions: int, **limits: int) -> list[tuple[int, Block]]:
    """Divide a batch into blocks, as whoever reads them gets them."""
    return [(part, decode(value, said)) for part, value, said in write(batch, decoded, partitions, **limits)]


class Reader:
    """What a watcher of one partition makes of its blocks."""

    def __init__(self) -> None:
        self.watermarks = Watermarks(LATENESS)
        self.applied: Position | None = None
        self.places: list[tuple[int, int]] = []
        self.records: list[dict[str, Any]] = []
        self.reached: list[int] = []

    def read(self, whole: Block) -> None:
        block = whole if self.applied is None else whole.since(self.applied)
        assert self.applied is None or block.begin <= self.applied
        self.applied = max(block.end, self.applied or block.end)
        for _ in range(block.complete):
            self.watermarks.complete(block.source, PANE_SECONDS + SPREAD_SECONDS + LONGEST_QUIET_SECONDS)
        if block.newest > -END_OF_TIME:
            (before,) = self.watermarks.seen(block.source, np.array([block.newest]))
            self.reached += np.maximum(block.reached - LATENESS, before).tolist()
        self.places += zip(block.offsets.tolist(), block.rows.tolist(), strict=True)
        self.records += block.table.frame.to_dicts()


def batch(messages: Sequence[Message], offsets: Sequence[int] | None = None, *, begin: int = 0) -> Batch:
    """Make a batch of messages, by default at consecutive offsets."""
    numbers = range(begin, begin + len(messages)) if offsets is None else offsets
    end = numbers[-1] + 1 if len(numbers) else begin
    return Batch("flows/0", messages, np.array(numbers, np.int64), begin, end)


def decoded(of: Batch) -> Decoded:
    return decode_all(of.messages, RecordSettings(), NetworkSettings())


def batches(whole: Batch, first: int, last: int, sizes: Sequence[int]) -> Iterator[Batch]:
    """Divide the messages from one to another into batches of these sizes, over and over."""
    begin = whole.begin if first == 0 else int(whole.offsets[first - 1]) + 1
    for size in cycle(sizes):
        if first >= last:
            return
        some = slice(first, min(first + size, last))
        yield batch(whole.messages[some], whole.offsets[some].tolist(), begin=begin)
        first, begin = some.stop, int(whole.offsets[some.stop - 1]) + 1


def reached_at_once(whole: Batch, rows: Decoded) -> Int64Array:
    """How far the pipeline says the source had come before each record."""
    pipeline = Pipeline(Settings())
    return pipeline._reached(whole, rows.table, np.cumsum(rows.rows))


@st.composite
def topics(draw: st.DrawFn) -> Batch:
    """Draw all there is of a source partition; some offsets are missing."""
    messages = draw(st.lists(MESSAGES, min_size=1, max_size=8))
    gaps = draw(st.lists(st.sampled_from([1, 1, 1, 3]), min_size=len(messages), max_size=len(messages)))
    return batch(messages, np.cumsum([2, *gaps])[1:].tolist(), begin=2)


@strategies.quick
@given(topics(), PARTITIONS, st.data())
def test_a_reader_knows_of_its_rows_what_the_pipeline_knows(whole: Batch, partitions: int, data: st.DataObject) -> None:
    readers = [Reader() for _ in range(partitions)]
    begun, total = 0, len(whole.messages)
    while begun < total:
        # A router that takes over begins no later than the one before it had come, and divides otherwise.
        first = data.draw(st.integers(0, begun))
        last = data.draw(st.integers(begun + 1, total) | st.just(total))
        sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
        most_rows = data.draw(st.integers(1, 5))
        for each in batches(whole, first, last, sizes):
            for part, block in cut(each, decoded(each), partitions, most_rows=most_rows):
                readers[part].read(block)
        begun = last
    rows = decoded(whole)
    reached = reached_at_once(whole, rows)
    kept = rows.table.frame.select(name for name in KEPT if name in rows.table.frame.columns)
    places = [
        (int(whole.offsets[message]), row) for message, count in enumerate(rows.rows.tolist()) for row in range(count)
    ]
    for reader, wanted in zip(readers, rows_by_partition(rows.table, partitions), strict=True):
        assert reader.places == [places[row] for row in wanted]
        assert reader.records == kept[wanted].to_dicts()
        assert reader.reached == reached[wanted].tolist()


@strategies.quick
@given(topics(), PARTITIONS, st.integers(1, 5), st.data())
def test_ranges_follow_on_each_other_and_are_the_same_for_all(
    whole: Batch, partitions: int, most_rows: int, data: st.DataObject
) -> None:
    end = whole.end + data.draw(st.integers(0, 3))
    blocks = cut(replace(whole, end=end), decoded(whole), partitions, most_rows=most_rows)
    assert [part for part, _ in blocks] == list(range(partitions)) * (len(blocks) // partitions)
    ranges = [(block.begin, block.end, block.complete, block.newest) for _, block in blocks]
    shared = ranges[::partitions]
    assert ranges == [each for each in shared for _ in range(partitions)]
    assert [begin for begin, *_ in shared] == [Position(whole.begin), *(each[1] for each in shared[:-1])]
    assert shared[-1][1] == Position(end)
    assert all(begin < end for begin, end, *_ in shared)
    assert max(len(block.table) for _, block in blocks) <= most_rows
    assert sum(complete for _, _, complete, _ in shared) == sum(bool(each.headers) for each in whole.messages)


@strategies.quick
@given(topics(), PARTITIONS)
def test_the_newest_record_is_that_of_the_whole_range(whole: Batch, partitions: int) -> None:
    rows = decoded(whole)
    places = np.repeat(whole.offsets, rows.rows), np.concatenate([np.arange(each) for each in rows.rows])
    ends = rows.table.frame["end"].to_list()
    for _, block in cut(whole, rows, partitions, most_rows=3):
        inside = [
            end
            for end, offset, row in zip(ends, *places, strict=True)
            if block.begin <= (int(offset), int(row)) < block.end
        ]
        assert block.newest == max(inside, default=-END_OF_TIME)


@pytest.mark.parametrize("end", [7, 9])
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_batch_of_nothing_is_a_block_without_rows_for_everybody(end: int, partitions: int) -> None:
    empty = Batch("flows/0", [], np.zeros(0, np.int64), 7, end)
    blocks = cut(empty, decoded(empty), partitions)
    assert [part for part, _ in blocks] == list(range(partitions))
    for _, block in blocks:
        assert (block.begin, block.end, block.newest) == (Position(7), Position(end), -END_OF_TIME)
        assert (len(block.table), block.complete) == (0, 0)


def test_each_mark_begins_a_range_behind_its_own_rows() -> None:
    mark, record = Message(b"", MARK), Message(lines([flow()]))
    whole = batch([mark, record, mark, mark, record._replace(headers=MARK), record])
    blocks = [block for _, block in cut(whole, decoded(whole), 1)]
    assert [(tuple(each.begin), tuple(each.end), each.complete, len(each.table)) for each in blocks] == [
        ((0, 0), (2, 0), 1, 1),
        ((2, 0), (3, 0), 1, 0),
        ((3, 0), (4, 1), 1, 1),
        ((4, 1), (6, 0), 1, 1),
    ]


@pytest.mark.parametrize("most_bytes", [1, 3_000, MOST_BYTES])
def test_no_value_is_larger_than_it_may_be(most_bytes: int) -> None:
    chance = random.Random(1)  # noqa: S311 - the same records every time
    hosts = [f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}" for _ in range(100)]
    whole = batch([Message(lines([flow(host, size=chance.randrange(1 << 40)) for host in hosts])), Message(b"", MARK)])
    rows = decoded(whole)
    written = list(write(whole, rows, 2, most_bytes=most_bytes))
    assert [each.partition for each in written] == [0, 1] * (len(written) // 2)
    readers = [Reader(), Reader()]
    for each in written:
        block = decode(each.value, each.headers)
        assert len(each.value) <= most_bytes or len(block.table) == 1
        readers[each.partition].read(block)
    for reader, wanted in zip(readers, rows_by_partition(rows.table, 2), strict=True):
        assert [row for _, row in reader.places] == wanted.tolist()
        assert reader.applied == Position(2)
    assert len(written) == {1: 202, MOST_BYTES: 4}.get(most_bytes, len(written))


def test_rows_that_take_more_than_reckoned_are_divided_once_they_are_written() -> None:
    chance = random.Random(1)  # noqa: S311 - the same records every time
    names = [chance.randbytes(200).hex() for _ in range(300)]
    records = [flow().replace("eni-0a1b2c3d", f"eni-{name}") for name in names]
    whole = batch([Message(lines(records))])
    written = list(write(whole, decoded(whole), 1, most_bytes=20_000))
    assert 1 < len(written) < 100
    assert max(len(each.value) for each in written) <= 20_000
    read = [decode(each.value, each.headers).table.frame["interface_id"].to_list() for each in written]
    assert [name for names in read for name in names] == [f"eni-{name}" for name in names]
