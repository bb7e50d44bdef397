"""The places of an ingest, opened: what cannot be is named, and the rest goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streams.errors import InputError
from streams.settings import Settings
from streams.sources import Source, source_at
from streams.sources.found import found
from streams.sources.merged import MergedSource
from streams.sources.places import bare


@dataclass
class Opened:
    """What was opened.

    Attributes
    ----------
    sources
        Sources by their places, without parameters.
    failed
        Places that could not be opened.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def open_places(places: Sequence[str], settings: Settings, report: Callable[[str], None]) -> Opened:
    """Open places.

    Parameters
    ----------
    places
        What to read.
    settings
        How lines are written, and how they are cut into blocks.
    report
        Is called with one line about each place that cannot be opened.

    Raises
    ------
    streams.errors.InputError
        When none of them can be.
    """
    opened = Opened()
    for place in places:
        name = _unused(bare(place), [*opened.sources, *opened.failed])
        try:
            several = [source_at(each) for each in found(place)]
        except InputError as error:
            if len(opened.failed) + 1 == len(places):
                raise
            opened.failed.append(name)
            report(str(error))
            continue
        # A thread for each file of a large folder would be too many.
        source = several[0] if len(several) == 1 else MergedSource(several, settings.records)
        source.cut_into(settings.blocks)
        opened.sources[name] = source
    return opened


def _unused(name: str, used: Sequence[str]) -> str:
    """Return a name, with a number where it is used already."""
    count = sum(each == name or each.startswith(f"{name} (") for each in used)
    return name if count == 0 else f"{name} ({count + 1})"
