"""Findings as JSON lines in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from detectors.finding import Finding
from streams.errors import ServiceError
from streams.sinks.contract import Delivery, Sink, Surroundings


class JsonLinesSettings(BaseModel):
    """A file that every state of every finding is added to, one JSON object a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        description="File to add to; its folder is made where it is missing.",
        examples=["/var/lib/flowhawk/findings.jsonl"],
    )


class JsonLines(Sink):
    """Appends every state of every finding to a file, one JSON object a line."""

    name = "json_lines"
    settings = JsonLinesSettings
    hears_observed = True
    skipped_checks: ClassVar[Mapping[str, str]] = {
        "who_fails_for_a_while_is_told_later": "its own tests write to a disk that is full",
        "what_is_refused_for_good_is_hopeless": "a file refuses nothing for good",
    }

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ServiceError(
                f"{path}: findings cannot be written there ({error.strerror}); set sinks.json_lines.path"
            ) from error

    @classmethod
    def make(cls, settings: JsonLinesSettings, surroundings: Surroundings) -> Self:
        """Open the file."""
        del surroundings
        return cls(settings.path)

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Append and flush."""
        try:
            self._file.writelines(finding.model_dump_json() + "\n" for finding in findings)
            self._file.flush()
        except OSError:
            return Delivery.RETRY
        return Delivery.DELIVERED

    async def close(self) -> None:
        """Close the file."""
        self._file.close()
