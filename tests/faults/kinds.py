"""The faults."""

import time
from typing import Final

from tests.faults.rounds import Fault, Round
from tests.faults.supervised import Worker
from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import KafkaCluster

_STOP_SECONDS: Final = 10


def _wait(round_: Round, least: float, most: float) -> None:
    time.sleep(round_.chance.uniform(least, most))


def killed_before_the_first_commit(round_: Round) -> None:
    owner = round_.owner
    _wait(round_, 0.0, 0.3)
    owner.kill()


def killed_in_the_middle(round_: Round) -> None:
    owner = round_.owner
    _wait(round_, 0.3, 2.0)
    owner.kill()


def killed_between_checkpoint_and_commit(round_: Round) -> None:
    owner = round_.owner_of(round_.wait_for_manifest())
    owner.kill()


def killed_while_restoring(round_: Round) -> None:
    round_.owner.kill()
    successor = round_.wait_for_takeover()
    _wait(round_, 0.0, 0.1)
    successor.kill()


def stopped_in_order(round_: Round) -> None:
    owner = round_.owner
    _wait(round_, 0.3, 1.0)
    owner.wait_for(" running ")
    assert owner.terminate(seconds=_STOP_SECONDS) == 0, owner.ended[-1]


def presumed_dead(round_: Round) -> None:
    """Paused for longer than the session lasts, until another worker goes on in its place; then it wakes up."""
    zombie = _paused_owner(round_)
    try:
        round_.wait_until_owned_by_another(zombie)
        _wait(round_, 0.5, 2.0)
    finally:
        zombie.resume_until_it_lets_go()


def _paused_owner(round_: Round) -> Worker:
    """Pause whoever has the partition, and not who had it until just now."""
    while True:
        owner = round_.owner
        round_.other(owner).wait_for(" running ")
        owner.pause()
        if owner.has(round_.aim):
            return owner
        owner.resume()


def killed_router(round_: Round) -> None:
    owner = round_.aim_at(round_.settings.topics.flows.name)
    _wait(round_, 0.0, 1.0)
    owner.kill()


def killed_watcher(round_: Round) -> None:
    owner = round_.aim_at(round_.settings.topics.flows_by_host.name)
    _wait(round_, 0.0, 1.0)
    owner.kill()


def killed_judge(round_: Round) -> None:
    owner = round_.aim_at(round_.settings.topics.partials.name)
    _wait(round_, 0.0, 1.0)
    owner.kill()


def workers_come_and_go(round_: Round) -> None:
    """One alone, two, four, and one again: each of them has something to do before the next change."""
    for number in (1, 2, 4, 1):
        while len(round_.supervised) > number:
            round_.stop_worker(round_.chance.choice(round_.supervised))
        while len(round_.supervised) < number:
            round_.start_worker()
        for worker in round_.supervised:
            worker.wait_for(" took over ")
        _wait(round_, 0.0, 1.0)


def broker_killed(round_: Round) -> None:
    assert isinstance(round_.kafka, KafkaBroker)
    _wait(round_, 0.2, 1.0)
    round_.kafka.kill()
    round_.kafka.start()


def broker_away(round_: Round) -> None:
    assert isinstance(round_.kafka, KafkaBroker)
    round_.kafka.kill()
    time.sleep(30)
    round_.kafka.start()


def one_broker_killed(round_: Round) -> None:
    """The one that leads a partition that is needed, be it that of transactions or of groups."""
    assert isinstance(round_.kafka, KafkaCluster)
    topic, _, number = round_.chance.choice(
        [*round_.owned, f"{round_.settings.topics.state.name}/0", "__transaction_state/0", "__consumer_offsets/0"]
    ).rpartition("/")
    _wait(round_, 0.2, 1.0)
    dead = round_.kafka.leader(topic, int(number))
    round_.kafka.kill(dead)
    _wait(round_, 1.0, 8.0)
    round_.kafka.start(dead)
    round_.kafka.wait_until_in_sync()


QUICK: Final[tuple[Fault, ...]] = (
    killed_before_the_first_commit,
    killed_between_checkpoint_and_commit,
    presumed_dead,
    stopped_in_order,
    broker_killed,
)

EVERY: Final[tuple[Fault, ...]] = (*QUICK, killed_in_the_middle, killed_while_restoring, broker_away)

QUICK_BY_HOST: Final[tuple[Fault, ...]] = (killed_between_checkpoint_and_commit, presumed_dead, workers_come_and_go)

EVERY_BY_HOST: Final[tuple[Fault, ...]] = (*EVERY, killed_router, killed_watcher, killed_judge, workers_come_and_go)

QUICK_CLUSTER: Final[tuple[Fault, ...]] = (one_broker_killed, killed_judge, one_broker_killed)

EVERY_CLUSTER: Final[tuple[Fault, ...]] = (
    *(one_broker_killed, one_broker_killed, one_broker_killed),
    *(each for each in EVERY_BY_HOST if each not in {broker_killed, broker_away}),
)
