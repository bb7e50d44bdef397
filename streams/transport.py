"""A Faust transport that hands agents batches: the messages of one poll and partition are one event.

Faust spends about 60 microseconds on each event, whatever is in it; with one event a poll that cost is paid
once for thousands of records. For the batched topics the value of an event is a `Fetched`: the records that one
poll returned of one partition, and acknowledging the event acknowledges all of them. Such topics must be read
by one agent with `concurrency=1`, so that events are acknowledged in order.

A partition is not fetched from while two of its events are on their way: one is worked on, one waits. So events
grow with the load, and memory stays flat. An event is bounded by the consumer's `max_poll_records`, and by what its
values take without compression.

Whoever keeps positions beside the group (`Positions`) says where to read on, before the first event of a new
assignment, and how far offsets may be committed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast
from weakref import ref

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from yarl import URL

from streams.fetched_records import Records
from streams.fetching import keep_whole, let_go_if_over

_EVENTS: Final = 2
"""Events of a partition that may be on their way at once."""

_POLL_SECONDS: Final = 0.005

_LOGGER: Final = logging.getLogger("faust.transport.batching")
"""Below Faust's own, so that whoever quiets Faust quiets this too."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one poll returned of one partition: the value of an event.

    Attributes
    ----------
    partition
        Where they are from.
    records
        The records, in order; at least one.
    begin, end
        The range of offsets they stand for. What is missing in it does not exist: compaction or a transaction
        left it out. Ranges of consecutive events follow on each other, unless somebody sought in between, or the
        log was cut off.
    prepared
        What the transport's `prepare` made of it; None where there is none.
    """

    partition: TP
    records: Records
    begin: int
    end: int
    prepared: Any = None

    @property
    def written(self) -> float | None:
        """When the last record was written, epoch seconds; None where nobody knows."""
        milliseconds = int(self.records.timestamps[-1])
        return milliseconds / 1000 if milliseconds >= 0 else None


class Positions:
    """Where to read on and how far to commit; this one leaves both to the consumer group.

    All methods are called on the event loop of the application.
    """

    async def assigned(self, partition: TP) -> None:
        """Find out where to read on in a partition.

        Nothing of it is delivered before this has returned. It is cancelled when the partition is revoked
        meanwhile, and an exception stops the application.
        """

    async def revoked(self, partition: TP) -> None:
        """Let go of a partition: nothing more of it is under way, and others may have it once this returns."""

    def position(self, partition: TP) -> int | None:
        """Return the offset to read on from, in a partition that was assigned; None for the committed one."""
        del partition
        return None

    def committable(self, partition: TP) -> int | None:
        """Return the offset to commit, all before it is safe; None for all that is acknowledged."""
        del partition
        return None


class BatchingThread(driver.AIOKafkaConsumerThread):
    """Fetches in its own thread, and binds what belongs together."""

    logger = _LOGGER

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._skipped: dict[TP, tuple[int, int]] = {}
        super().__init__(*arguments, **options)

    @property
    def _batching(self) -> "BatchingTransport":
        return cast("BatchingTransport", self.consumer.transport)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes this at 1,500 ms; a broker that does not wake waiting fetches makes it the latency.
        consumer._fetch_max_wait_ms = self._batching.fetch_wait_ms  # noqa: SLF001 - aiokafka offers no setter
        # Faust sets this only under `exactly_once`; without it records of aborted transactions would count.
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - aiokafka offers no setter
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and have it keep together what belongs to one event."""
        await super().on_start()
        keep_whole(self._ensure_consumer(), self._batching.topics, self._batching.event_bytes)

    def skipped(self, partition: TP) -> tuple[int, int]:
        """Return the range of offsets that was left out last and belongs to no event yet; an empty one otherwise."""
        return self._skipped.get(partition, (-1, -1))

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
        max_records: int | None = None,
    ) -> Mapping[TP, list[ConsumerRecord[Any, Any]]]:
        ready = self._ready(active_partitions)
        deadline = asyncio.get_running_loop().time() + (timeout or 0)
        while active_partitions and not ready:
            # To look again from here takes a fraction of what a poll through both threads does.
            await asyncio.sleep(_POLL_SECONDS)
            if asyncio.get_running_loop().time() >= deadline:
                return {}
            ready = self._ready(active_partitions)
        fetched = await self._fetched(consumer, ready, max_records)
        if not fetched and timeout:
            # A partition that is busy becomes ready unnoticed by the fetcher: do not let it wait for others alone.
            patience = timeout if len(ready) == len(active_partitions) else _POLL_SECONDS
            await self._wait_for_data(consumer, patience)
            fetched = await self._fetched(consumer, ready & self._ready(active_partitions), max_records)
        return fetched

    async def _fetched(
        self, consumer: AIOKafkaConsumer, partitions: set[TP], max_records: int | None
    ) -> dict[TP, list[ConsumerRecord[Any, Any]]]:
        # Without a time-out nothing waits between the two looks at the positions, unless the group is rebalancing:
        # then they are about to change.
        if not partitions or consumer._subscription.reassignment_in_progress:  # noqa: SLF001 - aiokafka tells nobody
            return {}
        begins = {each: _position(consumer, each) for each in partitions}
        batched = {each for each in partitions if each.topic in self._batching.topics}
        others = partitions - batched
        fetched = dict(await super()._fetch_records(consumer, others, 0, max_records)) if others else {}
        for each in batched:
            fetched |= await super()._fetch_records(consumer, {each}, 0, 1)
            let_go_if_over(consumer, each)
        bound = {}
        for each in partitions:
            begin, end = begins[each], _position(consumer, each)
            if begin is None or end is None or begin == end:
                continue
            # What was skipped without a record, for example an aborted transaction, belongs to the next event.
            skipped = self._skipped.pop(each, None)
            if skipped is not None and skipped[1] == begin:
                begin = skipped[0]
            if not fetched.get(each):
                self._skipped[each] = begin, end
            elif each in batched:
                (records,) = fetched[each]
                event = Fetched(each, records, begin, end)
                bound[each] = [_bound(replace(event, prepared=self._batching.prepare(event)))]
            else:
                bound[each] = fetched[each]
        return bound

    async def _wait_for_data(self, consumer: AIOKafkaConsumer, seconds: float) -> None:
        waiter = consumer._fetcher._create_fetch_waiter()  # noqa: SLF001 - as its own `fetched_records` waits
        done, _ = await asyncio.wait([waiter], timeout=seconds)
        for each in done:
            each.result()
        waiter.cancel()

    def _ready(self, partitions: set[TP]) -> set[TP]:
        consumer = cast("BatchingConsumer", self.consumer)
        return {each for each in partitions if consumer.is_positioned(each) and consumer.under_way(each) < _EVENTS}


def _position(consumer: AIOKafkaConsumer, partition: TP) -> int | None:
    """Return the offset that is fetched next; it leaves out what compaction and transactions left out."""
    assignment = consumer._subscription.subscription.assignment  # noqa: SLF001 - `position()` may wait for the broker
    if assignment is None or partition not in assignment.tps:
        return None
    state = assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else None


def _bound(fetched: Fetched) -> ConsumerRecord[Any, Any]:
    return ConsumerRecord(
        topic=fetched.partition.topic,
        partition=fetched.partition.partition,
        offset=fetched.end - 1,
        timestamp=int(fetched.records.timestamps[-1]),
        timestamp_type=0,
        key=None,
        value=fetched,
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
        self._positioning: dict[TP, asyncio.Task[None]] = {}
        self._positioned: frozenset[TP] = frozenset()
        super().__init__(*arguments, **options)

    @property
    def _batching(self) -> "BatchingTransport":
        return cast("BatchingTransport", self.transport)

    def under_way(self, partition: TP) -> int:
        """Count the events of a batched partition that were fetched and are not acknowledged yet."""
        # Faust's compiled streams acknowledge messages by themselves, without a call that could be overridden.
        return sum(_is_under_way(each) for each in self._fetched.get(partition, ()))

    def is_positioned(self, partition: TP) -> bool:
        """Say whether it is known where to read on in a partition."""
        return partition.topic not in self._batching.topics or partition in self._positioned

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Find out where to read on, but don't wait for it: aiokafka sends no heartbeat before this returns."""
        for partition in assigned:
            if partition.topic in self._batching.topics and partition not in self._positioning:
                self._positioning[partition] = asyncio.create_task(self._find_position(partition))
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is under way, then let go of the partitions."""
        batched = [each for each in revoked if each.topic in self._batching.topics]
        positioning = [self._positioning.pop(each) for each in batched if each in self._positioning]
        for task in positioning:
            task.cancel()
        await asyncio.gather(*positioning, return_exceptions=True)
        self._positioned -= revoked
        await super().on_partitions_revoked(revoked)
        for partition in batched:
            self._fetched.pop(partition, None)
            await self._batching.positions.revoked(partition)

    def behind_gap(self, partition: TP, offset: int) -> int:
        """Return the offset behind what was left out at an offset: no event of it comes before the next record does."""
        begin, end = cast("BatchingThread", self._thread).skipped(partition)
        return end if begin == offset else offset

    async def committed(self, partition: TP) -> int | None:
        """Return the offset that the group has committed, whoever in it did; None when nobody did."""
        thread = cast("BatchingThread", self._thread)
        offset: int | None = await thread.call_thread(thread._ensure_consumer().committed, partition)  # noqa: SLF001 - as its own calls are made
        return offset

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, or where a position is known, to that."""
        await super().perform_seek()
        for partition in self._positioned:
            await self._seek_to_position(partition)

    async def _find_position(self, partition: TP) -> None:
        try:
            await self._batching.positions.assigned(partition)
            if self.app.should_stop:
                # Nothing is read any more, and the thread that would seek may be gone.
                return
            await self._seek_to_position(partition)
        except IllegalStateError:
            _LOGGER.info("%s was revoked before its position was found", partition)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task; the application tells
            await self.crash(error)
        else:
            self._positioned |= {partition}
            # Faust commits only where something was acknowledged, and the commit for this position may be lost.
            self._acked[partition] = self._acked[partition]

    async def _seek_to_position(self, partition: TP) -> None:
        position = self._batching.positions.position(partition)
        if position is not None:
            await self.seek_wait({partition: position})

    def _new_consumer_thread(self) -> BatchingThread:
        return BatchingThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: "ConsumerRecord[Any, Any]") -> ConsumerMessage:
        message: ConsumerMessage = super()._to_message(tp, record)
        if tp.topic in self._batching.topics:
            self._fetched[tp] = (*filter(_is_under_way, self._fetched.get(tp, ())), ref(message))
        return message

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self._batching.topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._batching.topics:
            return super()._new_offset(tp)
        acknowledged = self._acked[tp]
        newest = int(max(acknowledged)) + 1 if acknowledged else None
        acknowledged.clear()
        self._acked_index[tp].clear()
        allowed = self._batching.positions.committable(tp)
        return newest if allowed is None else allowed or None


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
    event_bytes
        Bytes of values in one event at most; a larger one comes on its own.
    positions
        Where to read on and how far to commit.
    prepare
        Called with each event while the one before it may still be worked on, in the fetching thread, which it must
        not hold up: it may hand the event to a thread of its own and return what the agent then waits for.
    """

    Consumer: ClassVar[type[BatchingConsumer]] = BatchingConsumer

    def __init__(
        self,
        url: list[URL],
        app: AppT,
        *,
        topics: frozenset[str],
        fetch_wait_ms: int,
        event_bytes: int,
        positions: Positions,
        prepare: Callable[[Fetched], Any] = lambda _: None,
    ) -> None:
        super().__init__(url, app)
        self.topics = topics
        self.fetch_wait_ms = fetch_wait_ms
        self.event_bytes = event_bytes
        self.positions = positions
        self.prepare = prepare
