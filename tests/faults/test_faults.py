"""Whatever breaks, the statistics are those of the log, and the findings those of `flowhawk detect`."""

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from streams.kafka_settings import TopicSettings
from tests.faults.kinds import EVERY, QUICK
from tests.faults.rounds import Fault, Round
from tests.kafka.broker import KafkaBroker

ROUNDS: Final = int(os.environ.get("FAULT_ROUNDS", "0"))
"""Long rounds to run after the quick one, see `make faults`."""

SEED: Final = int(os.environ["FAULT_SEED"])


def long_round(seed: int) -> Sequence[Fault]:
    """Draw the faults of a long round: any, in any order, as often as it comes."""
    return random.Random(seed).choices(EVERY, k=8)  # noqa: S311 - the same round every time


def rounds() -> list[object]:
    quick = pytest.param(SEED, QUICK, 45, id=f"quick-{SEED}")
    seeds = range(SEED + 1, SEED + 1 + ROUNDS)
    return [quick, *(pytest.param(seed, long_round(seed), 150, id=f"long-{seed}") for seed in seeds)]


@pytest.mark.parametrize(("seed", "faults", "seconds"), rounds())
def test_faults_bend_nothing(  # noqa: PLR0917 - pytest passes them by name
    own_kafka_broker: KafkaBroker,
    topic_settings: TopicSettings,
    tmp_path: Path,
    seed: int,
    faults: Sequence[Fault],
    seconds: float,
) -> None:
    print(f"\nFAULT_SEED={seed}")  # noqa: T201 - to run the same round again
    Round(own_kafka_broker, topic_settings, tmp_path, seed).run(faults, seconds=seconds)
