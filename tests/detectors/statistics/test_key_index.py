import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import UInt64Array
from detectors.statistics.key_index import KeyIndex
from tests.detectors import strategies

KEYS = st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1))

steps = st.lists(st.tuples(st.sampled_from(["insert", "insert", "remove", "find"]), st.lists(KEYS, max_size=30)))


def keys_of(numbers: list[int]) -> UInt64Array:
    return np.array(numbers, np.uint64)


@strategies.quick
@given(steps, st.sampled_from([1, 3, 2**64 - 1, 0x9E3779B97F4A7C15]))
def test_it_answers_as_a_dictionary_does(steps: list[tuple[str, list[int]]], salt: int) -> None:
    index, expected = KeyIndex(salt), dict[int, int]()
    for verb, keys in steps:
        if verb == "insert":
            rows = index.insert(keys_of(keys)).tolist()
            for key, row in zip(keys, rows, strict=True):
                assert expected.setdefault(key, row) == row
        elif verb == "remove":
            gone = {key: expected.pop(key) for key in set(keys) & set(expected)}
            index.remove(np.array(list(gone.values()), np.int64))
        assert index.find(keys_of(keys)).tolist() == [expected.get(key, -1) for key in keys]
        assert len(index) == len(expected) == len(set(expected.values()))
    live = np.flatnonzero(index.live)
    assert dict(zip(index.keys[live].tolist(), live.tolist(), strict=True)) == expected


def test_keys_that_all_want_one_place_are_found_all_the_same() -> None:
    # With a salt of 1 the first bits of a key are its place.
    index, keys = KeyIndex(salt=1), np.arange(500, dtype=np.uint64)
    rows = index.insert(keys)
    index.remove(rows[::2])
    assert index.find(keys[1::2]).tolist() == rows[1::2].tolist()
    assert (index.find(keys[::2]) == -1).all()


def test_rows_are_used_again_so_that_churn_takes_no_memory() -> None:
    index, random = KeyIndex(), np.random.default_rng(1)
    sizes = []
    for _ in range(60):
        rows = index.insert(random.integers(0, 2**64, 1_000, np.uint64))
        assert rows.max() < 1_000
        index.remove(rows)
        sizes.append(index.nbytes)
    assert sizes[-1] <= sizes[0] * 1.5


def test_a_key_takes_no_more_than_the_stated_bytes() -> None:
    index, random = KeyIndex(), np.random.default_rng(1)
    worst = 0.0
    for _ in range(300):
        index.insert(random.integers(0, 2**64, 100, np.uint64))
        worst = max(worst, index.nbytes / len(index))
    assert worst <= 41


def test_a_salt_is_odd() -> None:
    with pytest.raises(ValueError, match="not odd"):
        KeyIndex(salt=2)
