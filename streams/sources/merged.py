"""Several sources as one, in order of event time, so that none makes the others late."""

from collections.abc import Iterator, Sequence
from typing import Self

from streams.errors import InputError
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.sources.contract import Block, Source


class MergedSource(Source):
    """Reads on in the source whose event time is furthest behind.

    Parameters
    ----------
    sources
        The sources.
    records
        How their lines are written, to tell the time from them.

    Raises
    ------
    streams.errors.InputError
        From `blocks`, when sources could not be read to their ends: after everything that could be read.
    """

    name = "merged"

    def __init__(self, sources: Sequence[Source], records: RecordSettings) -> None:
        self._sources = sources
        self._records = records
        self._origins: dict[int, Source] = {}

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take no place: it is made of other sources."""
        del place
        return False

    @classmethod
    def at(cls, place: str) -> Self:
        """Refuse: there is no place for it."""
        raise InputError(f"{place}: name the sources one by one")

    @property
    def size(self) -> int:
        """Bytes of all sources."""
        return sum(source.size for source in self._sources)

    @property
    def consumed(self) -> int:
        """Bytes read of all sources."""
        return sum(source.consumed for source in self._sources)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of all sources."""
        if len(self._sources) == 1:
            yield from self._sources[0].blocks()
            return
        failures: list[InputError] = []
        under_way = [(0, index, source.blocks()) for index, source in enumerate(self._sources)]
        while under_way:
            behind = min(under_way)
            under_way.remove(behind)
            reached, index, blocks = behind
            try:
                block = next(blocks, None)
            except InputError as error:
                failures.append(error)
                continue
            if block is not None:
                self._origins[id(block)] = self._sources[index]
                under_way.append((max(reached, self._reached(block)), index, blocks))
                yield block
        if failures:
            raise InputError("\n".join(str(failure) for failure in failures))

    def acknowledge(self, block: Block) -> None:
        """Pass it on to the source that the block came from."""
        source = self._sources[0] if len(self._sources) == 1 else self._origins.pop(id(block))
        source.acknowledge(block)

    def _reached(self, block: Block) -> int:
        """Tell the time of a block from the last line that has one."""
        for line in reversed(block.value.split(b"\n")):
            ends = decode(Message(line, block.headers), self._records, NetworkSettings()).table.frame["end"]
            if len(ends):
                return int(ends[0])
        return 0
