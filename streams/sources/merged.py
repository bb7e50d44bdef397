"""Several sources as one, in order of event time, so that none makes the others late."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.records import RecordSettings
from streams.sources.contract import Block, PlacelessSource, Position, Source
from streams.sources.merge import Merge

_AT_ONCE: Final = 32
"""So many sources are opened at once; of more only the beginnings are looked at first."""

_TOGETHER_BYTES: Final = 3 << 20
_FEWEST_BYTES: Final = 8 << 10
"""How much a block of each open source has together, about, and one at least; a source holds several times that."""


class MergedSource(PlacelessSource):
    """Yields next what ends first. Sources that can show their beginning are opened only when it is their turn.

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
        self._cut: BlockSettings | None = None
        self._origins: dict[int, Source] = {}

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
        merge, failures = Merge(self._records), list[InputError]()
        reading = _Reading(self._sources, merge, self._cut)
        for index, source in enumerate(self._sources):
            with _noted(failures):
                begin = source.begin() if len(self._sources) > _AT_ONCE else None
                if begin is None:
                    reading.read_on(index)
                else:
                    merge.expect(index, begin)
        while merge:
            index, block = merge.take()
            if block is not None:
                self._origins[id(block)] = self._sources[index]
                yield block
            if index not in merge:
                with _noted(failures):
                    reading.read_on(index)
        if failures:
            raise InputError("\n".join(str(failure) for failure in failures))

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Pass it on to all of them."""
        for source in self._sources:
            source.resume(positions)

    def cut_into(self, settings: BlockSettings) -> None:
        """Pass it on to all of them; where many are open at once, their blocks are smaller."""
        self._cut = settings
        for source in self._sources:
            source.cut_into(settings)

    def acknowledge(self, block: Block) -> None:
        """Pass it on to the source that the block came from."""
        source = self._sources[0] if len(self._sources) == 1 else self._origins.pop(id(block))
        source.acknowledge(block)


class _Reading:
    """Opens sources when their first block is wanted, and shares out the memory among those that are open."""

    def __init__(self, sources: Sequence[Source], merge: Merge, cut: BlockSettings | None) -> None:
        self._sources = sources
        self._merge = merge
        self._cut = cut
        self._open: dict[int, Iterator[Block]] = {}

    def read_on(self, index: int) -> None:
        """Put the next block of a source before the others, if there is one."""
        blocks = self._open.pop(index, None) or self._begun(self._sources[index])
        block = next(blocks, None)
        if block is not None:
            self._open[index] = blocks
            self._merge.put(index, block)

    def _begun(self, source: Source) -> Iterator[Block]:
        if self._cut is not None:
            share = max(_TOGETHER_BYTES // (len(self._open) + 1), _FEWEST_BYTES)
            source.cut_into(self._cut.model_copy(update={"bytes": min(self._cut.bytes, share)}))
        return source.blocks()


@contextmanager
def _noted(failures: list[InputError]) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        failures.append(error)
