"""The sinks of a running service, held against settings that were read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from streams.errors import FlowhawkError
from streams.sink_settings import SinkSections, make_sink, sections
from streams.sinks import Sink, Surroundings

_NOTHING: Final = b""


@dataclass(frozen=True, slots=True)
class SinkChange:
    """What is to become of the sinks.

    Attributes
    ----------
    ends
        Names of sinks that are to end: their section is gone, or another one.
    begins
        Those that take their place, or are new.
    """

    ends: frozenset[str] = frozenset()
    begins: tuple[Sink, ...] = ()

    @property
    def names(self) -> Sequence[str]:
        """Whom it concerns."""
        return sorted({*self.ends, *(sink.name for sink in self.begins)})


class KeptSinks:
    """Knows with what settings sinks were made, and makes those anew whose settings are others by now.

    Parameters
    ----------
    settings
        The settings that the sinks were made with.
    surroundings
        What they may use of the process.
    """

    def __init__(self, settings: SinkSections, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._known = _stands(settings)

    async def change(self, settings: SinkSections) -> SinkChange:
        """Make what other settings ask for, and say what it replaces; what is running goes on.

        Raises
        ------
        streams.errors.FlowhawkError
            When a sink cannot be made; then none was.
        """
        stands = _stands(settings)
        ends = {name for name, stand in self._known.items() if stands.get(name) != stand}
        wanted = {
            name: section for name, section in sections(settings).items() if stands[name] != self._known.get(name)
        }
        made: list[Sink] = []
        try:
            for name, section in wanted.items():
                made.append(make_sink(name, section, self._surroundings))
        except FlowhawkError:
            for sink in made:
                await sink.close()
            raise
        self._known = stands
        return SinkChange(frozenset(ends), tuple(made))


def _stands(settings: SinkSections) -> Mapping[str, tuple[BaseModel, bytes]]:
    """Return each section with a digest of the files that it names, by sink: a new secret is a change, too."""
    return {name: (section, _files(section)) for name, section in sections(settings).items()}


def _files(section: BaseModel) -> bytes:
    digest = sha256()
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name.endswith("_file") and isinstance(value, Path):
            digest.update(_held(value))
    return digest.digest()


def _held(path: Path) -> bytes:
    try:
        return sha256(path.read_bytes()).digest()
    except OSError:
        # Whoever needs it says so.
        return _NOTHING
