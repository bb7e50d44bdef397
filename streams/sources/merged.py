"""Several sources as one, in order of event time, so that none makes the others late."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Self

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.records.aws_text import AwsText
from streams.sources.contract import Block, Position, Source


class MergedSource(Source):
    """Yields next what ends first: a block goes out once no source has one that ends earlier.

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
    written = ""

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
        unread = [source.blocks() for source in self._sources]
        heads: list[tuple[int, int, Block]] = []

        def read_on(index: int, reached: int) -> None:
            try:
                block = next(unread[index], None)
            except InputError as error:
                failures.append(error)
            else:
                if block is not None:
                    heappush(heads, (max(reached, self._reached(block)), index, block))

        for index in range(len(unread)):
            read_on(index, 0)
        while heads:
            reached, index, block = heappop(heads)
            self._origins[id(block)] = self._sources[index]
            yield block
            read_on(index, reached)
        if failures:
            raise InputError("\n".join(str(failure) for failure in failures))

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Pass it on to all of them."""
        for source in self._sources:
            source.resume(positions)

    def cut_into(self, settings: BlockSettings) -> None:
        """Pass it on to all of them."""
        for source in self._sources:
            source.cut_into(settings)

    def acknowledge(self, block: Block) -> None:
        """Pass it on to the source that the block came from."""
        source = self._sources[0] if len(self._sources) == 1 else self._origins.pop(id(block))
        source.acknowledge(block)

    def _reached(self, block: Block) -> int:
        """Tell the time of a block: from its last line where that is plain text, else from all of it."""
        message = Message(block.value, block.headers)
        names = AwsText().layout(message, self._records).split()
        fields = block.value[block.value.rfind(b"\n") + 1 :].split()
        if "end" in names and len(fields) == len(names) and (end := fields[names.index("end")]).isdigit():
            return int(end)
        ends = decode(message, self._records, NetworkSettings()).table.frame["end"]
        return int(ends.to_numpy().max()) if len(ends) else 0
