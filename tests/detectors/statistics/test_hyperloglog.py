import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import mix
from detectors.statistics.hyperloglog import estimates, observe
from tests.detectors import strategies


def registers_of(hashes: list[int], size: int) -> list[int]:
    """Work out registers one hash at a time."""
    registers = [0] * size
    bits = size.bit_length() - 1
    for value in hashes:
        rest = value >> bits
        zeros = (rest & -rest).bit_length() - 1 if rest else 64 - bits
        registers[value % size] = max(registers[value % size], zeros + 1)
    return registers


@strategies.quick
@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.sampled_from([16, 256, 1024]))
def test_registers_are_those_of_a_count_one_by_one(hashes: list[int], size: int) -> None:
    hashes += [0, 2**64 - 1, 1 << 63]
    registers = np.zeros((3, size), np.uint8)
    observe(registers, np.ones(len(hashes), np.int64), np.array(hashes, np.uint64))
    assert registers[1].tolist() == registers_of(hashes, size)
    assert not registers[[0, 2]].any()


@pytest.mark.parametrize("size", [64, 256, 1024])
@pytest.mark.parametrize("count", [1, 40, 100, 700, 3_000, 20_000])
def test_estimates_have_no_bias_and_the_stated_error(size: int, count: int) -> None:
    sets = 300
    registers = np.zeros((sets, size), np.uint8)
    rows = np.repeat(np.arange(sets), count)
    observe(registers, rows, mix(np.arange(rows.size, dtype=np.uint64)))
    errors = estimates(registers) / count - 1
    standard = 1.04 / np.sqrt(size)
    assert np.sqrt((errors**2).mean()) < 1.1 * standard
    assert abs(errors.mean()) < 4 * standard / np.sqrt(sets) + 0.5 / size


@pytest.mark.parametrize("count", [1e6, 1e9, 1e12, 1e15, 1e18, 1e19])
def test_estimates_hold_for_sets_of_any_size(count: float) -> None:
    size, sets, limit = 256, 500, 57
    # Registers of sets too large to be made: the smallest of many exponential numbers is one too.
    smallest = np.random.default_rng(1).exponential(size / count, (sets, size))
    registers = np.clip(np.ceil(-np.log2(smallest)), 0, limit).astype(np.uint8)
    errors = estimates(registers) / count - 1
    assert abs(errors.mean()) < 0.02
    assert np.sqrt((errors**2).mean()) < 0.075


def test_nothing_is_estimated_as_nothing() -> None:
    assert estimates(np.zeros((2, 256), np.uint8)).tolist() == [0, 0]
    assert estimates(np.zeros((0, 256), np.uint8)).tolist() == []


def test_more_rows_than_are_estimated_at_a_time_give_what_each_gives_alone() -> None:
    registers = np.random.default_rng(1).integers(0, 58, (10_000, 16), np.uint8)
    some = [0, 4095, 4096, 8191, 8192, 9999]
    assert estimates(registers)[some].tolist() == [estimates(registers[[row]])[0] for row in some]
