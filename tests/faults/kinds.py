"""The faults."""

import time
from typing import Final

from tests.faults.rounds import Fault, Round

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
    owner = round_.owner
    round_.wait_for_manifest()
    owner.kill()


def killed_while_restoring(round_: Round) -> None:
    round_.owner.kill()
    successor = round_.wait_for_takeover()
    _wait(round_, 0.0, 0.1)
    successor.kill()


def stopped_in_order(round_: Round) -> None:
    owner = round_.owner
    _wait(round_, 0.3, 1.0)
    assert owner.terminate(seconds=_STOP_SECONDS) == 0, owner.ended[-1]


def presumed_dead(round_: Round) -> None:
    """Paused for longer than the session lasts, until the other worker goes on in its place; then it wakes up."""
    zombie = round_.owner
    successor = round_.other(zombie)
    successor.wait_for(" running ")
    zombie.pause()
    try:
        round_.wait_until_owned_by(successor)
        _wait(round_, 0.5, 2.0)
    finally:
        zombie.resume_until_it_lets_go()


def broker_killed(round_: Round) -> None:
    _wait(round_, 0.2, 1.0)
    round_.broker.kill()
    round_.broker.start()


def broker_away(round_: Round) -> None:
    round_.broker.kill()
    time.sleep(30)
    round_.broker.start()


QUICK: Final[tuple[Fault, ...]] = (
    killed_before_the_first_commit,
    killed_between_checkpoint_and_commit,
    presumed_dead,
    stopped_in_order,
    broker_killed,
)

EVERY: Final[tuple[Fault, ...]] = (*QUICK, killed_in_the_middle, killed_while_restoring, broker_away)
