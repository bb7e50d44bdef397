from random import Random

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import mix
from detectors.statistics.bottom_k import STATE, BottomK, unmix
from tests.detectors import strategies

SETS = np.arange(4)
K = 3

pairs = st.tuples(st.integers(0, 3), st.one_of(st.integers(0, 12), st.integers(0, 2**64 - 1)))
batches = st.lists(st.lists(pairs, max_size=12), max_size=5)

Batch = list[tuple[int, int]]


def add(examples: BottomK, batch: Batch) -> None:
    rows, values = [row for row, _ in batch], [value for _, value in batch]
    examples.add(np.array(rows, np.int64), np.array(values, np.uint64))


def kept(*parts: Batch) -> BottomK:
    examples = BottomK(K)
    for batch in parts:
        add(examples, batch)
    return examples


def oracle(*parts: Batch) -> list[list[int]]:
    """Sort all distinct values of each set by their hashes."""
    seen = [{value for batch in parts for row, value in batch if row == each} for each in SETS]
    return [sorted(sorted(values, key=lambda value: int(mix(np.array([value], np.uint64))[0]))[:K]) for values in seen]


def united(*parts: BottomK) -> BottomK:
    result = BottomK(K)
    for part in parts:
        result.merge(part, SETS, SETS)
    return result


def found(examples: BottomK) -> list[list[int]]:
    listed: list[list[int]] = examples.values(SETS).to_list()
    return listed


@strategies.quick
@given(batches)
def test_examples_are_the_values_with_the_smallest_hashes(parts: list[Batch]) -> None:
    assert found(kept(*parts)) == oracle(*parts)


@strategies.quick
@given(batches, st.randoms())
def test_neither_order_nor_batches_nor_repeats_matter(parts: list[Batch], random: Random) -> None:
    single = [pair for batch in parts for pair in batch]
    shuffled = sorted(single, key=lambda _: random.random())
    whole = found(kept(*parts))
    assert found(kept(single)) == whole
    assert found(kept(*([pair] for pair in shuffled))) == whole
    assert found(kept(*parts, *parts)) == whole


@strategies.quick
@given(batches, batches, batches)
def test_merging_is_commutative_associative_and_idempotent(a: list[Batch], b: list[Batch], c: list[Batch]) -> None:
    first, second, third = kept(*a), kept(*b), kept(*c)
    whole = oracle(*a, *b, *c)
    assert found(united(first, second, third)) == whole
    assert found(united(third, first, second)) == whole
    assert found(united(first, united(second, third))) == whole
    assert found(united(first, united(second, third), first, third)) == whole


@strategies.quick
@given(batches)
def test_several_sets_can_be_rolled_up_into_one(parts: list[Batch]) -> None:
    total = BottomK(K)
    total.merge(kept(*parts), np.array([1, 1, 0, 1]), SETS)
    assert found(total) == oracle(*([(0 if row == 2 else 1, value) for row, value in batch] for batch in parts))


@strategies.quick
@given(batches)
def test_what_is_stored_restores_the_state(parts: list[Batch]) -> None:
    stored = kept(*parts).values(SETS)
    assert stored.dtype == STATE
    restored = BottomK(K)
    restored.restore(SETS, stored)
    assert restored.values(SETS).equals(stored)
    add(restored, [(2, 5), (2, 6)])
    assert found(restored) == oracle(*parts, [(2, 5), (2, 6)])


@strategies.quick
@given(batches)
def test_a_cleared_set_starts_anew_and_the_others_stay(parts: list[Batch]) -> None:
    examples = kept(*parts)
    examples.clear(np.array([1, 3]))
    add(examples, [(3, 9)])
    rest = [[pair for pair in batch if pair[0] not in {1, 3}] for batch in parts]
    assert found(examples) == oracle(*rest, [(3, 9)])


def test_sets_without_values_take_four_bytes_and_blocks_are_used_again() -> None:
    examples = BottomK(10)
    examples.clear(np.array([99_999]))
    empty = examples.nbytes
    assert empty < 100_000 * 4 + 200
    for _ in range(5):
        examples.add(np.arange(100), np.arange(100, dtype=np.uint64))
        examples.clear(np.arange(100))
    assert examples.nbytes < empty + 100 * (80 + 16)


def test_every_value_is_as_likely_to_be_an_example_as_any_other() -> None:
    examples, sets, ports = BottomK(8), 4_000, 16
    rows = np.repeat(np.arange(sets), ports)
    seeds = np.repeat(np.arange(sets, dtype=np.uint64) << np.uint64(32), ports)
    examples.add(rows, seeds + np.tile(np.arange(ports, dtype=np.uint64), sets))
    chosen = examples.values(np.arange(sets)).explode().to_numpy() & np.uint64(0xFFFF)
    shares = np.bincount(chosen.astype(np.int64), minlength=ports) / sets
    assert np.abs(shares - 0.5).max() < 5 * np.sqrt(0.25 / sets)


def test_the_sample_estimates_as_well_as_a_theta_sketch_of_the_datasketches_library() -> None:
    k, count, sets = 64, 5_000, 150
    examples = BottomK(k)
    numbers = np.arange(sets * count, dtype=np.uint64)
    examples.add(np.repeat(np.arange(sets), count), numbers)
    hashes = mix(examples.values(np.arange(sets)).explode().to_numpy()).reshape(sets, k)
    # k minimum values: with the k-th smallest of n hashes at a share s of their range, n is (k - 1) / s.
    ours = (k - 1) / (hashes.max(axis=1) / 2.0**64)
    theirs = []
    for row in range(sets):
        sketch = datasketches.update_theta_sketch(6)
        for number in range(row * count, (row + 1) * count):
            sketch.update(number)
        theirs.append(sketch.get_estimate())
    error, reference = (np.sqrt(np.mean((np.array(each) / count - 1) ** 2)) for each in (ours, theirs))
    assert error < 1.5 * reference
    assert error < 1.25 / np.sqrt(k - 2)


@strategies.quick
@given(st.lists(st.integers(0, 2**64 - 1)))
def test_hashing_is_undone(numbers: list[int]) -> None:
    values = np.array(numbers, np.uint64)
    assert unmix(mix(values)).tolist() == numbers
    assert mix(unmix(values)).tolist() == numbers


def test_nothing_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="0 values"):
        BottomK(0)
