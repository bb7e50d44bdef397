from itertools import pairwise
from random import Random

import datasketches
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import UInt64Array, mix
from detectors.statistics.distinct import CAPACITIES, EXACT, REGISTERS, STATE, DistinctCounts, union
from tests.detectors import strategies

SETS = np.arange(5)

spans = st.tuples(st.integers(0, 4), st.integers(0, 90), st.sampled_from([1, 1, 3, 12, 13, 40, 70, 100]))
"""A set, and the first and number of the values that it sees, near the sizes at which blocks are outgrown."""

batches = st.lists(st.lists(spans, max_size=4), max_size=5)

Batch = list[tuple[int, int, int]]


def values(first: int, count: int) -> UInt64Array:
    return mix(np.arange(first, first + count, dtype=np.uint64))


def add(counts: DistinctCounts, batch: Batch) -> None:
    rows = [np.full(count, row) for row, _, count in batch]
    hashes = [values(first, count) for _, first, count in batch]
    if batch:
        counts.add(np.concatenate(rows), np.concatenate(hashes))


def counted(*parts: Batch) -> DistinctCounts:
    counts = DistinctCounts()
    for batch in parts:
        add(counts, batch)
    return counts


def oracle(*parts: Batch) -> list[set[int]]:
    seen: list[set[int]] = [set() for _ in SETS]
    for batch in parts:
        for row, first, count in batch:
            seen[row] |= set(range(first, first + count))
    return seen


def state(counts: DistinctCounts) -> pl.DataFrame:
    return counts.frame(SETS)


def united(*parts: DistinctCounts) -> DistinctCounts:
    result = DistinctCounts()
    for part in parts:
        result.merge(part, SETS, SETS)
    return result


@strategies.quick
@given(batches)
def test_counts_are_exact_while_small_and_near_when_large(parts: list[Batch]) -> None:
    for count, seen in zip(counted(*parts).counts(SETS).tolist(), oracle(*parts), strict=True):
        if len(seen) <= EXACT:
            assert count == len(seen)
        else:
            assert count > EXACT
            assert abs(count / len(seen) - 1) < 0.35


@strategies.quick
@given(batches, st.randoms())
def test_neither_order_nor_batches_nor_repeats_matter(parts: list[Batch], random: Random) -> None:
    single = [span for batch in parts for span in batch]
    shuffled = sorted(single, key=lambda _: random.random())
    whole = state(counted(*parts))
    assert state(counted(single)).equals(whole)
    assert state(counted(*([span] for span in shuffled))).equals(whole)
    assert state(counted(*parts, *parts)).equals(whole)


@strategies.quick
@given(batches, batches, batches)
def test_merging_is_commutative_associative_and_idempotent(a: list[Batch], b: list[Batch], c: list[Batch]) -> None:
    first, second, third = counted(*a), counted(*b), counted(*c)
    whole = state(counted(*a, *b, *c))
    assert state(united(first, second, third)).equals(whole)
    assert state(united(third, first, second)).equals(whole)
    assert state(united(first, united(second, third))).equals(whole)
    assert state(united(first, united(second, third), first, third)).equals(whole)


@strategies.quick
@given(batches)
def test_merging_with_itself_or_with_nothing_changes_nothing(parts: list[Batch]) -> None:
    counts = counted(*parts)
    before = state(counts)
    counts.merge(counts, SETS, SETS)
    counts.merge(DistinctCounts(), SETS, SETS)
    assert state(counts).equals(before)


@strategies.quick
@given(batches)
def test_several_sets_can_be_rolled_up_into_one(parts: list[Batch]) -> None:
    total = DistinctCounts()
    total.merge(counted(*parts), np.array([1, 1, 1, 0, 1]), SETS)
    moved = [[(0 if row == 3 else 1, first, count) for row, first, count in batch] for batch in parts]
    assert state(total).equals(state(counted(*moved)))


@strategies.quick
@given(st.lists(st.lists(spans, max_size=4), min_size=3, max_size=3))
def test_a_window_is_the_union_of_its_panes(parts: list[Batch]) -> None:
    wanted = np.array([4, 0, 2])
    window = union([counted(batch) for batch in parts], wanted)
    assert window.frame(np.arange(3)).equals(counted(*parts).frame(wanted))


@strategies.quick
@given(batches, batches)
def test_what_is_stored_restores_the_state_whatever_was_there(parts: list[Batch], others: list[Batch]) -> None:
    stored = state(counted(*parts))
    assert stored.schema == STATE
    restored = counted(*others)
    restored.restore(SETS, stored)
    assert state(restored).equals(stored)
    add(restored, [(2, 50, 40)])
    assert state(restored).equals(state(counted(*parts, [(2, 50, 40)])))


def test_what_is_stored_lists_hashes_in_ascending_order_or_registers() -> None:
    stored = counted([(0, 0, 3), (2, 0, 65)]).frame(np.array([2, 1, 0]))
    assert stored["hashes"].to_list() == [[], [], sorted(values(0, 3).tolist())]
    assert stored["registers"].list.len().to_list() == [REGISTERS, 0, 0]


@strategies.quick
@given(batches)
def test_a_cleared_set_starts_anew_and_the_others_stay(parts: list[Batch]) -> None:
    counts = counted(*parts)
    counts.clear(np.array([1, 3]))
    kept = [[span for span in batch if span[0] not in {1, 3}] for batch in parts]
    assert state(counts).equals(state(counted(*kept)))
    add(counts, [(3, 7, 30)])
    assert state(counts).equals(state(counted(*kept, [(3, 7, 30)])))


@pytest.mark.parametrize("size", [*CAPACITIES, EXACT + 1])
def test_blocks_that_were_cleared_are_used_again(size: int) -> None:
    counts = DistinctCounts()
    taken = []
    for turn in range(6):
        rows = np.repeat(np.arange(200), size)
        counts.add(rows, values(turn, rows.size))
        taken.append(counts.nbytes)
        counts.clear(np.arange(200))
    assert taken[0] == pytest.approx(taken[-1], rel=0.1)


def test_blocks_that_were_outgrown_are_used_again() -> None:
    counts, sets = DistinctCounts(), 300
    for row in range(sets):
        for begin in range(0, EXACT + 10, 10):
            counts.add(np.full(10, row), values(begin, 10))
    assert counts.large == sets
    assert counts.nbytes < sets * (2 * 6 + REGISTERS) + 2_000


def test_large_sets_that_are_rolled_up_take_one_block() -> None:
    total = DistinctCounts()
    total.merge(counted([(row, 0, 90) for row in range(5)]), np.zeros(5, np.int64), SETS)
    assert total.large == 1


def test_zero_is_a_value_as_any_other() -> None:
    counts = DistinctCounts()
    counts.add(np.array([0, 1]), np.array([0, 5], np.uint64))
    counts.add(np.array([0, 1]), np.array([0, 0], np.uint64))
    assert counts.counts(np.array([0, 1])).tolist() == [1, 2]


def test_hosts_of_one_shard_count_as_well_as_any() -> None:
    counts = DistinctCounts()
    counts.add(np.zeros(20_000, np.int64), values(0, 20_000) & np.uint64(2**56 - 1) | np.uint64(7 << 56))
    assert counts.counts(np.array([0]))[0] == pytest.approx(20_000, rel=0.25)


def test_no_set_takes_more_than_the_stated_bytes() -> None:
    counts, sets = DistinctCounts(), 2_000
    for begin in range(0, 130, 10):
        hashes = values(0, 130).reshape(1, -1)[:, begin : begin + 10] ^ values(10_000, sets).reshape(-1, 1)
        counts.add(np.repeat(np.arange(sets), 10), hashes.reshape(-1))
    assert counts.large == sets
    assert counts.nbytes / sets < 1024


@pytest.mark.parametrize("count", [10, 64, 65, 100, 300, 1_000, 5_000])
def test_counts_are_as_good_as_those_of_the_datasketches_library(count: int) -> None:
    sets = 150
    rows = np.repeat(np.arange(sets), count)
    halves = DistinctCounts(), DistinctCounts()
    numbers = np.arange(rows.size)
    for half, part in enumerate(halves):
        chosen = numbers % 2 == half
        part.add(rows[chosen], mix(numbers[chosen].astype(np.uint64)))
    ours = union(halves, np.arange(sets)).counts(np.arange(sets))
    theirs = [_datasketches(range(row * count, (row + 1) * count)) for row in range(sets)]
    error, reference = (np.sqrt(np.mean((np.array(each) / count - 1) ** 2)) for each in (ours, theirs))
    assert error < max(1.25 * reference, 1e-9)
    assert error < 1.15 * 1.04 / np.sqrt(REGISTERS)
    assert (count > EXACT) or error == 0


def _datasketches(numbers: range) -> float:
    """Estimate through a union, as merged sketches do; one that was never merged knows a little more."""
    united = datasketches.hll_union(REGISTERS.bit_length() - 1)
    for begin in (0, 1):
        sketch = datasketches.hll_sketch(REGISTERS.bit_length() - 1, datasketches.tgt_hll_type.HLL_8)
        for number in numbers[begin::2]:
            sketch.update(number)
        united.update(sketch)
    estimate: float = united.get_estimate()
    return estimate


def test_a_count_does_not_fall_when_a_set_becomes_large() -> None:
    rows, sets = np.repeat(np.arange(300), EXACT - 1), np.arange(300)
    counts = DistinctCounts()
    counts.add(rows, values(0, rows.size))
    found = [counts.counts(sets)]
    for extra in range(4):
        counts.add(sets, values(10**6 * (extra + 1), 300))
        found.append(counts.counts(sets))
    assert all((later >= earlier).all() for earlier, later in pairwise(found))


@pytest.mark.parametrize("registers", [0, 32, 100, 257])
def test_registers_are_a_power_of_two(registers: int) -> None:
    with pytest.raises(ValueError, match=f"{registers} registers"):
        DistinctCounts(registers)


def test_more_registers_make_the_error_smaller() -> None:
    rows, sets = np.repeat(np.arange(100), 2_000), np.arange(100)
    errors = []
    for registers in (64, 1_024):
        counts = DistinctCounts(registers)
        counts.add(rows, values(0, rows.size))
        errors.append(float(np.sqrt(np.mean((counts.counts(sets) / 2_000 - 1) ** 2))))
    assert errors[0] > 2.5 * errors[1]
