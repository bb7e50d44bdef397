"""A web server at the other end of a sink, that keeps of what is posted only what tests look for."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel

from tests.streams.sinks.ends import End
from tests.streams.web_server import Answer, Posted, WebServer, web_server


class _Told(list[Posted]):
    """Keeps the texts alone: a flood would fill the memory of the test."""

    def __init__(self, texts: Callable[[bytes], list[str]]) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._texts_of = texts

    def append(self, posted: Posted) -> None:
        self.texts += self._texts_of(posted.body)


class WebEnd(End):
    """A web server that takes findings, or refuses them."""

    def __init__(
        self, server: WebServer, settings: BaseModel, texts: Callable[[bytes], list[str]], good: Answer, bad: Answer
    ) -> None:
        super().__init__(settings)
        self._server, self._good, self._bad = server, good, bad
        self._told = _Told(texts)
        server.posted = self._told
        server.answers = [good]

    async def heard(self) -> str:
        return "\n".join(self._told.texts)

    async def fail(self) -> None:
        self._server.answers = [Answer(503)]

    async def recover(self) -> None:
        # What was refused was posted too.
        self._told.texts.clear()
        self._server.answers = [self._good]

    async def refuse(self) -> None:
        self._server.answers = [self._bad]


@asynccontextmanager
async def web_end(
    settings: Callable[[str], BaseModel],
    texts: Callable[[bytes], list[str]],
    *,
    good: Answer | None = None,
    bad: Answer | None = None,
) -> AsyncIterator[End]:
    """Serve for a sink whose settings follow from the address."""
    async with web_server() as server:
        yield WebEnd(server, settings(server.url), texts, good or Answer(), bad or Answer(400))


def members(body: bytes, key: str | None, *names: str) -> list[str]:
    """Read some members of each of the objects that a body holds in an array."""
    document = json.loads(body)
    return [" ".join(str(each[name]) for name in names) for each in (document if key is None else document[key])]
