import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.slots import Slots, grown
from tests.detectors import strategies


def test_growing_keeps_what_there_is_and_doubles() -> None:
    array = np.arange(6).reshape(3, 2)
    assert grown(array, 3) is array
    assert grown(array, 4).tolist() == [[0, 1], [2, 3], [4, 5], [0, 0], [0, 0], [0, 0]]
    assert len(grown(array, 100)) == 100


@strategies.quick
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20))
def test_no_block_is_handed_out_twice_and_each_is_empty(steps: list[tuple[bool, int]]) -> None:
    slots = Slots(2, np.uint8)
    held: list[int] = []
    for taking, count in steps:
        if taking:
            blocks = slots.take(count)
            assert not slots.blocks[blocks].any()
            slots.blocks[blocks] = 9
            held += blocks.tolist()
        else:
            slots.give_back(np.array(held[:count], np.int64))
            del held[:count]
        assert len(held) == len(set(held)) == slots.used


def test_blocks_that_came_back_are_used_before_new_ones_are_made() -> None:
    slots = Slots(1, np.uint64)
    for _ in range(10):
        slots.give_back(slots.take(100))
    assert len(slots.blocks) == 100
    assert slots.used == 0
