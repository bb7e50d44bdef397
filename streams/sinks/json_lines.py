"""Findings as JSON lines in a file."""

from collections.abc import Sequence
from pathlib import Path

from detectors.finding import Finding
from streams.errors import ServiceError
from streams.sinks.contract import Delivery, Sink


class JsonLines(Sink):
    """Appends every state of every finding to a file, one JSON object a line."""

    name = "json-lines"
    hears_observed = True

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ServiceError(
                f"{path}: findings cannot be written there ({error.strerror}); set sinks.json_lines_path"
            ) from error

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
