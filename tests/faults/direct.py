"""Rounds of the topology direct: one partition, and whoever has it does everything."""

from collections.abc import Sequence
from typing import ClassVar

from tests.faults import stored
from tests.faults.rounds import Round, check_counts


class DirectRound(Round):
    """One round of faults, all of them striking whoever has the partition of flows."""

    topology: ClassVar[str] = "direct"

    @property
    def owned(self) -> Sequence[str]:
        """Names of the partitions that workers divide among themselves."""
        return [f"{self.settings.topics.flows.name}/0"]

    @property
    def stateful(self) -> Sequence[str]:
        """Names of those whose committed offset is behind a checkpoint."""
        return self.owned

    def checkpointed(self, source: str) -> int:
        """Return the offset that the last checkpoint of a partition goes on at."""
        return stored.offset(stored.checkpoint(self.settings, source), self.settings)

    def wait_until_done(self) -> None:
        """Wait for nothing: what is committed is judged."""

    def check_checkpoints(self, ends: Sequence[int]) -> None:
        """See to it that what is stored goes on where flows end."""
        assert [self.checkpointed(source) for source in self.owned] == ends

    def check_statistics(self, lines: Sequence[str]) -> None:
        """Compare what is stored with what the oracle counts."""
        check_counts(stored.checkpoint(self.settings), lines)
