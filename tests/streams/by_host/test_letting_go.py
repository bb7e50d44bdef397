"""What a worker does with partitions that it lets go of while something is under way."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import pytest
from faust.types import TP

from detectors.questions import Question
from detectors.route import Part
from detectors.statistics.contacts import PANE_SECONDS
from streams.by_host.blocks import decode
from streams.by_host.commands import ASK, SETTLE, Command
from streams.by_host.cuts import write
from streams.by_host.roles import Role, Roles, Worker
from streams.by_host.shard import NEVER, Shard
from streams.durable import NOTHING
from streams.records import decode_all
from streams.settings import Settings
from tests.streams.by_host.conftest import Noted
from tests.streams.flow_lines import NINE, block, flow
from tests.streams.found import batch

PARTITION = TP("flows-by-host", 0)


class Waiting(Noted):
    """Takes to start until it is let."""

    def __init__(self, worker: Worker, partition: TP) -> None:
        super().__init__(worker, partition)
        self.may_start = asyncio.Event()

    async def start(self) -> None:
        await self.may_start.wait()

    async def checkpoint_if_due(self) -> None:
        self.done.append("checkpoint_if_due")


def failed(what: str, error: Exception) -> NoReturn:
    raise AssertionError(what) from error


@pytest.fixture
def noted() -> Waiting:
    return Waiting(None, PARTITION)  # type: ignore[arg-type]  # it shares nothing with others


@pytest.fixture
def roles(noted: Waiting) -> Roles:
    async def make(_: TP) -> Role:
        return noted

    return Roles(make, failed)


async def test_what_is_just_being_taken_over_is_let_go_of_too(noted: Waiting, roles: Roles) -> None:
    taking = asyncio.create_task(roles.assigned(PARTITION))
    await asyncio.sleep(0)
    assert roles.is_taking_over
    await roles.close()
    assert taking.cancelled()
    assert noted.done == ["close"]
    assert roles.get(PARTITION) is None


async def test_nothing_is_taken_over_any_more_once_all_is_let_go_of(noted: Waiting, roles: Roles) -> None:
    noted.may_start.set()
    await roles.close()
    await roles.assigned(PARTITION)
    assert roles.get(PARTITION) is None


@pytest.mark.parametrize("checkpoint", [Roles.checkpoint, Roles.checkpoint_if_due])
async def test_no_checkpoint_begins_of_what_was_let_go_of_meanwhile(
    noted: Waiting, roles: Roles, checkpoint: Callable[[Roles], asyncio.Future[None]]
) -> None:
    noted.may_start.set()
    await roles.assigned(PARTITION)
    async with noted.lock:
        letting_go = asyncio.create_task(roles.revoked(PARTITION))
        await asyncio.sleep(0)
        # It has seen the role before it was let go of.
        roles._owned[PARTITION] = noted
        checkpointing = asyncio.ensure_future(checkpoint(roles))
        await asyncio.sleep(0)
    await asyncio.gather(letting_go, checkpointing)
    assert noted.done == ["close"]


async def test_what_is_acknowledged_while_nobody_has_a_partition_is_not_committed(noted: Waiting, roles: Roles) -> None:
    assert roles.committable(PARTITION) == NOTHING
    noted.may_start.set()
    await roles.assigned(PARTITION)
    assert roles.committable(PARTITION) == 5
    await roles.close()
    assert roles.committable(PARTITION) == NOTHING


def test_what_is_repeated_for_others_forgets_nothing_of_a_pane_that_is_being_judged() -> None:
    settings = Settings()
    shard = Shard(settings, Part(0, of=1), ["0"])
    of = batch([block([flow()]), block([flow(end=NINE + 36_000)])], source="0")
    decoded = decode_all(of.messages, settings.records, settings.networks)
    shard.apply([decode(each.value, each.headers) for each in write(of, decoded, 1)], of.end)
    reached = shard.reached
    shard.obey([Command(ASK, NEVER, NINE, reached.watermark, Question("table", "refused"))])
    shard.obey([Command(SETTLE, NEVER, NEVER, watermark) for watermark in (NEVER, NINE + PANE_SECONDS)])
    assert NINE in shard.watch.contacts.panes
