"""What becomes of a pane that closes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from detectors.contract import Need, Parameters, View
from detectors.finding import Detection
from detectors.route import SHARD_SHIFT
from detectors.statistics.refusal_sums import TARGET


@dataclass(frozen=True, slots=True)
class Partial:
    """A sum over one shard and pane of something that spans shards; the last one published wins."""

    name: str
    shard: int
    pane: int
    value: int


class Verdicts(NamedTuple):
    """What closing panes brought to light, in order of the panes."""

    detections: list[Detection]
    partials: list[Partial]


class Closed(NamedTuple):
    """A pane that has been judged, for who wants to look into it.

    Attributes
    ----------
    view
        The statistics that were judged.
    hosts
        Returns the rows of `detectors.statistics.directory.HOSTS` behind keys.
    parameters
        The values of parameters that were in force, by kind.
    detections
        What was said of it.
    """

    view: View
    hosts: Callable[[pl.Series], pl.DataFrame]
    parameters: Mapping[str, Parameters]
    detections: Sequence[Detection]


def partials(view: View) -> Iterator[Partial]:
    """Yield how many records were refused in each shard of the targets."""
    refused = view.table(Need("refused", 1))
    targets = np.flatnonzero(refused["level"].to_numpy() == TARGET)
    shards = (refused["key"].to_numpy()[targets] >> SHARD_SHIFT).view(np.int64)
    rejected = np.bincount(shards, refused["rejected"].to_numpy()[targets])
    for shard in np.flatnonzero(rejected):
        yield Partial("rejected", int(shard), view.pane, int(rejected[shard]))
