"""Findings as lines in a file."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field

from detectors.finding import Finding
from streams.errors import ServiceError
from streams.formats import Format, formats
from streams.sinks.contract import Delivery, Sink, Surroundings
from streams.sinks.rotated_file import RotatedFile
from streams.sinks.siem_settings import FormatName

log = structlog.get_logger(__name__)


class JsonLinesSettings(BaseModel):
    """A file that every state of every finding is added to, one line each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(
        description="File to add to; its folder is made where it is missing.",
        examples=["/var/lib/flowhawk/findings.jsonl"],
    )
    format: FormatName = Field(default="flowhawk", description="`flowhawk`, `ocsf`, `ecs` or `cef`.")
    rotate_bytes: int | None = Field(
        default=None, ge=1, description="How large it may become before it is renamed to NAME.1; null for any size."
    )
    kept: int = Field(default=5, ge=0, description="How many renamed files are kept.")
    sync: bool = Field(default=False, description="Whether findings count as written only once they are on the disk.")


class JsonLines(Sink):
    """Appends every state of every finding to a file, one line each: a JSON object, unless another format is chosen.

    Parameters
    ----------
    path
        The file.
    written
        The format of the lines; None for findings as they are on the topic.
    rotate_bytes, kept, sync
        As `RotatedFile` takes them.

    Raises
    ------
    streams.errors.ServiceError
        When the file cannot be written.
    """

    name = "json_lines"
    settings = JsonLinesSettings
    hears_observed = True
    skipped_checks: ClassVar[Mapping[str, str]] = {
        "who_fails_for_a_while_is_told_later": "its own tests write to a disk that is full",
        "what_is_refused_for_good_is_hopeless": "a file refuses nothing for good",
    }

    def __init__(
        self,
        path: Path,
        written: Format | None = None,
        *,
        rotate_bytes: int | None = None,
        kept: int = 5,
        sync: bool = False,
    ) -> None:
        self.path = path
        self._format = written or formats()["flowhawk"]
        try:
            self._file = RotatedFile(path, rotate_bytes=rotate_bytes, kept=kept, sync=sync)
        except OSError as error:
            raise ServiceError(
                f"{path}: findings cannot be written there ({error.strerror}); set sinks.json_lines.path"
            ) from error

    @classmethod
    def make(cls, settings: JsonLinesSettings, surroundings: Surroundings) -> Self:
        """Open the file."""
        del surroundings
        return cls(
            settings.path,
            formats()[settings.format],
            rotate_bytes=settings.rotate_bytes,
            kept=settings.kept,
            sync=settings.sync,
        )

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Append, and wait for the disk where that is asked for."""
        lines = b"".join(self._format.written(finding) + b"\n" for finding in findings)
        try:
            # A disk may take its time, and the event loop has other things to do.
            await asyncio.to_thread(self._file.add, lines)
        except OSError as error:
            log.warning("findings cannot be written to a file", path=str(self.path), reason=error.strerror)
            return Delivery.RETRY
        return Delivery.DELIVERED

    async def close(self) -> None:
        """Close the file."""
        self._file.close()
