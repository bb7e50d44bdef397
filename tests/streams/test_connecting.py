import asyncio
import gc
import warnings
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from streams.connecting import connect
from streams.kafka_settings import KafkaSettings, asyncio_arguments
from tests.kafka.broker import KafkaBroker
from tests.streams.programs import free_port

TURNS = 24
"""Turns of the event loop within which a client connects to a broker on loopback."""


@pytest.mark.parametrize("kind", [AIOKafkaConsumer, AIOKafkaProducer])
async def test_whoever_stops_it_while_it_connects_leaves_no_connection_open(
    kafka_broker: KafkaBroker, kind: type[AIOKafkaConsumer | AIOKafkaProducer]
) -> None:
    said: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    interrupted = 0
    # In whatever turn it is: which of them matters differs between machines.
    for turns in range(TURNS):
        client = kind(**asyncio_arguments(KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,))))
        task = asyncio.create_task(connect(client))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        task.cancel()
        interrupted += isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        await client.stop()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            del client, task
            gc.collect()
        assert not [each for each in warned if "Unclosed" in str(each.message)], turns
        assert not said, turns
    assert interrupted


async def test_a_broker_that_is_not_there_is_told() -> None:
    client = AIOKafkaConsumer(**asyncio_arguments(KafkaSettings(bootstrap_servers=(f"127.0.0.1:{free_port()}",))))
    with pytest.raises(KafkaConnectionError):
        await connect(client)
    await client.stop()
