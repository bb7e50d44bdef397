"""Findings as lines in a file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from detectors.finding import Finding
from streams.errors import ServiceError
from streams.formats import Format, formats
from streams.sinks.contract import Delivery, Sink
from streams.sinks.rotated_file import RotatedFile

log = structlog.get_logger(__name__)


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

    name = "json-lines"
    hears_observed = True

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
                f"{path}: findings cannot be written there ({error.strerror}); set sinks.json_lines_path"
            ) from error

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
