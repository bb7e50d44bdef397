"""Sources through the stages, as the service would run them, with the event time of every word."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from evaluation.matching import Told
from streams.generate.network import INTERNAL_IPV6
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Message
from streams.settings import Settings, load
from streams.sources.contract import Block, Source

LOOK_SECONDS: Final = 30
"""Event time between two looks at open panes, at least."""

_SOURCE: Final = "evaluation/0"


def settings(internal: Iterable[str] = ()) -> Settings:
    """Return the defaults, with the internal networks of generated traffic or those that are given."""
    own = tuple(internal)
    networks = load().networks
    return load(None, {"networks": {"internal": [*(own or (*networks.internal, INTERNAL_IPV6))]}})


def told_of(source: Source, chosen: Settings) -> list[Told]:
    """Run a source to its end, looking at open panes all the while.

    Parameters
    ----------
    source
        Blocks ordered by the end of their records, about.
    chosen
        The settings.

    Returns
    -------
    list
        Every state of every finding, in order, with the event time at which it was published: that of the newest
        record by then.
    """
    pipeline = Pipeline(chosen)
    pipeline.watermarks.add(_SOURCE)
    told: list[Told] = []
    now = looked = 0
    for batch in _batches(source):
        outcome = pipeline.process(batch)
        # What closed was let go by the newest record of this batch.
        now = max(now, outcome.watermark + chosen.time.allowed_lateness_seconds)
        told += [Told(now, finding) for finding in outcome.findings]
        if now - looked >= LOOK_SECONDS:
            told += [Told(now, finding) for finding in pipeline.look()]
            looked = now
    return [*told, *_at_the_end(pipeline.finish(_SOURCE), now)]


def _batches(source: Source) -> Iterator[Batch]:
    for number, block in enumerate(_small(source.blocks())):
        message = Message(block.value, block.headers, None)
        yield Batch(_SOURCE, [message], np.array([number]), number, number + 1)


_LINES: Final = 1_000


def _small(blocks: Iterable[Block]) -> Iterator[Block]:
    """Cut blocks, so that event time moves in small steps."""
    for block in blocks:
        lines = block.value.split(b"\n")
        for begin in range(0, len(lines), _LINES):
            part = lines[begin : begin + _LINES]
            yield Block(b"\n".join(part), block.headers, len(part), block.origin, block.position, block.line + begin)


def _at_the_end(outcome: Outcome, now: int) -> list[Told]:
    return [Told(now, finding) for finding in outcome.findings]
