import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.statistics.keyed_rows import KeyedRows, grown

# Few, and many of them in the same place of any table.
KEYS = [*range(8), *(place + (number << 40) for place in (0, 7) for number in range(1, 60))]


def array(keys: list[int]) -> npt.NDArray[np.uint64]:
    return np.array(keys, np.uint64)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(KEYS))), max_size=30))
def test_keys_keep_their_rows_until_they_are_removed(steps: list[tuple[bool, set[int]]]) -> None:
    rows, known = KeyedRows(), dict[int, int]()
    for adding, some in steps:
        if adding:
            fresh = sorted(some - set(known))
            known |= dict(zip(fresh, rows.add(array(fresh)).tolist(), strict=True))
        else:
            leaving = sorted(some & set(known))
            rows.remove(np.array([known.pop(key) for key in leaving], np.int64))
        assert rows.find(array(KEYS)).tolist() == [known.get(key, -1) for key in KEYS]
        assert len(set(known.values())) == len(known) == len(rows)
        assert np.flatnonzero(rows.held()).tolist() == sorted(known.values())
        assert {key: int(rows.keys[row]) for key, row in known.items()} == {key: key for key in known}


def test_rows_are_used_again_before_new_ones_begin() -> None:
    rows = KeyedRows()
    taken = rows.add(np.arange(100, dtype=np.uint64))
    rows.remove(taken[10:40])
    again = rows.add(np.arange(1000, 1030, dtype=np.uint64))
    assert (sorted(again.tolist()), rows.end) == (list(range(10, 40)), 100)


def test_coming_and_going_does_not_take_more_and_more() -> None:
    rows = KeyedRows()
    for begin in range(0, 100_000, 500):
        rows.remove(rows.add(np.arange(begin, begin + 500, dtype=np.uint64)))
    assert rows.nbytes < 30_000


@pytest.mark.parametrize("length", [0, 3, 4, 100])
def test_an_array_grows_to_hold_so_much_and_keeps_what_it_holds(length: int) -> None:
    larger = grown(np.array([[1, 2], [3, 4], [5, 6]], np.uint8), length)
    assert len(larger) >= length
    assert larger[:3].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert not larger[3:].any()
