"""Generated traffic as contenders are given it: a file, or messages in a topic of one partition."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from confluent_kafka import Producer
from kafka.admin import KafkaAdminClient

from benchmarks.sizes import size
from streams.generate import Traffic
from streams.generate.traffic import START
from streams.publish import END_OF_INPUT
from streams.records.contract import WATERMARK_HEADER


def blocks(
    records: int, *, hosts: int, minutes: int, start: int = START, seed: int = 1, attacks: bool = True
) -> Iterator[bytes]:
    """Write about so many lines in AWS's default format, about 128 KiB at a time, each with its line end."""
    # The load follows the time of the day; a fifth more is enough for any hour.
    rate = max(records * 6 // 5 // minutes, 1)
    traffic = Traffic(
        seed=seed, start=start, minutes=minutes, hosts=hosts, records_per_minute=rate, version=2, attacks=attacks
    )
    yield from traffic.blocks()


def lines(
    records: int, *, hosts: int | None = None, minutes: int | None = None, attacks: bool = True
) -> Iterator[bytes]:
    """Write exactly so many lines, without line ends."""
    hosts, minutes = hosts or size("HOSTS"), minutes or size("MINUTES")
    made = (
        line for block in blocks(records, hosts=hosts, minutes=minutes, attacks=attacks) for line in block.splitlines()
    )
    return islice(made, records)


def file(path: Path, records: int) -> None:
    """Write a file of lines."""
    with path.open("wb") as output:
        output.writelines(line + b"\n" for line in lines(records))


def joined(each: Iterable[bytes], count: int) -> Iterator[bytes]:
    r"""Join so many lines to one message.

    >>> list(joined([b"a", b"b", b"c"], 2))
    [b'a\nb', b'c']
    """
    yield from map(b"\n".join, batched(each, count))


def batched(each: Iterable[bytes], count: int) -> Iterator[list[bytes]]:
    """Bring so many together."""
    remaining = iter(each)
    while together := list(islice(remaining, count)):
        yield together


def create(bootstrap: str, *topics: str, partitions: int = 1) -> None:
    """Create topics of one partition, or of several."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1} for topic in topics})
        admin.wait_for_topics(list(topics))


def producer(bootstrap: str) -> Producer:
    """Connect as `flowhawk publish` does: compressed, large batches, acknowledged by all replicas."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "linger.ms": 5,
            "batch.size": 512 << 10,
            "acks": "all",
            "queue.buffering.max.messages": 1_000_000,
        }
    )


def send(
    publisher: Producer, topic: str, value: bytes, headers: list[tuple[str, bytes]] | None = None, partition: int = 0
) -> None:
    """Send a message; waits while too much is on its way."""
    while True:
        try:
            publisher.produce(topic, value, partition=partition, headers=[*(headers or [])])
        except BufferError:
            publisher.poll(0.05)
        else:
            return


def fill(bootstrap: str, topic: str, values: Iterable[bytes], *, complete: bool = True, partitions: int = 1) -> int:
    """Create a topic and put messages into it, with the mark of a complete input behind them; return how many.

    Partitions get messages in turn, so that each is as far as the others.
    """
    create(bootstrap, topic, partitions=partitions)
    publisher = producer(bootstrap)
    count = 0
    for value in values:
        send(publisher, topic, value, partition=count % partitions)
        count += 1
    if complete:
        for partition in range(partitions):
            send(publisher, topic, b"", [(WATERMARK_HEADER, END_OF_INPUT)], partition=partition)
        count += partitions
    publisher.flush()
    return count
