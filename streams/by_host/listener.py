"""Listens for questions: every worker hears all of them, whatever partitions it has."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.by_host.commands import Command, Pieces
from streams.connecting import connect
from streams.errors import ServiceError
from streams.kafka_settings import KafkaSettings, asyncio_arguments

_POLL_MS: Final = 1_000
_START_SECONDS: Final = 60


class Listener:
    """Reads commands from now on.

    Parameters
    ----------
    kafka, topic
        Where from.
    heard
        Is given what comes, in order.
    failed
        Ends the process where nothing can be heard any more.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        heard: Callable[[Sequence[Command]], Awaitable[None]],
        failed: Callable[[str, Exception], NoReturn],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._heard = heard
        self._failed = failed
        self._pieces = Pieces()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and hear what is said from now on: nothing that is said later is missed.

        Raises
        ------
        streams.errors.ServiceError
            When the broker does not let it.
        """
        consumer = AIOKafkaConsumer(
            **asyncio_arguments(self._kafka), enable_auto_commit=False, isolation_level="read_committed"
        )
        partition = TopicPartition(self._topic, 0)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await connect(consumer)
                consumer.assign([partition])
                await consumer.seek_to_end(partition)
                await consumer.position(partition)
        except (KafkaError, TimeoutError) as error:
            await consumer.stop()
            raise ServiceError(f"the topic {self._topic} cannot be read: {error!r}") from error
        self._task = asyncio.create_task(self._listen(consumer), name="listening for questions")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                commands = [
                    Command.read(kind, body)
                    for records in fetched.values()
                    for record in records
                    if (whole := self._pieces.add(dict(record.headers), record.value or b"")) is not None
                    for kind, _, body in [whole]
                ]
                if commands:
                    await self._heard(commands)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task, and no pane would be closed any more
            self._failed("questions cannot be heard", error)
        finally:
            await consumer.stop()
