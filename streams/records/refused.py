"""Refused lines as columns: there may be thousands of them in a batch."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.texts import Texts
from streams.records.contract import REFUSED, Place, Refusal

Int64Array = npt.NDArray[np.int64]

_NOTHING: Final = pl.DataFrame(schema=REFUSED)


class PlaceColumns(Sequence[Place]):
    """Where lines stood.

    Parameters
    ----------
    messages
        Index of the message that each line came from, int64, shape (n,).
    lines
        Its number there; the first is 1. int64, shape (n,).
    raw
        Its bytes, shape (n,): texts, or Binary.
    """

    def __init__(self, messages: Int64Array, lines: Int64Array, raw: Texts | pl.Series) -> None:
        self.messages = messages
        self.lines = lines
        self.raw = raw

    @classmethod
    def of(cls, places: Sequence[Place]) -> "PlaceColumns":
        """Put places into columns, where they are not yet."""
        if isinstance(places, PlaceColumns):
            return places
        count = len(places)
        messages = np.fromiter((place.message for place in places), np.int64, count)
        lines = np.fromiter((place.line for place in places), np.int64, count)
        return cls(messages, lines, pl.Series([place.raw for place in places], dtype=pl.Binary))

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Place]:
        raw = self.raw.parts() if isinstance(self.raw, Texts) else self.raw
        return map(Place, self.messages.tolist(), self.lines.tolist(), raw)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            rows = np.arange(len(self))[index]
            raw = self.raw.at(rows) if isinstance(self.raw, Texts) else self.raw[index]
            return PlaceColumns(self.messages[rows], self.lines[rows], raw)
        return Place(int(self.messages[index]), int(self.lines[index]), self.raw[index])


class Refused(Sequence[Refusal]):
    """Refused lines.

    Parameters
    ----------
    places
        Where they stood.
    reasons
        Why each is refused.

    Examples
    --------
    >>> refused = Refused([Place(0, 7, b"nonsense")], ["wrong field count: 1 instead of 14"])
    >>> [(place.line, reason) for place, reason in refused]
    [(7, 'wrong field count: 1 instead of 14')]
    """

    def __init__(self, places: Sequence[Place], reasons: list[str]) -> None:
        self.places = PlaceColumns.of(places)
        self.reasons = reasons

    @classmethod
    def of(cls, refusals: Sequence[Refusal]) -> "Refused":
        """Put refusals into columns, where they are not yet."""
        if isinstance(refusals, Refused):
            return refusals
        if not refusals:
            return _NONE
        return cls([place for place, _ in refusals], [reason for _, reason in refusals])

    def __len__(self) -> int:
        return len(self.reasons)

    def __iter__(self) -> Iterator[Refusal]:
        return map(Refusal, self.places, self.reasons)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Refused(self.places[index], self.reasons[index])
        return Refusal(self.places[index], self.reasons[index])

    def renumbered(self, indices: Int64Array) -> "Refused":
        """Name messages by their indices among others."""
        if not self.reasons:
            return self
        return Refused(PlaceColumns(indices[self.places.messages], self.places.lines, self.places.raw), self.reasons)


_NONE: Final = Refused([], [])


def frame(parts: Sequence[Refused]) -> pl.DataFrame:
    """Put refused lines into one frame, columns of `REFUSED`, in the order of messages and of lines in them."""
    filled = [part for part in parts if part]
    if not filled:
        return _NOTHING
    messages = np.concatenate([part.places.messages for part in filled])
    lines = np.concatenate([part.places.lines for part in filled])
    order = np.lexsort((lines, messages))
    reasons = [reason for part in filled for reason in part.reasons]
    columns = {
        "message": pl.Series(messages[order].astype(np.uint32)),
        "line": pl.Series(lines[order].astype(np.uint32)),
        "reason": pl.Series(reasons, dtype=pl.String)[pl.Series(order)],
        "raw": _raw([part.places.raw for part in filled], order),
    }
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def _raw(parts: Sequence[Texts | pl.Series], order: Int64Array) -> pl.Series:
    """Put bytes of lines together in another order; at one go where they lie in one buffer."""
    texts = [part for part in parts if isinstance(part, Texts)]
    if len(texts) == len(parts) and all(part.buffer is texts[0].buffer for part in texts):
        begin = np.concatenate([part.begin for part in texts])[order]
        end = np.concatenate([part.end for part in texts])[order]
        return texts[0].buffer.binaries(Texts(texts[0].buffer, begin, end))
    each = (part.buffer.binaries(part) if isinstance(part, Texts) else part for part in parts)
    return pl.concat(each)[pl.Series(order)]
