"""Findings and settings for the tests of alerts."""

from typing import Any, Final

from detectors.finding import Finding
from streams.alertmanager.settings import AlertmanagerSettings
from tests.streams.found import findings

NOW: Final = 1_767_610_000.0
FIRST: Final = findings()[0]


def finding(name: str = "a", **others: Any) -> Finding:
    """Make a finding with an identifier of its own, and by default about a host of its own."""
    return FIRST.model_copy(update={"id": name, "entity": f"host-{name}", "status": "open", **others})


def settings(**others: Any) -> AlertmanagerSettings:
    return AlertmanagerSettings.model_validate({"urls": ["http://alertmanager.example.org:9093"], **others})
