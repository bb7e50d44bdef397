"""The service with the topology by-host, on a real broker: in process, and as several workers."""

import asyncio
import signal
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from streams.by_host.agents import ByHostAgents
from streams.by_host.judging import Judging
from streams.by_host.watcher import Watcher
from streams.kept_sinks import SinkChange
from streams.service import STOP_SECONDS, Service
from streams.settings import Settings, TimeSettings
from tests.streams.by_host.traffic import (
    attacks,
    committed,
    complete,
    detected,
    ends,
    environment,
    publish,
    read_all,
    spread,
    told,
    until,
    until_so,
    wait_until,
)
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import Program


def agents(service: Service) -> ByHostAgents:
    assert isinstance(service.watch, ByHostAgents)
    return service.watch


def has_taken_over(worker: Program) -> bool:
    return "took over" in worker.errors


def all_is_committed(settings: Settings) -> bool:
    counts = {settings.topics.flows.name: 2, settings.topics.flows_by_host.name: 3}
    return all(committed(settings, topic, count) == ends(settings, topic, count) for topic, count in counts.items())


async def until_told(settings: Settings, wanted: object) -> None:
    """Wait until the findings on the topic are those that are wanted, and all of them closed."""
    found: object = None

    async def same() -> bool:
        nonlocal found
        found = await asyncio.to_thread(told, settings)
        return found == wanted

    with suppress(TimeoutError):
        await until_so(same)
    assert found == wanted


async def test_flows_over_two_partitions_become_the_findings_of_detect(settings: Settings, tmp_path: Path) -> None:
    lines = attacks()
    wanted = await asyncio.to_thread(detected, lines, tmp_path)
    assert len(wanted) == 6
    service = Service(settings, [])
    metrics = service.metrics
    async with service:
        await asyncio.to_thread(spread, settings, lines)
        await until(lambda: metrics.value("flowhawk_block_rows_total") >= len(lines))
        await service.track()
        assert metrics.value("flowhawk_hosts") > 0
        assert metrics.value("flowhawk_state_rows", {"part": "contacts"}) > 0
        await asyncio.to_thread(complete, settings)
        await until_told(settings, wanted)
    assert metrics.value("flowhawk_records_total") == len(lines)
    # A record is counted in the partitions of both its hosts.
    assert len(lines) <= metrics.value("flowhawk_block_rows_total") <= 2 * len(lines)
    for stage in ("decode", "count", "judge", "write"):
        assert metrics.value("flowhawk_stage_seconds_count", {"stage": stage}) > 0


def test_two_workers_share_the_partitions_and_find_what_detect_finds(settings: Settings, tmp_path: Path) -> None:
    lines = attacks(8)
    wanted = detected(lines, tmp_path)
    surroundings = environment(settings) | {"FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "1"}
    with ExitStack() as stack:
        workers = []
        for name in ("one", "other"):
            (folder := tmp_path / name).mkdir()
            workers.append(stack.enter_context(Program("run", environment=surroundings, folder=folder)))
        for worker in workers:
            worker.wait_until(partial(has_taken_over, worker))
        spread(settings, lines)
        complete(settings)
        wait_until(lambda: told(settings) == wanted, lambda: (told(settings), [each.errors for each in workers]))
        for worker in workers:
            # Whoever is left has everything, and what it took over is behind the checkpoint again.
            wait_until(partial(all_is_committed, settings), partial(getattr, worker, "errors"))
            assert worker.stop(signal.SIGTERM, seconds=STOP_SECONDS + 6) == 0, worker.errors


async def test_a_restart_goes_on_from_the_checkpoints(settings: Settings, tmp_path: Path) -> None:
    lines = attacks()
    middle = len(lines) // 2
    wanted = await asyncio.to_thread(detected, lines, tmp_path)
    first, second = Service(settings, [], early=False), Service(settings, [], early=False)
    async with first:
        await asyncio.to_thread(spread, settings, lines[:middle])
        await until(lambda: first.metrics.value("flowhawk_records_total") == middle)
    async with second:
        await asyncio.to_thread(spread, settings, lines[middle:])
        await asyncio.to_thread(complete, settings)
        await until_told(settings, wanted)
    assert second.metrics.value("flowhawk_records_total") == len(lines) - middle
    assert second.metrics.value("flowhawk_replayed_messages_total") == 0


async def test_a_silent_partition_holds_nobody_up_until_it_speaks_again(settings: Settings) -> None:
    settings = settings.model_copy(update={"time": TimeSettings(idle_seconds=0.5)})
    hour = 3600

    async def closed() -> bool:
        return any(each["status"] == "closed" for each in (await asyncio.to_thread(told, settings)).values())

    async def keep_tracking() -> None:
        while True:
            await service.require_progress()
            await service.track()
            await asyncio.sleep(0.1)

    service = Service(settings, [], early=False)
    async with service:
        await until(lambda: not service.not_ready())
        tracking = asyncio.create_task(keep_tracking())
        await asyncio.to_thread(publish, settings, [*scan(), flow(end=NINE + 2 * hour)], 0)
        # The other one has never said a word.
        await until_so(closed)
        tracking.cancel()
        watchers = agents(service).partitions.of(Watcher)
        assert {each.shard.watermarks.current for each in watchers} == {NINE + 2 * hour - 900}
        # Once it speaks, it is waited for again.
        await asyncio.to_thread(publish, settings, [flow(end=NINE + 2 * hour + 60)], 1)
        other = f"{settings.topics.flows.name}/1"
        await until(lambda: all(each.shard.watch.applied(other) is not None for each in watchers))
        await asyncio.to_thread(publish, settings, [flow(end=NINE + 9 * hour)], 0)
        await until(lambda: service.metrics.value("flowhawk_records_total") == 23)
        source = f"{settings.topics.flows.name}/0"
        await until(lambda: all(each.shard.watermarks.reached(source) == NINE + 9 * hour - 900 for each in watchers))
        assert {each.shard.watermarks.current for each in watchers} == {NINE + 2 * hour + 60 - 900}


async def test_garbage_is_a_dead_letter_and_late_records_are_told_of_once(settings: Settings) -> None:
    # Both of its hosts are known to some partition, but only that of the sender tells.
    late = [flow(f"10.0.3.{host}", f"10.0.4.{host}", end=NINE) for host in range(20)]
    service = Service(settings, [], early=False)
    async with service:
        for partition in range(2):
            await asyncio.to_thread(publish, settings, [flow(end=NINE + 3600)], partition)
        await until(lambda: service.metrics.value("flowhawk_block_rows_total") >= 2)
        await asyncio.to_thread(publish, settings, ["certainly no flow", *late], 1)
        await until(lambda: service.metrics.value("flowhawk_late_total") == len(late))
    topics = settings.topics
    messages = await asyncio.to_thread(read_all, settings, topics.flows_late.name, 1)
    rows = [row for each in messages for row in each.value.splitlines()]
    assert sum(b"10.0.3." in row for row in rows) == len(late)
    (dead,) = await asyncio.to_thread(read_all, settings, topics.flows_dead_letter.name, 1)
    assert dead.value == b"certainly no flow"
    assert service.metrics.value("flowhawk_refused_total") == 1


async def test_it_is_ready_once_every_partition_is_restored_and_says_how_far_each_is_behind(settings: Settings) -> None:
    service = Service(settings, [])
    assert service.not_ready() == ["the service is starting"]
    topics = settings.topics
    async with service:
        await until(lambda: not service.not_ready())
        assert len(list(service.watch.partitions)) == 2 + 3 + 1
        async with agents(service).partitions.quiet():
            await asyncio.to_thread(publish, settings, scan())
            await service.require_progress()
            assert service.metrics.value("flowhawk_lag_messages", {"partition": f"{topics.flows.name}/0"}) == 1
        await until(lambda: service.metrics.value("flowhawk_block_rows_total") >= 20)

        async def caught_up() -> bool:
            await service.require_progress()
            names = [f"{topics.flows.name}/{each}" for each in range(2)]
            names += [f"{topics.flows_by_host.name}/{each}" for each in range(3)] + [f"{topics.partials.name}/0"]
            return sum(service.metrics.value("flowhawk_lag_messages", {"partition": each}) for each in names) == 0

        await until_so(caught_up)
    assert service.not_ready() == ["the service is stopping"]


async def test_stopping_takes_little_time_and_leaves_nothing_running(settings: Settings) -> None:
    before = asyncio.all_tasks()
    async with Service(settings, []) as service:
        await until(lambda: not service.not_ready())
        await asyncio.to_thread(spread, settings, attacks())
        await asyncio.to_thread(complete, settings)
        # Panes are being judged, or about to be.
        await until(lambda: service.metrics.value("flowhawk_block_rows_total") > 0)
        begun = time.monotonic()
    assert time.monotonic() - begun < STOP_SECONDS
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == set()


async def test_thresholds_that_are_reloaded_reach_whoever_judges(settings: Settings) -> None:
    lines = attacks(1)
    changed = settings.model_copy(update={"modes": {"vertical_scan": "off", "horizontal_scan": "off"}})
    service = Service(settings, [], early=False)
    async with service:
        await until(lambda: not service.not_ready())
        await service.retune(changed, SinkChange())
        await asyncio.to_thread(spread, settings, lines)
        await asyncio.to_thread(complete, settings)
        (judging,) = agents(service).partitions.of(Judging)
        await until(lambda: judging.verdict.settled > NINE)
        assert await asyncio.to_thread(told, settings) == {}
