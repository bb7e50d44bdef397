"""Whatever breaks, the statistics are those of the log, and the findings those of `flowhawk detect`."""

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from streams.kafka_settings import TopicSettings
from tests.faults.by_host import ByHostRound, by_host
from tests.faults.direct import DirectRound
from tests.faults.kinds import EVERY, EVERY_BY_HOST, EVERY_CLUSTER, QUICK, QUICK_BY_HOST, QUICK_CLUSTER
from tests.faults.rounds import Fault
from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import KafkaCluster

ROUNDS: Final = int(os.environ.get("FAULT_ROUNDS", "0"))
"""Long rounds to run after each quick one, see `make faults`."""

SEED: Final = int(os.environ["FAULT_SEED"])

LONG: Final = 8
"""Faults in a long round."""


def rounds(quick: Sequence[Fault], seconds: float, every: Sequence[Fault]) -> list[object]:
    """Give a quick round, and long ones of any faults, in any order, as often as it comes."""
    seeds = range(SEED + 1, SEED + 1 + ROUNDS)
    drawn = [(seed, random.Random(seed).choices(every, k=LONG)) for seed in seeds]  # noqa: S311 - the same every time
    return [
        pytest.param(SEED, quick, seconds, id=f"quick-{SEED}"),
        *(pytest.param(seed, faults, 150, id=f"long-{seed}") for seed, faults in drawn),
    ]


@pytest.fixture(autouse=True)
def say_seed(seed: int) -> None:
    print(f"\nFAULT_SEED={seed}")  # noqa: T201 - to run the same round again


@pytest.mark.parametrize(("seed", "faults", "seconds"), rounds(QUICK, 45, EVERY))
def test_faults_bend_nothing(  # noqa: PLR0917 - pytest passes them by name
    own_kafka_broker: KafkaBroker,
    topic_settings: TopicSettings,
    tmp_path: Path,
    seed: int,
    faults: Sequence[Fault],
    seconds: float,
) -> None:
    DirectRound(own_kafka_broker, topic_settings, tmp_path, seed).run(faults, seconds=seconds)


@pytest.mark.parametrize(("seed", "faults", "seconds"), rounds(QUICK_BY_HOST, 45, EVERY_BY_HOST))
def test_faults_bend_nothing_where_workers_share_the_hosts(  # noqa: PLR0917 - pytest passes them by name
    own_kafka_broker: KafkaBroker,
    topic_settings: TopicSettings,
    tmp_path: Path,
    seed: int,
    faults: Sequence[Fault],
    seconds: float,
) -> None:
    ByHostRound(own_kafka_broker, by_host(topic_settings), tmp_path, seed).run(faults, seconds=seconds)


# Three brokers beside everything else that runs are more than most machines have: `make faults` has them.
if ROUNDS:

    @pytest.mark.parametrize(("seed", "faults", "seconds"), rounds(QUICK_CLUSTER, 30, EVERY_CLUSTER))
    def test_faults_bend_nothing_where_brokers_of_a_cluster_die(  # noqa: PLR0917 - pytest passes them by name
        kafka_cluster: KafkaCluster,
        topic_settings: TopicSettings,
        tmp_path: Path,
        seed: int,
        faults: Sequence[Fault],
        seconds: float,
    ) -> None:
        topics = by_host(topic_settings, replication=3, min_in_sync=2)
        ByHostRound(kafka_cluster, topics, tmp_path, seed).run(faults, seconds=seconds)
