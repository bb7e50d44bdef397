"""What Faust tells of itself: as much as Flowhawk's metrics need, and nothing once a record."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import faust
from faust.types import TP


class Sensor(faust.Sensor):
    """Stands in for Faust's monitor, which keeps histories of every event that nobody reads.

    Parameters
    ----------
    rebalanced
        Is told how long each rebalance took, seconds.
    """

    def __init__(self, rebalanced: Callable[[float], None], **options: Any) -> None:
        super().__init__(**options)
        self._rebalanced = rebalanced
        self.stream_inbound_time: dict[TP, float] = {}
        """When the last event of each partition came: Faust warns where there was none for long."""

    def on_stream_event_in(self, tp: TP, offset: int, stream: Any, event: Any) -> None:
        """Take note that something came."""
        del offset, stream, event
        self.stream_inbound_time[tp] = time.monotonic()

    def on_rebalance_start(self, app: Any) -> dict[str, float]:
        """Return when the rebalance began."""
        del app
        return {"begun": time.monotonic()}

    def on_rebalance_end(self, app: Any, state: dict[str, float]) -> None:
        """Tell how long it took."""
        del app
        self._rebalanced(time.monotonic() - state["begun"])

    def track_tp_end_offset(self, tp: TP, offset: int) -> None:
        """Do nothing: Faust's consumer calls this once an event."""

    def on_tp_commit(self, offsets: Mapping[TP, int]) -> None:
        """Do nothing: Faust's consumer calls this whenever it commits."""
