"""How hosts are divided among partitions, changed: what was learned of them is gathered, and divided anew.

Windows are not: where the number of partitions changes, they begin anew. What was counted before counts no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from detectors.route import SHARD_SHIFT, Part
from detectors.span import Position
from detectors.state import Change, below, prefixed
from detectors.statistics.baseline_pieces import SHARD, BaselineError
from detectors.statistics.baselines import Baselines
from detectors.statistics.refusal_sums import COLUMN, INTERFACE
from streams.by_host.shard import NEVER, Shard
from streams.by_host.verdict import Verdict
from streams.checkpoint import CheckpointError
from streams.settings import Settings

WATCHED: Final = "watch/baselines"
JUDGED: Final = "judge"
"""Where baselines are in a checkpoint of a partition of hosts, and in that of the incidents stage."""

_SPANNING: Final = COLUMN[INTERFACE]
"""What the incidents stage learns, as it belongs to no host."""


def taken_out(where: str, state: Sequence[Change]) -> Baselines:
    """Return the baselines in a checkpoint.

    Raises
    ------
    streams.checkpoint.CheckpointError
        When they cannot be used.
    """
    found = Baselines()
    try:
        found.restore(below(where, state))
    except BaselineError as error:
        raise CheckpointError(f"the baselines in the checkpoint: {error}") from error
    return found


def put_in(where: str, state: Sequence[Change], baselines: Baselines) -> list[Change]:
    """Return a checkpoint with other baselines in it, and all else as it is."""
    rest = [change for change in state if not change.name.startswith(f"{where}/")]
    return [*rest, *prefixed(where, baselines.changes(whole=True))]


@dataclass(frozen=True, slots=True)
class Left:
    """What the checkpoint of a partition of hosts says, but for windows.

    Attributes
    ----------
    part
        Which partition of how many; None where nothing was counted.
    position
        The offset that comes next.
    applied
        The end of what was counted, by source.
    learned
        The pane that was closed last, epoch seconds.
    """

    part: Part | None
    position: int | None
    applied: Mapping[str, Position]
    learned: int

    @classmethod
    def of(cls, state: Sequence[Change]) -> "Left":
        """Read it from a checkpoint; without one, nothing was counted."""
        documents = {change.name: change.document() for change in state if change.name in {"position", _WATCH}}
        if len(documents) < len({"position", _WATCH}):
            return cls(None, None, {}, NEVER)
        position, watch = documents["position"], documents[_WATCH]
        applied = {source: Position(*end) for source, end in watch["applied"].items()}
        return cls(Part(*position["part"]), position["position"], applied, watch["learned"])


_WATCH: Final = "watch/position"


@dataclass(frozen=True, slots=True)
class Division:
    """The checkpoints of all partitions of hosts, as they are found, and of the incidents stage.

    Attributes
    ----------
    parts
        Those of the partitions there are now.
    judge
        That of the incidents stage.
    """

    parts: Sequence[Sequence[Change]]
    judge: Sequence[Change]

    @property
    def is_level(self) -> bool:
        """Whether all partitions that counted anything have come equally far."""
        return len(self._reached()) <= 1

    @property
    def fits(self) -> bool:
        """Whether workers can go on from here: hosts are still divided so, and the incidents stage knows of each."""
        judged = next((change.document() for change in self.judge if change.name == "judged"), None)
        known = {NEVER} if judged is None else {*judged["panes"]}
        left = [Left.of(state) for state in self.parts]
        divided = all(each.part in {None, Part(number, len(left))} for number, each in enumerate(left))
        return divided and (judged is None or judged["parts"] == len(left)) and {each.learned for each in left} <= known

    def gathered(self) -> Baselines:
        """Return what was learned in all of them.

        Raises
        ------
        streams.checkpoint.CheckpointError
            When something cannot be used.
        """
        several = [
            _of_part(taken_out(WATCHED, state).exported(), Left.of(state).part or Part(number, len(self.parts)))
            for number, state in enumerate(self.parts)
        ]
        several.append(taken_out(JUDGED, self.judge).exported().filter(pl.col("column") == _SPANNING))
        result = Baselines()
        result.take(pl.concat(several).sort("column", "shard"))
        return result

    def with_baselines(self, learned: Baselines, settings: Settings, sources: Iterable[str]) -> "Division":
        """Return checkpoints that workers can go on from, with other baselines; windows begin anew if nothing `fits`.

        Parameters
        ----------
        learned
            What is usual for all hosts, for interfaces and for the network.
        settings
            All settings.
        sources
            Names of the partitions of flows.
        """
        exported, count = learned.exported(), len(self.parts)
        hosts = [_taken(_of_part(exported, Part(number, count)), learned.destinations.count) for number in range(count)]
        spanning = _taken(exported.filter(pl.col("column") == _SPANNING), 0)
        begun = self if self.fits else self._begun(settings, sources)
        parts = [put_in(WATCHED, state, by) for state, by in zip(begun.parts, hosts, strict=True)]
        return Division(parts, put_in(JUDGED, begun.judge, spanning))

    def _begun(self, settings: Settings, sources: Iterable[str]) -> "Division":
        """Return checkpoints of partitions that begin behind everything that was counted and judged."""
        judged = next((change.document() for change in self.judge if change.name == "judged"), {"panes": [NEVER]})
        left, last = [Left.of(state) for state in self.parts], judged["panes"][-1]
        reached, named = self._reached(), list(sources)
        everywhere = reached[0] if len(reached) == 1 else {}
        parts = []
        for number, each in enumerate(left):
            shard = Shard(settings, Part(number, len(left)), named)
            shard.follow(each.position, each.applied or everywhere, last)
            parts.append(shard.changes(whole=True))
        verdict = Verdict(settings, len(left))
        verdict.follow(last, below("incidents", self.judge))
        return Division(parts, verdict.changes(whole=True))

    def _reached(self) -> list[Mapping[str, Position]]:
        """Return how far partitions have come, each place once."""
        found: list[Mapping[str, Position]] = []
        for each in map(Left.of, self.parts):
            if each.part is not None and each.applied not in found:
                found.append(each.applied)
        return found


def _of_part(exported: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Choose what a part has learned of its own hosts."""
    shards = exported["shard"].to_numpy().astype(np.uint64) << np.uint64(SHARD_SHIFT)
    return exported.filter(pl.Series(part.holds(shards), dtype=pl.Boolean) & (exported["column"] != _SPANNING))


def _taken(exported: pl.DataFrame, hours: int) -> Baselines:
    """Take up what was exported; hours of destinations count for all parts, also where nobody sent anything."""
    result = Baselines()
    result.take(exported.select(SHARD.names()))
    result.destinations.count = max(result.destinations.count, hours)
    return result
