"""The baselines in the checkpoints of the service: taken out at any time, put in while no worker runs."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from detectors.statistics.baselines import Baselines
from streams.by_host.division import WATCHED, Division, put_in, taken_out
from streams.checkpoint import Checkpoints
from streams.errors import KafkaUnavailable, ServiceError
from streams.kafka_settings import KafkaSettings, Topic, asyncio_arguments
from streams.kafka_storage import KafkaStorage, state_partition
from streams.output import Output, fenced
from streams.settings import Settings
from streams.topics import ANSWER_SECONDS, partition_count, require_topics

_RETRY_SECONDS: Final = 0.2
_NO_WORKERS: Final = {"Empty", "Dead", ""}


class Exported(NamedTuple):
    """What was taken out of the checkpoints.

    Attributes
    ----------
    baselines
        What was learned.
    parts
        Out of how many partitions of hosts; 0 with the topology direct.
    is_level
        Whether these have come equally far.
    """

    baselines: Baselines
    parts: int = 0
    is_level: bool = True


class Imported(NamedTuple):
    """What became of the checkpoints.

    Attributes
    ----------
    parts
        Among how many partitions of hosts it was divided; 0 with the topology direct.
    is_new
        Whether windows begin anew.
    """

    parts: int = 0
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the state of one source is kept."""

    source: str
    partition: int

    def output(self, settings: Settings) -> Output:
        return fenced(settings.kafka, self.source)

    def checkpoints(self, settings: Settings, output: Output) -> tuple[KafkaStorage, Checkpoints]:
        storage = KafkaStorage(settings.kafka, settings.topics.state.name, self.partition, self.source, output)
        return storage, Checkpoints(storage)


async def export(settings: Settings) -> Exported:
    """Take the baselines out of the last checkpoints; whoever runs is not disturbed.

    Raises
    ------
    streams.errors.KafkaUnavailable, streams.errors.ServiceError
        When they cannot be read, or there are none.
    """
    places = await _places(settings)
    states = [(await place.checkpoints(settings, place.output(settings))[1].load()).changes for place in places]
    if not any(states):
        group, topic = settings.kafka.group_id, settings.topics.state.name
        raise ServiceError(f"the topic {topic} holds no checkpoint of the group {group}; run the service first")
    if settings.topology == "direct":
        return Exported(taken_out(WATCHED, states[0]))
    division = Division(states[:-1], states[-1])
    return Exported(division.gathered(), len(division.parts), division.is_level)


async def put(settings: Settings, learned: Baselines) -> Imported:
    """Write checkpoints with these baselines, for the next workers that start.

    Where it breaks off, do it again before any worker starts.

    Raises
    ------
    streams.errors.KafkaUnavailable, streams.errors.ServiceError
        When a worker runs, or Kafka does not take it.
    """
    places = await _places(settings)
    await _require_no_worker(settings.kafka)
    async with AsyncExitStack() as stack:
        several: list[Checkpoints] = []
        for place in places:
            output = place.output(settings)
            stack.push_async_callback(output.close)
            # A worker that starts meanwhile shuts this writer out, or is shut out itself and started again.
            await output.start()
            storage, checkpoints = place.checkpoints(settings, output)
            stack.push_async_callback(storage.close)
            several.append(checkpoints)
        states = [(await checkpoints.load()).changes for checkpoints in several]
        if settings.topology == "direct":
            await several[0].save(put_in(WATCHED, states[0], learned))
            return Imported()
        division = Division(states[:-1], states[-1])
        flows = settings.topics.flows
        sources = [f"{flows.name}/{each}" for each in range(await _partitions(settings, flows))]
        after = division.with_baselines(learned, settings, sources)
        for checkpoints, state in zip(several, [*after.parts, after.judge], strict=True):
            await checkpoints.save(state)
        return Imported(len(after.parts), not division.fits)


async def _places(settings: Settings) -> list[_Place]:
    """Say where the state of each partition is kept, and with the topology by-host that of the incidents stage last."""
    topics = settings.topics
    await asyncio.to_thread(require_topics, settings.kafka, [topics.state])
    if settings.topology == "direct":
        # It reads one partition.
        return [_Place(f"{topics.flows.name}/0", 0)]
    await asyncio.to_thread(require_topics, settings.kafka, topics.of(settings.topology))
    hosts, state = await _partitions(settings, topics.flows_by_host), await _partitions(settings, topics.state)
    places = [_Place(f"{topics.flows_by_host.name}/{each}", state_partition(each, state)) for each in range(hosts)]
    return [*places, _Place(f"{topics.partials.name}/0", 0)]


async def _partitions(settings: Settings, topic: Topic) -> int:
    return await asyncio.to_thread(partition_count, settings.kafka, topic)


async def _require_no_worker(kafka: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(**asyncio_arguments(kafka))
    try:
        await admin.start()
        state = await _group_state(admin, kafka.group_id)
    except KafkaError as error:
        raise KafkaUnavailable(f"the broker does not say whether a worker runs: {error!r}; try again") from error
    finally:
        with suppress(KafkaError):
            await admin.close()
    if state not in _NO_WORKERS:
        raise ServiceError(
            f"a worker of the group {kafka.group_id} runs, or did a moment ago, and would write over what is imported; "
            "stop all of them, wait for kafka.session_timeout_seconds, and try again"
        )


async def _group_state(admin: AIOKafkaAdminClient, group: str) -> str:
    """Ask for the state of a group; a broker on which there never was one gets ready first."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            (response,) = await admin.describe_consumer_groups([group])
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            state: str = response.groups[0][2]
            return state
