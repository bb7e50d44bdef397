"""State on its way to storage: named pieces that changed, and their bytes."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

STATE_VERSION: Final = 4
"""Raised when what the stages' `changes` yield means something else; stored state of other versions is refused."""


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of state that changed.

    Attributes
    ----------
    name
        Its name, the same as long as it is the same piece.
    content
        What it is now: a frame, which nobody changes in place and can therefore be written later; bytes; or
        None when the piece is gone.
    """

    name: str
    content: pl.DataFrame | bytes | None

    def encoded(self) -> bytes | None:
        """Return the bytes to store; None when the piece is gone."""
        if not isinstance(self.content, pl.DataFrame):
            return self.content
        buffer = io.BytesIO()
        self.content.write_ipc(buffer, compression="lz4")
        return buffer.getvalue()

    def frame(self) -> pl.DataFrame:
        """Return the frame, read from bytes where need be."""
        if isinstance(self.content, bytes):
            return pl.read_ipc(self.content)
        if self.content is None:
            raise ValueError(f"the piece {self.name!r} is gone")
        return self.content

    def document(self) -> Any:
        """Return the JSON document that `of_document` wrote."""
        if not isinstance(self.content, bytes):
            raise TypeError(f"the piece {self.name!r} is no document")
        return json.loads(self.content)

    @classmethod
    def of_document(cls, name: str, document: Any) -> "Change":
        """Make a piece of a JSON document."""
        return cls(name, json.dumps(document, sort_keys=True).encode())


def prefixed(prefix: str, changes: Iterable[Change]) -> Iterator[Change]:
    """Put the names of pieces below a prefix."""
    return (Change(f"{prefix}/{change.name}", change.content) for change in changes)


def below(prefix: str, changes: Iterable[Change]) -> list[Change]:
    """Return the pieces below a prefix, without it; the inverse of `prefixed`.

    >>> below("watch", prefixed("watch", [Change("position", b"{}")]))
    [Change(name='position', content=b'{}')]
    """
    start = f"{prefix}/"
    return [
        Change(change.name.removeprefix(start), change.content) for change in changes if change.name.startswith(start)
    ]


def merged(state: Mapping[str, Change], changes: Iterable[Change]) -> dict[str, Change]:
    """Bring a state up to date: the last change of a piece counts, and pieces that are gone are left out."""
    result = dict(state)
    for change in changes:
        if change.content is None:
            result.pop(change.name, None)
        else:
            result[change.name] = change
    return result
