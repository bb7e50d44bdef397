"""Items worked out ahead are those of the iterator, in its order, and so is what goes wrong."""

import threading
from collections.abc import Iterator

import pytest

from streams.ahead import ahead


def test_an_item_is_worked_out_while_the_one_before_it_is_used() -> None:
    begun: list[threading.Event] = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    found = ahead(items())
    assert next(found) == 0
    assert begun[1].wait(10)
    assert not begun[2].is_set()
    assert list(found) == [1, 2]


def test_an_error_comes_where_the_item_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second one")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="the second one"):
        next(found)


def test_what_waits_for_ever_does_not_keep_the_process() -> None:
    ended = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        ended.wait()

    found = ahead(items())
    assert next(found) == 1
    (waiting,) = (thread for thread in threading.enumerate() if thread.name == "ahead")
    assert waiting.daemon
    ended.set()
    waiting.join(10)
