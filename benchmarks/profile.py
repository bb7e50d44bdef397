"""Where the CPU time goes in the stages, function by function, for both shapes of messages."""

import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Final, NamedTuple, Self

from benchmarks.hosts import SOURCE
from benchmarks.measurement import Measurement
from benchmarks.sizes import size
from benchmarks.traffic import joined, lines
from streams.app import MAX_EVENT_BYTES, MAX_POLL_RECORDS
from streams.fetched_records import Record, Records
from streams.pipeline import Batch, Pipeline
from streams.records.message_columns import MessageColumns
from streams.settings import load

SHAPES: Final = (("one record a message", 1), ("1,000 records a message", 1_000))

DEPTH: Final = 6
LEAST_SHARE: Final = 0.03
"""Functions that take less of the time are left out."""

_OWN: Final = ("streams", "detectors")
_PAUSE_SECONDS: Final = 0.002

Path = tuple[str, ...]
"""Functions of one's own that were under way, the outermost first."""


class Part(NamedTuple):
    """A function, how deep it lies, and its share of all the time, with what it calls."""

    depth: int
    name: str
    share: float


class Sampler:
    """Looks every two milliseconds of CPU time where the main thread is, as long as the `with` block lasts.

    Calls into Polars and numpy belong to the function that makes them. What such a call hides is made up for: a
    sample weighs as much as the CPU time since the one before.
    """

    def __init__(self) -> None:
        self.seconds: Counter[Path] = Counter()
        self._before = 0.0

    def __enter__(self) -> Self:
        self._before = time.process_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _PAUSE_SECONDS, _PAUSE_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        self.seconds[_path(frame)] += now - self._before  # type: ignore[assignment]  # counts may be fractions
        self._before = now


def _path(frame: FrameType | None) -> Path:
    found = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        # A comprehension belongs to the function that it stands in.
        if module.partition(".")[0] in _OWN and not frame.f_code.co_name.startswith("<"):
            found.append(f"{module}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(found))


def tree(seconds: Mapping[Path, float]) -> list[Part]:
    """Sum samples: each function under its caller, the dearest first.

    Examples
    --------
    >>> samples = {("run",): 1, ("run", "fold"): 2, ("run", "decode"): 6, ("run", "decode", "text"): 1}
    >>> for part in tree(samples):
    ...     print("  " * part.depth + part.name, part.share)
    run 1.0
      decode 0.7
        text 0.1
      fold 0.2
    """
    total = sum(seconds.values())
    shares: Counter[Path] = Counter()
    for path, its_seconds in seconds.items():
        for depth in range(1, min(len(path), DEPTH) + 1):
            shares[path[:depth]] += its_seconds / total  # type: ignore[assignment]  # counts may be fractions

    def below(above: Path) -> Iterator[Part]:
        inside = [path for path in shares if path[:-1] == above and shares[path] >= LEAST_SHARE]
        for path in sorted(inside, key=lambda each: -shares[each]):
            yield Part(len(above), path[-1], shares[path])
            yield from below(path)

    return list(below(()))


def measure() -> list[Measurement]:
    """Run the stages over messages of either shape, and say where the CPU time went."""
    found = []
    for shape, together in SHAPES:
        batches = _batches(lines(size("PROFILE_RECORDS")), together)
        pipeline = Pipeline(load())
        with Sampler() as sampler:
            for batch in batches:
                pipeline.process(batch)
            pipeline.finish(SOURCE)
        found += [
            Measurement(f"{shape}: {'> ' * part.depth}{part.name}", 100 * part.share, "%")
            for part in tree(sampler.seconds)
        ]
    return found


def _batches(each: Iterable[bytes], together: int) -> list[Batch]:
    """Bind messages as the service gets them: so many of them, and so many bytes, at a time."""
    records = Records.of(Record(offset, None, value) for offset, value in enumerate(joined(each, together)))
    return [
        Batch(SOURCE, MessageColumns(part), part.offsets, int(part.offsets[0]), int(part.offsets[-1]) + 1)
        for part in records.parts(MAX_POLL_RECORDS, MAX_EVENT_BYTES)
    ]
