"""Objects of S3 as blocks: fetched ahead in parallel, read in the order given."""

import io
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, NamedTuple

from streams.block_settings import BlockSettings
from streams.errors import InputError
from streams.sources.aws import told
from streams.sources.contract import Block, Position
from streams.sources.lines import Lines
from streams.sources.resumed import END, behind, closed

AHEAD_BYTES: Final = 32 << 20
"""How many stored bytes are fetched ahead."""

STREAMED_BYTES: Final = 16 << 20
"""Larger objects are read as they come instead."""


class StoredObject(NamedTuple):
    """An object to read.

    Attributes
    ----------
    bucket, key
        Where it lies.
    etag
        Which content it had when it was listed; empty where nobody knows, then any will do.
    size
        Stored bytes.
    time
        When its records were written down, as far as anybody knows.
    """

    bucket: str
    key: str
    etag: str
    size: int
    time: datetime

    @property
    def origin(self) -> str:
        """The object as people write it."""
        return f"s3://{self.bucket}/{self.key}"


class ObjectReader:
    """Reads objects, one after the other, and fetches the next ones meanwhile.

    Parameters
    ----------
    s3
        A client of S3.
    parallel
        How many objects are fetched at a time.
    headers
        Headers of every block.
    told
        Is called once for each object, in order, when all its blocks have been yielded, or there were none, or with
        the error that it cannot be read for.
    """

    def __init__(
        self,
        s3: Any,
        *,
        parallel: int,
        headers: Mapping[str, bytes],
        told: Callable[[StoredObject, InputError | None], None],
        cut: BlockSettings,
    ) -> None:
        self._s3 = s3
        self._parallel = parallel
        self._headers = headers
        self._told = told
        self.cut = cut
        self.consumed = 0

    def read(self, objects: Sequence[StoredObject], positions: Mapping[str, Position]) -> Iterator[Block]:
        """Read objects in their order, without what Kafka has."""
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="s3") as pool:
            ahead: deque[tuple[StoredObject, Future[Any] | None]] = deque()
            waiting = deque(objects)
            try:
                while waiting or ahead:
                    while waiting and self._may_fetch(ahead):
                        one = waiting.popleft()
                        fetch = one.size <= STREAMED_BYTES and not _has_all(one, positions)
                        ahead.append((one, pool.submit(self._whole, one) if fetch else None))
                    yield from self._next(*ahead.popleft(), positions)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _may_fetch(self, ahead: Collection[tuple[StoredObject, "Future[Any] | None"]]) -> bool:
        fetched = sum(one.size for one, future in ahead if future is not None)
        return not ahead or (len(ahead) < self._parallel and fetched < AHEAD_BYTES)

    def _next(
        self, one: StoredObject, future: "Future[Any] | None", positions: Mapping[str, Position]
    ) -> Iterator[Block]:
        if _has_all(one, positions):
            self.consumed += one.size
            self._told(one, None)
            return
        try:
            yield from self._blocks(one, future, positions)
        except InputError as error:
            self._told(one, error)
        else:
            self._told(one, None)

    def _blocks(
        self, one: StoredObject, future: "Future[Any] | None", positions: Mapping[str, Position]
    ) -> Iterator[Block]:
        stored = _Body(self._opened(one), one.origin) if future is None else future.result()
        lines = Lines(stored, one.origin, content=one.etag, headers=dict(self._headers), cut=self.cut)
        before = self.consumed
        try:
            for block in behind(closed(lines.blocks()), positions):
                self.consumed = before + lines.consumed
                yield block
            self.consumed = before + lines.consumed
        finally:
            stored.close()

    def _whole(self, one: StoredObject) -> io.BytesIO:
        body = self._opened(one)
        with told(one.origin):
            return io.BytesIO(body.read())

    def _opened(self, one: StoredObject) -> Any:
        same = {"IfMatch": f'"{one.etag}"'} if one.etag else {}
        with told(one.origin):
            return self._s3.get_object(Bucket=one.bucket, Key=one.key, **same)["Body"]


class _Body:
    """An object that is read as it comes."""

    def __init__(self, body: Any, origin: str) -> None:
        self._body = body
        self._origin = origin

    def read1(self, size: int) -> bytes:
        with told(self._origin):
            data: bytes = self._body.read(size)
            return data

    def close(self) -> None:
        self._body.close()


def _has_all(one: StoredObject, positions: Mapping[str, Position]) -> bool:
    return positions.get(one.origin) == Position(END, one.etag)
