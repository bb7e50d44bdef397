"""A Faust transport that hands agents batches: the messages of one poll and partition are one event.

Faust spends about 60 microseconds on each event, whatever is in it; with one event a poll that cost is paid
once for thousands of records. For the batched topics the value of an event is the list of
`aiokafka.ConsumerRecord` that one poll returned of one partition, and acknowledging the event acknowledges all
of them. Such topics must be read by one agent with `concurrency=1`, so that events are acknowledged in order.

A partition is not fetched from while two of its events are on their way: one is worked on, one waits. So events
grow with the load, and memory stays flat. This first implementation bounds an event by the consumer's
`max_poll_records` and `max_partition_fetch_bytes`, and passes over gaps that compaction or transactions leave.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Final, cast
from weakref import ref

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from yarl import URL

_EVENTS: Final = 2
"""Events of a partition that may be on their way at once."""

_POLL_SECONDS: Final = 0.001


_LOGGER: Final = logging.getLogger("faust.transport.batching")
"""Below Faust's own, so that whoever quiets Faust quiets this too."""


class BatchingThread(driver.AIOKafkaConsumerThread):
    """Fetches in its own thread, and binds what belongs together."""

    logger = _LOGGER

    @property
    def _batching(self) -> "BatchingTransport":
        return cast("BatchingTransport", self.consumer.transport)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes this at 1,500 ms; a broker that does not wake waiting fetches makes it the latency.
        consumer._fetch_max_wait_ms = self._batching.fetch_wait_ms  # noqa: SLF001 - aiokafka offers no setter
        return consumer

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
        max_records: int | None = None,
    ) -> Mapping[TP, list[ConsumerRecord[Any, Any]]]:
        ready = self._ready(active_partitions)
        if active_partitions and not ready:
            await asyncio.sleep(_POLL_SECONDS)
            return {}
        # A partition that is busy becomes ready unnoticed by the fetcher: do not let it wait for others alone.
        patience = timeout if len(ready) == len(active_partitions) else _POLL_SECONDS
        fetched = await super()._fetch_records(consumer, ready, patience, max_records)
        return {
            partition: [_bound(records)] if partition.topic in self._batching.topics else records
            for partition, records in fetched.items()
            if records
        }

    def _ready(self, partitions: set[TP]) -> set[TP]:
        under_way = cast("BatchingConsumer", self.consumer).under_way
        return {each for each in partitions if under_way(each) < _EVENTS}


def _bound(records: list[ConsumerRecord[Any, Any]]) -> ConsumerRecord[Any, Any]:
    last = records[-1]
    return ConsumerRecord(
        topic=last.topic,
        partition=last.partition,
        offset=last.offset,
        timestamp=last.timestamp,
        timestamp_type=last.timestamp_type,
        key=None,
        value=records,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=(),
    )


class BatchingConsumer(driver.Consumer):
    """Keeps the offsets of batched topics: their events come in order, so the newest acknowledged one counts."""

    logger = _LOGGER

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Weak: what a rebalance throws away on its way to the agent is never acknowledged. The tuples are replaced,
        # not changed, since the fetching thread reads them.
        self._fetched: dict[TP, tuple[ref[ConsumerMessage], ...]] = {}
        super().__init__(*arguments, **options)

    @property
    def _topics(self) -> frozenset[str]:
        return cast("BatchingTransport", self.transport).topics

    def under_way(self, partition: TP) -> int:
        """Count the events of a batched partition that were fetched and are not acknowledged yet."""
        # Faust's compiled streams acknowledge messages by themselves, without a call that could be overridden.
        return sum(_is_under_way(each) for each in self._fetched.get(partition, ()))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the events of partitions that others take over."""
        await super().on_partitions_revoked(revoked)
        for partition in revoked:
            self._fetched.pop(partition, None)

    def _new_consumer_thread(self) -> BatchingThread:
        return BatchingThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: "ConsumerRecord[Any, Any]") -> ConsumerMessage:
        message: ConsumerMessage = super()._to_message(tp, record)
        if tp.topic in self._topics:
            self._fetched[tp] = (*filter(_is_under_way, self._fetched.get(tp, ())), ref(message))
        return message

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self._topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._topics:
            return super()._new_offset(tp)
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        newest = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return int(newest) + 1


def _is_under_way(message: "ref[ConsumerMessage]") -> bool:
    found = message()
    return found is not None and not found.acked


class BatchingTransport(driver.Transport):
    """The aiokafka driver with batches.

    Parameters
    ----------
    url, app
        As of any transport.
    topics
        Topics whose events are batches.
    fetch_wait_ms
        How long a broker may hold a fetch while it has nothing new, milliseconds.
    """

    Consumer: ClassVar[type[BatchingConsumer]] = BatchingConsumer

    def __init__(self, url: list[URL], app: AppT, *, topics: frozenset[str], fetch_wait_ms: int) -> None:
        super().__init__(url, app)
        self.topics = topics
        self.fetch_wait_ms = fetch_wait_ms
