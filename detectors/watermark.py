"""Event time: how far the slowest source has come."""

from collections.abc import Iterable

import numpy as np

from detectors.addresses import Int64Array
from detectors.state import Change
from detectors.watch import END_OF_TIME


class Watermarks:
    """The watermark over several sources: the lowest of theirs, and never lower than it was.

    Parameters
    ----------
    allowed_lateness_seconds
        How far a record may end behind the newest of its source and still count.

    Examples
    --------
    >>> watermarks = Watermarks(allowed_lateness_seconds=900)
    >>> watermarks.add("a"), watermarks.add("b")
    (None, None)
    >>> watermarks.seen("a", np.array([5000, 3000]))[1:]
    array([4100])
    >>> watermarks.seen("b", np.array([1000, 2000, 1500]))[1:]
    array([ 100, 1100])
    >>> watermarks.current
    1100
    >>> watermarks.finish("b")
    >>> watermarks.current
    4100
    """

    def __init__(self, allowed_lateness_seconds: int) -> None:
        self._allowed_lateness_seconds = allowed_lateness_seconds
        self._sources: dict[str, int] = {}
        self._resting: set[str] = set()
        self._current = -END_OF_TIME

    def add(self, source: str) -> None:
        """Wait for a source: until it speaks, the watermark stands still."""
        self._sources.setdefault(source, -END_OF_TIME)

    def rest(self, source: str) -> None:
        """Take note that a source is silent: nobody waits for it until it speaks again, and then it may be late."""
        self._resting.add(source)

    def seen(self, source: str, ends: Int64Array) -> Int64Array:
        """Take note of consecutive records of a source, and say how far it had come before each.

        Parameters
        ----------
        source
            Where they came from.
        ends
            Their ends, epoch seconds, int64, shape (n,).

        Returns
        -------
        Int64Array
            Epoch seconds, ascending, shape (n,). It follows from the order of the records, and not from how many
            of them come at once.
        """
        self._resting.discard(source)
        reached = np.empty(len(ends) + 1, np.int64)
        reached[0] = self._sources.get(source, -END_OF_TIME)
        np.subtract(ends, self._allowed_lateness_seconds, out=reached[1:])
        reached = np.maximum.accumulate(reached)
        if len(ends):
            self._sources[source] = int(reached[-1])
        return reached[:-1]

    def told(self, source: str, reached: Int64Array, newest: int) -> Int64Array:
        """Take note of some of the records of a range, of which somebody else has seen all: `seen`, from that.

        Parameters
        ----------
        source
            Where they came from.
        reached
            The newest end in the range before each of these records, epoch seconds, int64, shape (n,).
        newest
            The newest end in all of the range.

        Returns
        -------
        Int64Array
            What `seen` returns for these records.
        """
        self._resting.discard(source)
        before = self._sources.get(source, -END_OF_TIME)
        self._sources[source] = max(before, newest - self._allowed_lateness_seconds)
        return np.maximum(reached - self._allowed_lateness_seconds, before)

    def finish(self, source: str) -> None:
        """Take note that a source has ended: nobody waits for it any more."""
        self._sources[source] = END_OF_TIME

    def complete(self, source: str, seconds: int) -> None:
        """Take note that a source has told all there is of its time, up to `seconds` behind its newest record."""
        if source in self._sources:
            newest = self._sources[source] + self._allowed_lateness_seconds
            self._sources[source] = max(self._sources[source], newest + seconds)

    def reached(self, source: str) -> int:
        """Return how far one source has come, epoch seconds."""
        return self._sources[source]

    def changes(self) -> list[Change]:
        """Return the state to store."""
        state = {"sources": self._sources, "current": self.current, "resting": sorted(self._resting)}
        return [Change.of_document("watermarks", state)]

    def restore(self, changes: Iterable[Change]) -> None:
        """Take up the state that `changes` returned, in new watermarks."""
        for change in changes:
            state = change.document()
            self._sources, self._current = state["sources"], state["current"]
            self._resting = set(state.get("resting", ()))

    @property
    def current(self) -> int:
        """The watermark, epoch seconds: nothing that ends before it is still to come, but late."""
        awaited = [reached for source, reached in self._sources.items() if source not in self._resting]
        # Where nobody is waited for, the last one to fall silent must not hold up what the others have told.
        reached = min(awaited) if awaited else max(self._sources.values(), default=-END_OF_TIME)
        self._current = max(self._current, reached)
        return self._current
