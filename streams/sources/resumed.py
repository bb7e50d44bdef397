"""Going on where an earlier run stopped."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from streams.errors import InputError
from streams.sources.contract import Block, Position

END: Final = 2**62
"""Position behind the last block of an origin that will not grow: there is no need to open it again."""


def closed(blocks: Iterable[Block]) -> Iterator[Block]:
    """Say in the last block of an origin that it is the last; not when the origin breaks off.

    >>> [block.position == END for block in closed([Block(b"1", {}, 1, "a", 2), Block(b"2", {}, 1, "a", 4, 2)])]
    [False, True]
    """
    held: Block | None = None
    try:
        for block in blocks:
            if held is not None:
                yield held
            held = block
    except InputError:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield replace(held, position=END)


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
            yield tail(block, known.offset - start)


def tail(block: Block, size: int) -> Block:
    r"""Return a block without so many bytes at its beginning.

    >>> rest = tail(Block(b"one\ntwo", {}, 2, "a.log", 8), 4)
    >>> rest.value, rest.line
    (b'two', 2)
    """
    left_out = block.value[:size].count(b"\n")
    start = None if block.start is None else block.start + size
    return replace(
        block, value=block.value[size:], lines=block.lines - left_out, line=block.line + left_out, start=start
    )
