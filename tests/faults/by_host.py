"""Rounds of the topology by-host: workers divide partitions of flows and of hosts, and one of them judges."""

from collections.abc import Sequence
from itertools import chain
from typing import ClassVar

import numpy as np

from detectors.route import Part
from streams.by_host.commands import KIND_HEADER, REACHED, SETTLE, Command, Reached
from streams.kafka_settings import Topic, TopicSettings
from tests.faults import oracle, stored
from tests.faults.rounds import Round, check_counts
from tests.streams.topic_records import Headers, read


def by_host(topics: TopicSettings, *, replication: int = 1, min_in_sync: int = 1) -> TopicSettings:
    """Give the topics of such a round several partitions, and copies."""
    partitions = {"flows": 3, "flows_by_host": 4, "state": 2}
    return topics.model_copy(
        update={
            name: getattr(topics, name).model_copy(
                update={
                    "partitions": partitions.get(name, 1),
                    "replication": replication,
                    "min_in_sync": min_in_sync,
                }
            )
            for name in TopicSettings.model_fields
            if name != "create"
        }
    )


class ByHostRound(Round):
    """One round of faults, each striking whoever has some partition."""

    topology: ClassVar[str] = "by-host"

    @property
    def owned(self) -> Sequence[str]:
        """Names of the partitions that workers divide among themselves."""
        topics = self.settings.topics
        return [*chain.from_iterable(map(_sources, (topics.flows, topics.flows_by_host, topics.partials)))]

    @property
    def stateful(self) -> Sequence[str]:
        """Names of those whose committed offset is behind a checkpoint."""
        return _sources(self.settings.topics.flows_by_host)

    def checkpointed(self, source: str) -> int:
        """Return the offset that the last checkpoint of a partition goes on at."""
        return stored.position(stored.checkpoint(self.settings, source))

    def wait_until_done(self) -> None:
        """Wait until all blocks are counted, and all panes judged that can be."""
        topics = self.settings.topics
        self.wait_until_committed(topics.flows_by_host.name, self._ends_of_blocks())
        said = [Reached.read(each.value) for each in self.read(topics.partials.name) if _kind(each.headers) == REACHED]
        # The last word of each counts.
        reached = {each.part.number: each.watermark for each in said}
        assert len(reached) == topics.flows_by_host.partitions, reached
        watermark = min(reached.values())
        self.wait_until(lambda: self._settled() >= watermark, f"not everything is judged up to {watermark}")

    def check_checkpoints(self, ends: Sequence[int]) -> None:
        """See to it that what is stored goes on where flows end."""
        flows = self.settings.topics.flows.name
        expected = {f"{flows}/{number}": (end, 0) for number, end in enumerate(ends)}
        for source, end in zip(self.stateful, self._ends_of_blocks(), strict=True):
            changes = stored.checkpoint(self.settings, source)
            assert stored.applied(changes) == expected
            assert stored.position(changes) >= end

    def check_statistics(self, lines: Sequence[str]) -> None:
        """Compare what is stored of each partition of hosts with what the oracle counts of their lines."""
        checkpoints = [stored.checkpoint(self.settings, source) for source in self.stateful]
        keys = {name: key for changes in checkpoints for key, name in stored.hosts(changes).items()}
        concerned = [oracle.concerned(line) for line in lines]
        for number, changes in enumerate(checkpoints):
            part = Part(number, len(checkpoints))
            held = part.holds(np.array([*keys.values()], np.uint64))
            own = {name for name, is_held in zip(keys, held, strict=True) if is_held}
            told = zip(lines, concerned, strict=True)
            check_counts(changes, [line for line, hosts in told if not own.isdisjoint(hosts)])

    def _ends_of_blocks(self) -> list[int]:
        """Return where the last block of each partition ends; what marks a transaction behind it is no message."""
        topic = self.settings.topics.flows_by_host
        return [read(self.kafka.bootstrap, topic.name, number)[-1].offset + 1 for number in range(topic.partitions)]

    def _settled(self) -> int:
        """Return how far all panes are judged, as was said last."""
        told = [each for each in self.read(self.settings.topics.questions.name) if _kind(each.headers) == SETTLE]
        return max((Command.read(SETTLE, each.value).watermark for each in told), default=0)


def _sources(topic: Topic) -> list[str]:
    return [f"{topic.name}/{number}" for number in range(topic.partitions)]


def _kind(headers: Headers) -> str:
    return headers[KIND_HEADER].decode()
