"""How clients of Kafka connect: whoever is told to stop meanwhile leaves no connection open."""

import asyncio
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

_CONNECT_SECONDS: Final = 1
"""How long connecting may go on once it is not wanted any more."""


async def connect(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Start a client, which is to be stopped by the caller, also where this fails.

    Cancelled while it connects, aiokafka forgets the connection without closing it. So it may go on for a moment.

    Raises
    ------
    aiokafka.errors.KafkaError
        When the broker does not answer, or does not allow it.
    """
    starting = asyncio.create_task(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=_CONNECT_SECONDS)
        starting.cancel()
        with suppress(KafkaError, asyncio.CancelledError):
            await starting
        raise
