"""Where flow records come from: one module a source, found by discovery."""

from functools import cache

import streams.sources
from detectors.discovery import implementations
from streams.errors import InputError
from streams.sources.contract import Block, Position, Source

__all__ = ["Block", "Position", "Source", "source_at", "sources"]


@cache
def sources() -> tuple[type[Source], ...]:
    """Return every kind of source there is."""
    return implementations(streams.sources, Source)  # type: ignore[type-abstract]  # mypy issue 4717


def source_at(place: str) -> Source:
    """Open the source at a place, as written on the command line.

    Raises
    ------
    InputError
        When no kind of source takes such a place, or there is nothing to read.
    """
    for kind in sources():
        if kind.takes(place):
            return kind.at(place)
    known = ", ".join(kind.name for kind in sources())
    raise InputError(f"{place}: no source takes this; there are {known}")
