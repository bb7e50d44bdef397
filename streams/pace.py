"""A limit to how many records go out a second."""

import time


class Pace:
    """Lets so many records pass a second, on average since the last pause.

    Parameters
    ----------
    per_second
        How many; infinite for any number.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    @property
    def wait_seconds(self) -> float:
        """How long the next record has to wait."""
        return max(0.0, self._free_at - time.monotonic())

    def passed(self, records: int) -> None:
        """Take note of records that pass now."""
        self._free_at = max(self._free_at, time.monotonic()) + records / self._per_second
