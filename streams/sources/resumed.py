"""Going on where an earlier run stopped."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from streams.sources.contract import Block, Position


def behind(blocks: Iterable[Block], positions: Mapping[str, Position]) -> Iterator[Block]:
    r"""Leave out what Kafka has of origins whose positions are offsets into their text.

    Blocks may be cut at other places than the last time: the one that a position lies in is cut there.

    Parameters
    ----------
    blocks
        Blocks from the beginning of their origins.
    positions
        How much of each origin Kafka has.

    Examples
    --------
    >>> whole = Block(b"one\ntwo", {}, 2, "a.log", 8)
    >>> [block.value for block in behind([whole], {"a.log": Position(4)})]
    [b'two']
    """
    starts: dict[str, int] = {}
    for block in blocks:
        start = starts.get(block.origin, 0)
        starts[block.origin] = block.position
        known = positions.get(block.origin)
        if known is None or known.content != block.content or known.offset <= start:
            yield block
        elif known.offset < block.position:
            yield _tail(block, known.offset - start)


def _tail(block: Block, size: int) -> Block:
    left_out = block.value[:size].count(b"\n")
    return replace(block, value=block.value[size:], lines=block.lines - left_out, line=block.line + left_out)
