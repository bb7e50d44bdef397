"""Partitions of hosts find together what one machine finds, whatever is delayed, repeated or dies."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from detectors.finding import Finding
from detectors.span import Position
from detectors.statistics.contacts import PANE_SECONDS
from streams.by_host.cuts import Outgoing, write
from streams.dead_letters import late_blocks
from streams.generate import Traffic
from streams.generate.chosen import known
from streams.pipeline import Batch, Pipeline
from streams.records import Message, decode_all
from streams.records.contract import WATERMARK_HEADER
from streams.settings import Settings, TimeSettings
from tests.streams.by_host.played import Mischief, Played

LATENESS: Final = 120
SETTINGS: Final = Settings(time=TimeSettings(allowed_lateness_seconds=LATENESS))
TUNED: Final = Settings.model_validate(
    {
        "time": {"allowed_lateness_seconds": LATENESS},
        "overrides": [
            {"networks": ["10.0.0.0/21"], "detectors": {"rejected_spike": {"floor_records": 10}}},
            {"networks": ["10.0.8.0/22"], "detectors": {"exfiltration_burst": {"cold_bytes": 30e6}}},
        ],
        "suppressions": [{"name": "ours", "owner": "me", "reason": "known", "targets": ["10.0.4.0/22", "10.0.9.0/24"]}],
        "modes": {"horizontal_scan": "observe"},
    }
)
"""Other values for some hosts, which whoever judges has to ask the partitions about."""
MINUTES: Final = 11
CALM: Final = Mischief()
WILD: Final = Mischief(die=0.03, fall=0.02, lose=0.003, repeat=0.05)
HASTY: Final = replace(WILD, look=0.1)


def topic(lines: Sequence[str], form: str, chance: random.Random) -> list[Message]:
    """Write lines into messages of one source partition, some of them late, with a mark at the end."""
    messages: list[Message] = []
    begin = 0
    while begin < len(lines):
        count = chance.choice([1, 20, 60, 150])
        messages.append(Message("\n".join([form, *lines[begin : begin + count]]).encode()))
        begin += count
    for _ in range(3):
        # Blocks that an agent could not get rid of for a while.
        place = chance.randrange(len(messages))
        messages.insert(min(place + chance.randint(5, 40), len(messages)), messages.pop(place))
    if chance.random() < 0.3:
        messages.insert(chance.randrange(len(messages)), Message(b"", {WATERMARK_HEADER: b"end"}))
    return [*messages, Message(b"", {WATERMARK_HEADER: b"end"})]


def sources(chance: random.Random) -> dict[str, list[Message]]:
    """Invent traffic with attacks in it, and divide it among source partitions."""
    kinds = {**known(expect=True), **known(expect=False)}
    names = ["vertical_scan", *chance.sample(sorted(kinds), 3)]
    episodes = tuple(replace(kinds[name](), minute=chance.randint(1, 5)) for name in names)
    traffic = Traffic(
        seed=chance.randrange(10_000), minutes=MINUTES, hosts=20, records_per_minute=20, episodes=episodes
    )
    form, *lines = b"".join(traffic.blocks()).decode().splitlines()
    partitions = [f"flows/{number}" for number in range(chance.randint(2, 3))]
    of = [chance.choice(partitions) for _ in lines]
    return {
        name: topic([line for line, its in zip(lines, of, strict=True) if its == name], form, chance)
        for name in partitions
    }


def cut(messages: Sequence[Message], source: str, chance: random.Random) -> Iterator[Batch]:
    begin = 0
    while begin < len(messages):
        end = min(begin + chance.randint(1, 8), len(messages))
        yield Batch(source, messages[begin:end], np.arange(begin, end), begin, end)
        begin = end


def interleaved(of: dict[str, list[Any]], chance: random.Random) -> Iterator[tuple[str, Any]]:
    """Yield what each source has in its order, those of several in any."""
    waiting = {source: iter(each) for source, each in of.items()}
    while waiting:
        source = chance.choice(list(waiting))
        item = next(waiting[source], None)
        if item is None:
            del waiting[source]
        else:
            yield source, item


def routed(of: dict[str, list[Message]], partitions: int, chance: random.Random) -> list[list[Outgoing]]:
    """Route messages to the topics of partitions; routers die, and others begin again further back."""
    blocks: dict[str, list[list[Outgoing]]] = {}
    for source, messages in of.items():
        blocks[source] = []
        for batch in cut(messages, source, chance):
            back = chance.randint(0, min(10, batch.begin)) if chance.random() < 0.15 else 0
            begin = batch.begin - back
            again = Batch(source, messages[begin : batch.end], np.arange(begin, batch.end), begin, batch.end)
            decoded = decode_all(again.messages, SETTINGS.records, SETTINGS.networks)
            most = chance.choice([3_000, 900_000])
            blocks[source].append(list(write(again, decoded, partitions, most_bytes=most)))
    topics: list[list[Outgoing]] = []
    for part in range(partitions):
        # What several routers write lies in another order in each partition.
        topics.append([block for _, some in interleaved(blocks, chance) for block in some if block.partition == part])
        for _ in range(3):
            # A router that was thought dead.
            place = chance.randrange(len(topics[part]))
            topics[part].insert(chance.randint(place + 1, len(topics[part])), topics[part][place])
    return topics


class Found(NamedTuple):
    """What one machine makes of messages: findings, those that nobody is told, late lines, and where time is."""

    findings: list[Finding]
    suppressed: list[Finding]
    late: list[str]
    watermark: int


def at_once(settings: Settings, of: Mapping[str, list[Message]], chance: random.Random) -> Found:
    """Run messages through the stages of one machine."""
    pipeline, findings, suppressed, late = Pipeline(settings), list[Finding](), list[Finding](), list[str]()
    for source in of:
        pipeline.watermarks.add(source)
    batches = {source: list(cut(messages, source, chance)) for source, messages in of.items()}
    for _, batch in interleaved(batches, chance):
        outcome = pipeline.process(batch)
        findings += outcome.findings
        suppressed += outcome.suppressed
        late += [line for value, _ in late_blocks(outcome.late) for line in value.decode().splitlines()]
    return Found(findings, suppressed, late, pipeline.watermarks.current // PANE_SECONDS * PANE_SECONDS)


def told(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [finding.model_dump() for finding in findings if not finding.provisional]


@pytest.mark.parametrize("partitions", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_partitions_find_together_what_one_machine_finds(partitions: int, seed: int) -> None:
    check(seed, partitions)


def check(seed: int, partitions: int) -> Played:
    """Play a seed; there is more in more of them."""
    chance = random.Random(f"{seed}/{partitions}")  # noqa: S311 - the same every time
    settings, mischief = (SETTINGS, TUNED)[seed % 2], (CALM, HASTY, WILD, HASTY)[seed % 4]
    of = sources(chance)
    alone = at_once(settings, of, chance)
    played = Played(settings, list(of), routed(of, partitions, chance), chance, mischief)
    played.run()
    # What is told early differs with what has come.
    assert told(played.findings) == told(alone.findings)
    assert told(played.suppressed) == told(alone.suppressed)
    assert alone.findings + alone.suppressed
    for worker in played.workers:
        worker.keep(chance)
        applied = {source: worker.shard.watch.applied(source) for source in of}
        assert applied == {source: Position(len(messages)) for source, messages in of.items()}
    assert sorted(line for worker in played.workers for line in worker.late) == sorted(alone.late)
    assert played.verdict.settled == alone.watermark
    return played
