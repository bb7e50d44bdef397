"""How fetched records become columns: aiokafka's fetcher, told to keep batches whole for some topics.

aiokafka makes an object of every record, which takes longer than all that is done with a flow record afterwards. What
makes them, `PartitionRecords`, is replaced for the topics that are asked for by a kind that gives `Records`, many
records at one go; requests, positions, transactions and errors stay aiokafka's.
"""

from collections.abc import Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

import aiokafka
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from streams import record_batches
from streams.fetched_records import Records
from streams.record_batches import Payload

_LENGTH_AT: Final = 8
_LENGTH_END: Final = 12

_AT_ONCE_BYTES: Final = 1 << 21
"""So much is read at one go: what is computed on the way stays in the processor's cache."""

_REPLACED: Final = frozenset({"MemoryRecords", "PartitionRecords"})
"""What aiokafka's fetcher makes of a response."""


class WholeBatches:
    """The batches of a response, each with the bytes that it was read from.

    Parameters
    ----------
    data
        What was fetched of one partition; a batch that was cut off at its end is left out.
    """

    def __init__(self, data: bytes) -> None:
        self.batches = MemoryRecords(data)
        self._data = memoryview(data)
        self._begin = 0

    def has_next(self) -> bool:
        """Say whether there is another batch."""
        return bool(self.batches.has_next())

    def size_in_bytes(self) -> int:
        """Say how much was fetched."""
        return int(self.batches.size_in_bytes())

    def __iter__(self) -> Iterator[tuple[Any, memoryview]]:
        while self.has_next():
            begin = self._begin
            length = int.from_bytes(self._data[begin + _LENGTH_AT : begin + _LENGTH_END], "big")
            self._begin = begin + _LENGTH_END + length
            yield self.batches.next_batch(), self._data[begin : self._begin]


class _Batch(NamedTuple):
    """A batch as aiokafka sees it, and its payload; None where its format is an older one."""

    records: Any
    payload: Payload | None


class ColumnRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Iterates over what a response has of one partition, as `Records`.

    Parameters
    ----------
    arguments
        As of what it stands in for; the records are `WholeBatches`.
    most_records, most_bytes
        How many records an item has at most, and how much their values take together: more only where there is one.

    Attributes
    ----------
    is_over
        Whether the last item was yielded.
    """

    def __init__(self, *arguments: Any, most_records: int, most_bytes: int) -> None:
        self._most_records, self._most_bytes = most_records, most_bytes
        self.is_over = False
        self.next_fetch_offset: int
        super().__init__(*arguments)

    def _unpack_records(self) -> Iterator[Records]:
        kept: list[_Batch] = []
        records = size = 0
        end = self.next_fetch_offset
        for batch, data in self._records:
            if self._check_crcs and not batch.validate_crc():
                yield from self._items(kept, end)
                raise CorruptRecordException(
                    f"{self._tp}: the batch at offset {batch.base_offset} has another checksum"
                )
            end = batch.next_offset
            if self._is_left_out(batch):
                continue
            payload = Payload.of(data)
            kept.append(_Batch(batch, payload))
            if payload is not None:
                records, size = records + payload.number, size + len(payload.records)
            if (records >= self._most_records or size >= self._most_bytes) and self._records.has_next():
                yield from self._items(kept, end)
                kept, records, size = [], 0, 0
        yield from self._items(kept, end, is_last=True)

    def _is_left_out(self, batch: Any) -> bool:
        """Say whether nobody may see the records of a batch: it ends a transaction, or is of one that was aborted."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _items(self, kept: Sequence[_Batch], end: int, *, is_last: bool = False) -> Iterator[Records]:
        """Yield the records of batches behind which an offset is next."""
        records = _read(kept)
        records = records[int(np.searchsorted(records.offsets, self.next_fetch_offset)) :]
        parts = list(records.parts(self._most_records, self._most_bytes))
        for part in parts[:-1]:
            self.next_fetch_offset = int(part.offsets[-1]) + 1
            yield part
        # What is missing behind the last record, compaction or a transaction left out.
        self.next_fetch_offset, self.is_over = end, is_last
        yield from parts[-1:]


def _read(batches: Sequence[_Batch]) -> Records:
    """Read the records of batches, several batches at one go."""
    parts = []
    begin = size = 0
    for end, batch in enumerate(batches, 1):
        size += len(batch.payload.records) if batch.payload is not None else 0
        if size >= _AT_ONCE_BYTES or end == len(batches):
            parts.append(_read_some(batches[begin:end]))
            begin, size = end, 0
    return Records.concatenated(parts)


def _read_some(batches: Sequence[_Batch]) -> Records:
    payloads = [each.payload for each in batches if each.payload is not None]
    records = record_batches.read(payloads) if len(payloads) == len(batches) else None
    return Records.of(record for each in batches for record in each.records) if records is None else records


def keep_whole(consumer: AIOKafkaConsumer, topics: frozenset[str], most_bytes: int) -> None:
    """Let a consumer that was started return `Records` of some topics, instead of record for record.

    A poll with `max_records=1` returns one item of a partition, which has up to the consumer's own `max_poll_records`.

    Raises
    ------
    RuntimeError
        When this release of aiokafka makes records in another way.
    """
    code = Fetcher._proc_fetch_request.__code__  # noqa: SLF001 - aiokafka offers no place to say what is made
    if not _REPLACED.issubset(code.co_names):
        raise RuntimeError(f"aiokafka {aiokafka.__version__} makes records in another way: install the release locked")

    def partition_records(partition: TopicPartition, records: WholeBatches, *others: Any) -> PartitionRecords:
        if partition.topic not in topics:
            return PartitionRecords(partition, records.batches, *others)
        most_records = consumer._max_poll_records  # noqa: SLF001 - aiokafka offers no getter
        return ColumnRecords(partition, records, *others, most_records=most_records, most_bytes=most_bytes)

    names = vars(fetcher) | {"MemoryRecords": WholeBatches, "PartitionRecords": partition_records}
    process = FunctionType(code, names, code.co_name, Fetcher._proc_fetch_request.__defaults__)  # noqa: SLF001 - as above
    consumer._fetcher._proc_fetch_request = MethodType(process, consumer._fetcher)  # noqa: SLF001 - as above


def let_go_if_over(consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
    """Have the next records of a partition fetched, once the last item of a response was returned."""
    own = consumer._fetcher  # noqa: SLF001 - aiokafka lets go with the poll behind the last record only
    result = own._records.get(partition)  # noqa: SLF001 - as above
    if type(result) is FetchResult and getattr(result._partition_records, "is_over", False):  # noqa: SLF001 - as above
        del own._records[partition]  # noqa: SLF001 - as above
        own._notify(own._wait_consume_future)  # noqa: SLF001 - as above
