"""The baselines in the checkpoints of the service: taken out at any time, put in while no worker runs."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from detectors.state import Change, below, prefixed
from detectors.statistics.baseline_pieces import BaselineError
from detectors.statistics.baselines import Baselines
from streams.checkpoint import CheckpointError, Checkpoints
from streams.errors import KafkaUnavailable, ServiceError
from streams.kafka_settings import KafkaSettings, asyncio_arguments
from streams.kafka_storage import KafkaStorage
from streams.output import Output
from streams.settings import Settings
from streams.topics import ANSWER_SECONDS, require_topics

_WHERE: Final = "watch/baselines"
_PARTITION: Final = 0
"""Topology direct reads one partition."""

_RETRY_SECONDS: Final = 0.2
_NO_WORKERS: Final = {"Empty", "Dead", ""}


def taken_out(state: Sequence[Change]) -> Baselines:
    """Return the baselines in a checkpoint.

    Raises
    ------
    streams.checkpoint.CheckpointError
        When they cannot be used.
    """
    baselines = Baselines()
    try:
        baselines.restore(below(_WHERE, state))
    except BaselineError as error:
        raise CheckpointError(f"the baselines in the checkpoint: {error}") from error
    return baselines


def put_in(state: Sequence[Change], baselines: Baselines) -> list[Change]:
    """Return a checkpoint with other baselines in it, and all else as it is."""
    rest = [change for change in state if not change.name.startswith(f"{_WHERE}/")]
    return [*rest, *prefixed(_WHERE, baselines.changes(whole=True))]


async def export(settings: Settings) -> Baselines:
    """Take the baselines out of the last checkpoint; whoever runs is not disturbed.

    Raises
    ------
    streams.errors.KafkaUnavailable, streams.errors.ServiceError
        When it cannot be read, or there is none.
    """
    await asyncio.to_thread(require_topics, settings.kafka, [settings.topics.state])
    state = (await Checkpoints(_storage(settings, _output(settings))).load()).changes
    if not state:
        group, topic = settings.kafka.group_id, settings.topics.state.name
        raise ServiceError(f"the topic {topic} holds no checkpoint of the group {group}; run the service first")
    return taken_out(state)


async def put(settings: Settings, baselines: Baselines) -> None:
    """Write a checkpoint with these baselines, for the next worker that starts.

    Raises
    ------
    streams.errors.KafkaUnavailable, streams.errors.ServiceError
        When a worker runs, or Kafka does not take it. Then nothing is changed.
    """
    await asyncio.to_thread(require_topics, settings.kafka, [settings.topics.state])
    await _require_no_worker(settings.kafka)
    output = _output(settings)
    storage = _storage(settings, output)
    try:
        # A worker that starts meanwhile shuts this writer out, or is shut out itself and started again.
        await output.start()
        checkpoints = Checkpoints(storage)
        await checkpoints.save(put_in((await checkpoints.load()).changes, baselines))
    finally:
        await storage.close()
        await output.close()


def _source(settings: Settings) -> str:
    return f"{settings.topics.flows.name}/{_PARTITION}"


def _output(settings: Settings) -> Output:
    return Output(settings.kafka, f"{settings.kafka.group_id}/{_source(settings)}")


def _storage(settings: Settings, output: Output) -> KafkaStorage:
    return KafkaStorage(settings.kafka, settings.topics.state.name, _PARTITION, _source(settings), output)


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
