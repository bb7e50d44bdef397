"""What several sources yield in threads of their own, handed over in order of event time."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from streams.records import RecordSettings
from streams.sources import Block, Source
from streams.sources.merge import Merge

_AHEAD_BLOCKS: Final = 8
"""Blocks of one source that may wait to be handed over; it reads no further meanwhile."""

_LOOK_SECONDS: Final = 0.2
"""How long a source may have begun to wait for something new before that is noticed."""


class Item(NamedTuple):
    """What is handed over: a block, or how a source ended."""

    source: Source
    block: Block | None
    error: BaseException | None = None


class Gathered:
    """Reads sources, and hands over what ends first, a minute more or less.

    A source that has something to give is waited for, and one that has given all that there is by now is not.

    Parameters
    ----------
    sources
        What to read.
    records
        How lines are written, to tell the time from them.
    """

    def __init__(self, sources: Sequence[Source], records: RecordSettings) -> None:
        self._sources = sources
        self._merge = Merge(records)
        self._read: dict[int, deque[Item]] = {index: deque() for index in range(len(sources))}
        self._changed = threading.Condition()
        self._stopped = False

    def start(self) -> None:
        """Begin to read."""
        for index, source in enumerate(self._sources):
            threading.Thread(target=self._blocks, args=(index,), name=source.name, daemon=True).start()

    def stop(self) -> None:
        """Read no further; what was read is handed over, without waiting for others."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether all sources have ended, and everything was handed over."""
        with self._changed:
            return not self._read and not self._merge

    def next(self, seconds: float) -> Item | None:
        """Wait for what comes next; None when nothing does within some time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                item = self._next()
                left = deadline - time.monotonic()
                if item is not None or left <= 0:
                    return item
                self._changed.wait(min(left, _LOOK_SECONDS))

    def _next(self) -> Item | None:
        waited_for = False
        for index, read in list(self._read.items()):
            if index in self._merge:
                continue
            if not read:
                waited_for |= not (self._stopped or self._sources[index].waits)
                continue
            item = read.popleft()
            self._changed.notify_all()
            if item.block is None:
                del self._read[index]
                return item
            if len(self._read) == 1 and not self._merge:
                return item
            self._merge.put(index, item.block)
        if waited_for or not self._merge:
            return None
        index, block = self._merge.take()
        return Item(self._sources[index], block)

    def _blocks(self, index: int) -> None:
        """Read a source; runs in its thread."""
        source, error = self._sources[index], None
        try:
            for block in source.blocks():
                if not self._add(index, Item(source, block)):
                    break
        except BaseException as raised:  # noqa: BLE001 - is raised again where it ends everything
            error = raised
        with self._changed:
            self._read[index].append(Item(source, None, error))
            self._changed.notify_all()

    def _add(self, index: int, item: Item) -> bool:
        with self._changed:
            while len(self._read[index]) >= _AHEAD_BLOCKS and not self._stopped:
                self._changed.wait()
            if not self._stopped:
                self._read[index].append(item)
                self._changed.notify_all()
            return not self._stopped
