import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from detectors.finding import Finding
from detectors.span import GapError
from detectors.state import Change
from streams.checkpoint import CheckpointError, Checkpoints
from streams.checkpoint_settings import CheckpointSettings
from streams.durable import DurablePipeline
from streams.metrics import Metrics
from streams.pipeline import Batch, Outcome, Pipeline
from streams.settings import Settings, load
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.found import batch
from tests.streams.memory import Memory

SOURCE = "flows/0"
HOUR = 3600

Make = Callable[..., DurablePipeline]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Give a function that makes a durable pipeline on a storage."""
    with ThreadPoolExecutor(1) as executor:

        def made(
            memory: Memory | None, *, interval_seconds: float = 1e-9, interval_bytes: int = 1 << 30
        ) -> DurablePipeline:
            return DurablePipeline(
                SOURCE,
                Pipeline(Settings()),
                None if memory is None else Checkpoints(memory),
                settings=CheckpointSettings(interval_seconds=interval_seconds, interval_bytes=interval_bytes),
                metrics=Metrics(),
                executor=executor,
            )

        yield made


async def process(durable: DurablePipeline, taken: Batch) -> Outcome:
    async def write(_: Outcome) -> None:
        pass

    return await durable.process(taken, write)


async def restored(make: Make, memory: Memory) -> DurablePipeline:
    durable = make(memory)
    await durable.restore()
    return durable


async def test_it_begins_empty_where_nothing_was_stored(make: Make) -> None:
    durable = await restored(make, Memory())
    assert (durable.expected, durable.committable) == (None, 0)


async def test_it_goes_on_where_the_last_checkpoint_was_written(make: Make) -> None:
    memory = Memory()
    first = await restored(make, memory)
    await process(first, batch([block(scan())], begin=7))
    await first.checkpoint()
    await process(first, batch([block(scan())], begin=8))
    second = await restored(make, memory)
    assert (second.expected, second.committable) == (8, 8)
    with pytest.raises(GapError):
        await process(second, batch([b""], begin=9))


async def test_nothing_may_be_committed_before_the_checkpoint_is_durable(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([b"", b""]))
    assert durable.committable == 0
    memory.open.clear()
    await durable.checkpoint_if_due()
    await process(durable, batch([b""], begin=2))
    await durable.checkpoint_if_due()
    assert (durable.committable, memory.keys("manifest")) == (0, [])
    memory.open.set()
    await durable.checkpoint()
    assert durable.committable == 3
    assert (await restored(make, memory)).expected == 3


async def test_what_is_processed_while_a_checkpoint_is_written_is_not_in_it(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([block(scan(ports=10))]))
    memory.open.clear()
    await durable.checkpoint_if_due()
    await process(durable, batch([block(scan(ports=20))], begin=1))
    memory.open.set()
    async with asyncio.timeout(10):
        while durable.committable == 0:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    second = await restored(make, memory)
    assert second.expected == 1
    findings = (await process(second, batch([block([flow(end=NINE + HOUR)])], begin=1))).findings
    assert findings == []


@pytest.mark.parametrize(("seconds", "size", "due"), [(3600, 1 << 30, False), (1e-9, 1 << 30, True), (3600, 10, True)])
async def test_checkpoints_are_due_by_time_or_by_bytes(make: Make, seconds: float, size: int, due: bool) -> None:
    memory = Memory()
    durable = make(memory, interval_seconds=seconds, interval_bytes=size)
    await durable.restore()
    await process(durable, batch([b"x" * 10]))
    await durable.checkpoint_if_due()
    await asyncio.sleep(0.1)
    assert bool(memory.keys("manifest")) == due


async def test_without_news_nothing_is_written(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await durable.checkpoint_if_due()
    await durable.checkpoint()
    assert memory.values == {}
    await process(durable, batch([b""]))
    await durable.checkpoint()
    stored = dict(memory.values)
    await durable.checkpoint()
    assert memory.values == stored


async def test_a_checkpoint_that_failed_in_the_background_is_told_at_the_next_call(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([b""]))
    memory.writes_left = 0
    await durable.checkpoint_if_due()
    await asyncio.sleep(0.1)
    with pytest.raises(CheckpointError, match="the power went out"):
        await durable.checkpoint_if_due()
    assert durable.committable == 0


async def test_what_could_not_be_written_comes_into_no_checkpoint(make: Make) -> None:
    async def fail(_: Outcome) -> None:
        raise OSError("no room")

    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([b""]))
    await durable.checkpoint()
    with pytest.raises(OSError, match="no room"):
        await durable.process(batch([b""], begin=1), fail)
    await durable.checkpoint()
    await process(durable, batch([b""], begin=2))
    await durable.checkpoint()
    assert durable.committable == 1
    assert (await restored(make, memory)).expected == 1


async def test_a_checkpoint_that_breaks_off_while_it_is_taken_is_the_last_one(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([block(scan())]))
    await durable.checkpoint()
    await process(durable, batch([block(scan("203.0.113.10"))], begin=1))
    taken, cancelled, changes = threading.Event(), threading.Event(), durable.pipeline.changes

    def slow(*, whole: bool = False) -> list[Change]:
        found = changes(whole=whole)
        taken.set()
        cancelled.wait()
        return found

    durable.pipeline.changes = slow  # type: ignore[method-assign]
    taking = asyncio.create_task(durable.checkpoint_if_due())
    await asyncio.to_thread(taken.wait)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    cancelled.set()
    # What it had taken is in nobody's hands any more: another checkpoint would lack it.
    await process(durable, batch([b""], begin=2))
    await durable.checkpoint()
    assert durable.committable == 1
    assert (await restored(make, memory)).expected == 1


async def test_what_other_settings_lead_to_comes_into_no_checkpoint_until_it_is_written(make: Make) -> None:
    async def fail(_: Sequence[Finding]) -> None:
        raise OSError("no room")

    memory, told = Memory(), list[Finding]()
    durable = await restored(make, memory)
    await process(durable, batch([block([*scan(), flow(end=NINE + HOUR // 2)])]))
    rule = {"name": "ours", "owner": "me", "reason": "it scans", "sources": ["203.0.113.9"]}
    suppressing = load(overrides={"suppressions": [rule]})

    async def write(findings: Sequence[Finding]) -> None:
        told.extend(findings)

    await durable.retune(suppressing, write)
    assert [(each.status, each.suppressed_by) for each in told] == [("closed", "ours")]
    with pytest.raises(OSError, match="no room"):
        await durable.retune(Settings(), fail)
    await durable.checkpoint()
    assert durable.committable == 0


async def test_what_is_abandoned_counts_for_nothing(make: Make) -> None:
    memory = Memory()
    durable = await restored(make, memory)
    await process(durable, batch([b""]))
    memory.open.clear()
    await durable.checkpoint_if_due()
    await asyncio.sleep(0.1)
    await durable.abandon()
    memory.open.set()
    assert (durable.committable, memory.keys("manifest")) == (0, [])


async def test_without_a_storage_all_may_be_committed_and_nothing_is_restored(make: Make) -> None:
    durable = make(None)
    await durable.restore()
    await process(durable, batch([b""]))
    await durable.checkpoint_if_due()
    await durable.checkpoint()
    await durable.abandon()
    assert (durable.expected, durable.committable) == (1, None)


def last_states(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


@pytest.mark.parametrize("seed", range(5))
async def test_findings_are_the_same_wherever_it_is_interrupted(make: Make, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same run every time
    ends = [NINE + 30, NINE + 90, NINE + 150, NINE + 2 * HOUR, NINE + 2 * HOUR + 60, NINE + 3 * HOUR]
    lines = [line for end in ends for line in scan(ports=chance.randrange(15, 60), end=end)]
    lines += [flow(f"10.0.0.{host}", end=end) for end in range(NINE, NINE + 4 * HOUR, 300) for host in range(3)]
    lines.sort(key=lambda line: int(line.split()[11]))
    values = [block(lines[at : at + 5]) for at in range(0, len(lines), 5)]
    values.append(block([flow(end=NINE + 9 * HOUR)]))
    whole = Pipeline(Settings())
    expected = last_states(whole.process(batch(values)).findings)

    memory, found = Memory(), list[Finding]()
    durable = await restored(make, memory)
    while (at := durable.expected or 0) < len(values):
        size = chance.randrange(1, 9)
        found += (await process(durable, batch(values[at : at + size], begin=at))).findings
        if chance.random() < 0.4:
            await durable.checkpoint()
        if chance.random() < 0.2:
            durable = await restored(make, memory)
    assert last_states(found) == expected
    assert len(expected) >= 3
