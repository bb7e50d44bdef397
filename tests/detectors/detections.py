"""Detections written by hand."""

from typing import Any

from detectors.finding import Detection
from tests.detectors.records import at


def detection(pane: int = 0, **said: Any) -> Detection:
    """A vertical scan, found at the close of a pane. It is about its source unless something else is said."""
    story: dict[str, Any] = {
        "kind": "vertical_scan",
        "severity": "medium",
        "provisional": False,
        "entity": "198.51.100.7",
        "source": "198.51.100.7",
        "target": "10.0.0.9",
        "ports": (22, 80),
        "protocol": 6,
        "direction": "inbound",
        "scope": "",
        "account_id": "123456789012",
        "vpc_id": "vpc-1",
        "interface_id": "eni-1",
        "window_start": at(pane - 4),
        "window_end": at(pane + 1),
        "first_seen": at(pane, 1),
        "last_seen": at(pane, 59),
        "value": 20.0,
        "threshold": 15.0,
        "baseline": None,
        "score": 62.5,
        "summary": "198.51.100.7 tried 20 ports of 10.0.0.9 in vain within six minutes",
        "evidence": {"failed_ports": 20},
        "mitre": ("T1046",),
        "detector_version": 1,
        "pane": at(pane),
        "shard": 7,
    }
    about = {"entity": said["source"]} if said.get("source") else {}
    return Detection(**{**story, **about, **said})
