"""Findings as they are on the topic: docs/reference/finding.schema.json is their schema."""

from collections.abc import Mapping
from typing import Any, ClassVar

from detectors.finding import Finding
from streams.formats.contract import JsonFormat


class Flowhawk(JsonFormat):
    """The finding itself."""

    name: ClassVar[str] = "flowhawk"

    def document(self, finding: Finding) -> Mapping[str, Any]:
        """Return its fields."""
        return finding.model_dump(mode="json")
