import asyncio
import time
from typing import cast

import faust
from faust.types import TP

from streams.app import build
from streams.kafka_settings import KafkaSettings
from streams.sensor import Sensor
from streams.transport import BatchingConsumer


async def test_the_application_has_this_sensor_and_no_other() -> None:
    app = build(KafkaSettings(), frozenset())
    assert isinstance(app.monitor, Sensor)
    app.on_init_dependencies()
    assert list(app.sensors) == [app.monitor]
    # Nobody starts it, so nobody stops it.
    cast("BatchingConsumer", app.consumer)._thread.thread_loop.close()


async def test_it_tells_how_long_a_rebalance_took() -> None:
    told: list[float] = []
    sensor = Sensor(told.append)
    begun = time.monotonic()
    state = sensor.on_rebalance_start(None)
    await asyncio.sleep(0)
    sensor.on_rebalance_return(cast("faust.App", None), state)
    assert told == []
    sensor.on_rebalance_end(None, state)
    assert 0 <= told[0] <= time.monotonic() - begun


async def test_it_knows_when_the_last_event_of_a_partition_came() -> None:
    sensor = Sensor(lambda _: None)
    partition = TP("flows", 0)
    assert partition not in sensor.stream_inbound_time
    begun = time.monotonic()
    sensor.on_stream_event_in(partition, 7, None, None)
    sensor.track_tp_end_offset(partition, 9)
    sensor.on_tp_commit({partition: 8})
    assert begun <= sensor.stream_inbound_time[partition] <= time.monotonic()
