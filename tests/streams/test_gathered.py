import threading
from collections.abc import Iterator, Mapping

import pytest

from streams.errors import InputError
from streams.gathered import Gathered
from streams.records import RecordSettings
from streams.sources import Block, Position, Source
from streams.sources.contract import PlacelessSource
from tests.streams.flow_lines import NINE, flow


def block(origin: str, end: int) -> Block:
    value = flow(end=end).encode()
    return Block(value, {}, 1, origin, len(value), start=0)


class Held(PlacelessSource):
    """Yields a block each time it is told to, and waits for something new only when it says so."""

    name = "held"
    size = consumed = 0
    waits = False

    def __init__(self, origin: str, *ends: int) -> None:
        self._origin, self._ends = origin, ends
        self.released = threading.Semaphore(0)
        self.reads = 0

    def blocks(self) -> Iterator[Block]:
        for end in self._ends:
            self.released.acquire()
            self.reads += 1
            yield block(self._origin, end)

    def resume(self, positions: Mapping[str, Position]) -> None:
        pass

    def acknowledge(self, block: Block) -> None:
        pass


def gathered(*sources: Source) -> Gathered:
    made = Gathered(sources, RecordSettings())
    made.start()
    return made


def next_origin(several: Gathered) -> str | None:
    item = several.next(10)
    return None if item is None or item.block is None else item.block.origin


def test_a_source_that_has_something_to_give_is_waited_for() -> None:
    slow, fast = Held("slow", NINE), Held("fast", NINE + 3600)
    several = gathered(slow, fast)
    fast.released.release()
    assert several.next(0.3) is None
    slow.released.release()
    assert [next_origin(several) for _ in range(4)].count(None) == 2
    assert several.ended


def test_what_ends_first_comes_first_whoever_was_quicker() -> None:
    slow, fast = Held("slow", NINE), Held("fast", NINE + 3600)
    several = gathered(slow, fast)
    fast.released.release()
    assert several.next(0.1) is None
    slow.released.release()
    origins = [origin for _ in range(4) if (origin := next_origin(several)) is not None]
    assert origins == ["slow", "fast"]


def test_a_source_that_waits_for_something_new_holds_up_nobody() -> None:
    idle, busy = Held("idle", NINE), Held("busy", NINE + 3600)
    idle.waits = True
    several = gathered(idle, busy)
    busy.released.release()
    assert next_origin(several) == "busy"


def test_when_told_to_stop_what_was_read_comes_and_nobody_is_waited_for() -> None:
    slow, fast = Held("slow", NINE, NINE), Held("fast", NINE + 3600)
    several = gathered(slow, fast)
    fast.released.release()
    assert several.next(0.1) is None
    several.stop()
    assert next_origin(several) == "fast"


def test_a_source_reads_no_further_than_so_many_blocks_ahead() -> None:
    held, other = Held("held", *range(NINE, NINE + 60)), Held("other", NINE)
    for _ in range(60):
        held.released.release()
    several = gathered(held, other)
    assert several.next(0.3) is None
    assert held.reads < 20
    several.stop()


def test_how_a_source_ended_is_told() -> None:
    class Broken(Held):
        def blocks(self) -> Iterator[Block]:
            yield from ()
            raise InputError("broken: cannot be read")

    several = gathered(Broken("broken"))
    item = several.next(10)
    assert item is not None
    assert str(item.error) == "broken: cannot be read"
    with pytest.raises(InputError):
        raise item.error or AssertionError
    assert several.ended
