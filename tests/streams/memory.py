"""Storage of checkpoints in memory, which can be looked into, held up and broken."""

import asyncio
from collections.abc import Mapping

from streams.checkpoint import CheckpointError
from streams.output import FencedError


class Memory:
    """Keeps values.

    Attributes
    ----------
    values
        What is stored.
    writes_left
        How many values are taken before it breaks.
    fenced
        Whether somebody else owns it.
    open
        What makes a checkpoint valid waits for this.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.writes_left = 10**9
        self.fenced = False
        self.open = asyncio.Event()
        self.open.set()

    async def read(self) -> Mapping[str, bytes]:
        return dict(self.values)

    async def write(self, values: Mapping[str, bytes | None]) -> None:
        for key, value in values.items():
            self.take(key, value)

    async def seal(self, key: str, value: bytes) -> None:
        await self.open.wait()
        if self.fenced:
            raise FencedError("somebody else has it")
        self.take(key, value)

    def take(self, key: str, value: bytes | None) -> None:
        if not self.writes_left:
            raise CheckpointError("the power went out")
        self.writes_left -= 1
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def keys(self, kind: str) -> list[str]:
        return sorted(key for key in self.values if key.startswith(kind))
