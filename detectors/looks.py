"""Which open panes are to be looked at, and by whom: who takes long looks less often than who does not."""

from collections.abc import Iterable, Mapping
from typing import Final

MOST_PANES: Final = 6
"""Panes that a detector looks at in one go: records seldom come for more, and each costs as much as when it closes."""


class Looks:
    """The open panes that records were added to since each detector looked at them last.

    Parameters
    ----------
    patience
        By kind of detector, at every which look it looks (`detectors.contract.Detector.patience`). After a rest that
        was as long, it looks at once.

    Examples
    --------
    >>> looks = Looks({"quick": 1, "slow": 2})
    >>> looks.add([60])
    >>> looks.take()
    {60: ['quick', 'slow']}
    >>> looks.add([120, 60])
    >>> looks.take(), looks.take()
    ({60: ['quick'], 120: ['quick']}, {60: ['slow'], 120: ['slow']})
    """

    def __init__(self, patience: Mapping[str, int]) -> None:
        self._patience = patience
        self._count = 0
        self._last = dict.fromkeys(patience, -max(patience.values(), default=1))
        self._waiting: dict[str, set[int]] = {kind: set() for kind in patience}

    def add(self, panes: Iterable[int]) -> None:
        """Take note that records were added to panes."""
        added = set(panes)
        for waiting in self._waiting.values():
            waiting.update(added)

    def discard(self, pane: int) -> None:
        """Take note that a pane is closed."""
        for waiting in self._waiting.values():
            waiting.discard(pane)

    def drop_before(self, begin: int) -> None:
        """Take note that all panes before a time are closed, epoch seconds."""
        self._waiting = {kind: {pane for pane in panes if pane >= begin} for kind, panes in self._waiting.items()}

    def take(self) -> dict[int, list[str]]:
        """Return which kinds are to look now, by pane, the panes in their order: the newest of those that wait."""
        self._count += 1
        turns: dict[int, list[str]] = {}
        for kind, waiting in self._waiting.items():
            if not waiting or self._count - self._last[kind] < self._patience[kind]:
                continue
            self._last[kind] = self._count
            for pane in sorted(waiting, reverse=True)[:MOST_PANES]:
                waiting.discard(pane)
                turns.setdefault(pane, []).append(kind)
        return dict(sorted(turns.items()))
