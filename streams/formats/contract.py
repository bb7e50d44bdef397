"""The contract of a format: how a finding is written for a system that has a language of its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final

from pydantic import TypeAdapter

import streams.formats
from detectors.discovery import implementations
from detectors.finding import Finding

_JSON: Final = TypeAdapter(Any)


class Format(ABC):
    """Writes findings. The same finding is always written in the same bytes, whenever and wherever that is.

    Attributes
    ----------
    name
        What it is called in the settings.
    content_type
        Media type of several findings together.
    """

    name: ClassVar[str]
    content_type: ClassVar[str]

    @abstractmethod
    def written(self, finding: Finding) -> bytes:
        """Write a finding as one line of UTF-8, without its end."""

    @abstractmethod
    def together(self, findings: Sequence[Finding]) -> bytes:
        """Write several findings as the body of one request."""


class JsonFormat(Format):
    """Writes a finding as a JSON object, and several as an array of them."""

    content_type: ClassVar[str] = "application/json"

    @abstractmethod
    def document(self, finding: Finding) -> Mapping[str, Any]:
        """Make the object: values of JSON only."""

    def written(self, finding: Finding) -> bytes:
        """Write the object on one line."""
        return _JSON.dump_json(self.document(finding))

    def together(self, findings: Sequence[Finding]) -> bytes:
        """Write an array."""
        return b"[" + b",".join(map(self.written, findings)) + b"]"


@cache
def formats() -> Mapping[str, Format]:
    """Return one format of each kind, by name.

    >>> sorted(formats())
    ['cef', 'ecs', 'flowhawk', 'ocsf']
    """
    found = [each() for each in implementations(streams.formats, Format)]  # type: ignore[type-abstract]  # mypy issue 4717
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}
