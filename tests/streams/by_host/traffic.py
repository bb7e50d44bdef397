"""Flows for the topology by-host, what `flowhawk detect` finds in them, and what the service has published."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from streams.records.contract import WATERMARK_HEADER
from streams.settings import Settings
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.programs import environment_of, every, flowhawk
from tests.streams.topic_records import Record, end_offset, read, write

Found = Mapping[str, Mapping[str, Any]]
"""Findings as they were published last, by id."""


def attacks(hosts: int = 6, *, begin: int = NINE) -> list[str]:
    """Write scans by as many hosts as there are targets, one begun after the other, with traffic in between."""
    lines = [flow(f"10.0.2.{number}", end=begin + 20 + 60 * number) for number in range(hosts)]
    for number in range(hosts):
        lines += scan(f"203.0.113.{number + 9}", f"10.0.1.{number + 1}", end=begin + 30 + 60 * number)
    return sorted(lines, key=lambda line: int(line.split()[11]))


def publish(settings: Settings, lines: Sequence[str], partition: int = 0) -> None:
    """Put lines into a message on a partition of flows."""
    write(settings.kafka.bootstrap_servers[0], settings.topics.flows.name, [block(lines)], partition=partition)


def spread(settings: Settings, lines: Sequence[str]) -> None:
    """Share lines out among the partitions of flows, a few to a message."""
    count = settings.topics.flows.partitions
    for partition in range(count):
        values = [block(lines[begin : begin + 8]) for begin in range(8 * partition, len(lines), 8 * count)]
        write(settings.kafka.bootstrap_servers[0], settings.topics.flows.name, values, partition=partition)


def complete(settings: Settings) -> None:
    """Say that this was all there will ever be."""
    for partition in range(settings.topics.flows.partitions):
        write(
            settings.kafka.bootstrap_servers[0],
            settings.topics.flows.name,
            [b""],
            headers={WATERMARK_HEADER: b"end"},
            partition=partition,
        )


def detected(lines: Sequence[str], folder: Path, *arguments: str | Path) -> Found:
    """Return what `flowhawk detect` finds."""
    log = folder / "all.log"
    log.write_text("\n".join(lines))
    done = flowhawk("detect", *arguments, log)
    assert done.returncode == 0, done.stderr
    return {finding["id"]: finding for finding in map(json.loads, done.stdout.splitlines())}


def told(settings: Settings) -> Found:
    """Return the findings that were published, but for those that were told early and taken back."""
    records = read(settings.kafka.bootstrap_servers[0], settings.topics.findings.name)
    last = {finding["id"]: finding for finding in (json.loads(each.value) for each in records if each.value)}
    return {of: each for of, each in last.items() if each["status"] not in {"retracted", "superseded"}}


def wait_until(holds: Callable[[], bool], what: Callable[[], object] = lambda: "it did not come true") -> None:
    """Wait until something holds, outside of any event loop."""
    for _ in every(0.1, seconds=180):
        if holds():
            return
    raise AssertionError(what())


def read_all(settings: Settings, topic: str, partitions: int) -> list[Record]:
    """Read all partitions of a topic."""
    return [record for each in range(partitions) for record in read(settings.kafka.bootstrap_servers[0], topic, each)]


def committed(settings: Settings, topic: str, partitions: int) -> list[int | None]:
    """Return the committed offsets of the workers' group."""
    asked = [TopicPartition(topic, each) for each in range(partitions)]
    with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers[0]) as admin:
        offsets = admin.list_group_offsets({settings.kafka.group_id: asked})[settings.kafka.group_id]
    return [None if (found := offsets.get(each)) is None or found.offset < 0 else found.offset for each in asked]


def ends(settings: Settings, topic: str, partitions: int) -> list[int]:
    """Return where the partitions of a topic end."""
    return [end_offset(settings.kafka.bootstrap_servers[0], topic, each) for each in range(partitions)]


def environment(settings: Settings) -> dict[str, str]:
    """Say settings in the environment of a program."""
    topics = settings.topics
    return environment_of(settings.kafka.bootstrap_servers[0], topics) | {
        "FLOWHAWK__TOPOLOGY": "by-host",
        "FLOWHAWK__TOPICS__FLOWS__PARTITIONS": str(topics.flows.partitions),
        "FLOWHAWK__TOPICS__FLOWS_BY_HOST__PARTITIONS": str(topics.flows_by_host.partitions),
        "FLOWHAWK__TIME__IDLE_SECONDS": str(settings.time.idle_seconds),
    }


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, while the service runs on this event loop."""

    async def asked() -> bool:
        return holds()

    await until_so(asked)


async def until_so(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that somebody else has to be asked for."""
    async with asyncio.timeout(180):
        while not await holds():  # noqa: ASYNC110 - the broker tells nobody
            await asyncio.sleep(0.02)
