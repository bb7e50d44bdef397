import asyncio

import pytest
from faust.types import TP

from streams.by_host.roles import Role, Roles, Worker
from streams.durable import NOTHING
from tests.streams.by_host.conftest import FailedError, Noted, failed

FLOWS, OTHERS = TP("flows", 0), TP("others", 0)


class Starting(Noted):
    """Starts, or fails to."""

    error: Exception | None = None

    async def start(self) -> None:
        self.done.append("start")
        if self.error is not None:
            raise self.error


@pytest.fixture
def role(worker: Worker) -> Starting:
    return Starting(worker, FLOWS)


@pytest.fixture
def roles(role: Starting) -> Roles:
    async def make(partition: TP) -> Role | None:
        return role if partition == FLOWS else None

    return Roles(make, failed)


async def test_a_partition_is_worked_on_from_assignment_to_revocation(roles: Roles, role: Starting) -> None:
    assert (roles.position(FLOWS), roles.committable(FLOWS), list(roles)) == (None, NOTHING, [])
    await roles.assigned(FLOWS)
    await roles.assigned(FLOWS)
    assert (roles.get(FLOWS), list(roles), roles.of(Starting)) == (role, [role], [role])
    assert (roles.position(FLOWS), roles.expected(FLOWS), roles.committable(FLOWS)) == (7, 7, 5)
    await roles.checkpoint()
    await roles.revoked(FLOWS)
    await roles.revoked(FLOWS)
    assert role.done == ["start", "checkpoint", "close"]
    assert roles.get(FLOWS) is None


async def test_topics_of_others_are_left_to_the_group(roles: Roles) -> None:
    await roles.assigned(OTHERS)
    await roles.revoked(OTHERS)
    assert (list(roles), roles.position(OTHERS)) == ([], None)


async def test_nobody_lets_go_of_a_state_that_is_being_worked_with(roles: Roles, role: Starting) -> None:
    await roles.assigned(FLOWS)
    async with roles.quiet():
        letting_go = asyncio.create_task(roles.revoked(FLOWS))
        await asyncio.sleep(0)
        assert "close" not in role.done
    await letting_go
    assert role.done[-1] == "close"


async def test_a_partition_that_cannot_be_taken_over_ends_the_process(roles: Roles, role: Starting) -> None:
    role.error = ValueError("nonsense")
    with pytest.raises(FailedError, match=r"flows/0 cannot be taken over: nonsense"):
        await roles.assigned(FLOWS)
    assert role.done == ["start", "close"]
    assert not roles.is_taking_over
