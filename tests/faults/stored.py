"""The last checkpoint as seen from outside, by the reader that a worker uses."""

import asyncio
from collections.abc import Mapping

from detectors.addresses import written
from detectors.state import Change, below
from streams.checkpoint import Checkpoints
from streams.kafka_storage import KafkaStorage
from streams.output import Output
from streams.settings import Settings
from tests.faults.oracle import Contact, Counts, Key, Volume, add


def storage(settings: Settings, source: str = "") -> KafkaStorage:
    """Return where the state of a source is kept; by default that of the only partition of flows."""
    source = source or f"{settings.topics.flows.name}/0"
    state = settings.topics.state
    partition = int(source.rpartition("/")[2]) % state.partitions
    return KafkaStorage(settings.kafka, state.name, partition, source, Output(settings.kafka))


def values(settings: Settings) -> Mapping[str, bytes]:
    """Return what is stored, by key."""
    return asyncio.run(_values(settings))


def checkpoint(settings: Settings, source: str = "") -> list[Change]:
    """Return the pieces of the last checkpoint; none when there is none."""
    return asyncio.run(_checkpoint(settings, source))


def offset(changes: list[Change], settings: Settings) -> int:
    """Return the offset of flows that a checkpoint goes on at."""
    return applied(changes).get(f"{settings.topics.flows.name}/0", (0, 0))[0]


def applied(changes: list[Change]) -> dict[str, tuple[int, int]]:
    """Return how far each source is counted in a checkpoint: offset, and row of the message there."""
    for change in below("watch", changes):
        if change.name == "position":
            return {source: (int(place[0]), int(place[1])) for source, place in change.document()["applied"].items()}
    return {}


def position(changes: list[Change]) -> int:
    """Return the offset of a partition of hosts that a checkpoint goes on at."""
    documents = [change.document() for change in changes if change.name == "position"]
    return int(documents[0]["position"] or 0) if documents else 0


def contacts(changes: list[Change]) -> dict[Key, Counts]:
    """Return the contacts in a checkpoint, their parts added up."""
    names = hosts(changes)
    found: dict[Key, Counts] = {}
    for change in below("watch/contacts", changes):
        for row in change.frame().rows(named=True):
            contact = Contact(
                row["pane"], names[row["source_key"]], names[row["target_key"]], row["port"], row["protocol"]
            )
            add(found, contact, {name: row[name] for name in _COUNTS})
    return found


def volumes(changes: list[Change]) -> dict[Key, Counts]:
    """Return the volumes in a checkpoint, their parts added up."""
    names = hosts(changes)
    found: dict[Key, Counts] = {}
    for change in below("watch/volumes", changes):
        for row in change.frame().rows(named=True):
            sender, receiver = names[row["sender_key"]], names[row["receiver_key"]]
            volume = Volume(row["pane"], sender, receiver, _REPORTERS[row["reporter"]])
            add(found, volume, {name: row[name] for name in ("bytes", "packets")})
    return found


def hosts(changes: list[Change]) -> dict[int, str]:
    """Return the addresses of the hosts in a checkpoint, by key."""
    frames = [change.frame() for change in below("watch/directory", changes)]
    return {key: written(high, low) for frame in frames for key, high, low in frame.select("key", "high", "low").rows()}


_COUNTS = (
    "source_internal", "target_internal", "requests", "rejected", "answers", "lasting", "first_seen", "last_seen"
)  # fmt: skip
_REPORTERS = ("egress", "ingress", "unknown")


async def _values(settings: Settings) -> Mapping[str, bytes]:
    return await storage(settings).read()


async def _checkpoint(settings: Settings, source: str) -> list[Change]:
    return (await Checkpoints(storage(settings, source)).load()).changes
