from functools import partial

import pytest
from faust.types import TP

from streams.by_host.roles import Worker
from streams.by_host.router import Router, routed
from streams.output import FencedError
from streams.settings import Settings, TimeSettings
from streams.transport import Fetched
from tests.streams.by_host.events import blocks, event
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.topic_records import read

PARTS = 3


def fetched(settings: Settings, *values: bytes, begin: int = 0) -> Fetched:
    prepare = partial(routed, settings=settings, parts=PARTS)
    return event(settings.topics.flows.name, [(each, {}) for each in values], begin=begin, prepare=prepare)


def router(worker: Worker) -> Router:
    return Router(worker, TP(worker.settings.topics.flows.name, 0))


def test_the_same_event_gives_the_same_always(settings: Settings) -> None:
    first, second = (routed(fetched(settings, block(scan()), b"garbage"), settings, PARTS) for _ in range(2))
    assert first.records == second.records
    assert (first.outcome.records, first.outcome.refused.height) == (20, 1)
    topics = settings.topics
    assert {(each.topic, each.partition) for each in first.records} == {
        *((topics.flows_by_host.name, part) for part in range(PARTS)),
        (topics.flows_dead_letter.name, None),
    }


async def test_every_partition_of_hosts_hears_of_every_event(worker: Worker) -> None:
    settings = worker.settings
    role = router(worker)
    await role.start()
    await role.take(fetched(settings, block([flow(end=NINE)]), block(scan())))
    assert role.expected == 2
    await role.take(fetched(settings, block(scan(end=NINE + 90)), begin=2))
    await role.close()
    several = [blocks(settings, part) for part in range(PARTS)]
    for of_part in several:
        assert [(each.begin.offset, each.end.offset) for each in of_part] == [(0, 2), (2, 3)]
        assert [each.newest for each in of_part] == [NINE + 30, NINE + 90]
    assert sum(len(each.table) for of_part in several for each in of_part) >= 41
    assert worker.metrics.value("flowhawk_records_total") == 41
    assert worker.metrics.value("flowhawk_messages_total") == 3


async def test_what_is_no_record_is_a_dead_letter(worker: Worker) -> None:
    role = router(worker)
    await role.start()
    await role.take(fetched(worker.settings, b"garbage"))
    await role.close()
    (letter,) = read(worker.settings.kafka.bootstrap_servers[0], worker.settings.topics.flows_dead_letter.name)
    assert letter.value == b"garbage"
    assert worker.metrics.value("flowhawk_refused_total") == 1


async def test_who_was_shut_out_writes_nothing_more(worker: Worker) -> None:
    zombie, successor = router(worker), router(worker)
    await zombie.start()
    await successor.start()
    with pytest.raises(FencedError, match="another worker has taken"):
        await zombie.take(fetched(worker.settings, block(scan())))
    await zombie.close()
    await successor.close()
    assert blocks(worker.settings, 0) == []


async def test_silence_is_told_once_until_there_is_something_to_read_again(worker: Worker) -> None:
    worker.settings = worker.settings.model_copy(update={"time": TimeSettings(idle_seconds=1e-6)})
    role = router(worker)
    await role.start()
    await role.say_idle(0)
    await role.say_idle(0)
    await role.take(fetched(worker.settings, block(scan())))
    await role.say_idle(1)
    worker.settings = worker.settings.model_copy(update={"time": TimeSettings(idle_seconds=3600)})
    await role.take(fetched(worker.settings, block(scan()), begin=1))
    await role.say_idle(2)
    await role.close()
    for part in range(PARTS):
        assert [(each.idle, each.end.offset) for each in blocks(worker.settings, part)] == [
            (True, 0), (False, 1), (True, 1), (False, 2),
        ]  # fmt: skip
