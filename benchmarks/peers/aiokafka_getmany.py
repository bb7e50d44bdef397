"""Bare aiokafka: fetch, and do nothing with what was fetched. `BOOTSTRAP TOPIC LIMIT`."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer

from benchmarks.progress import Progress
from streams.app import MAX_FETCH_BYTES, MAX_POLL_RECORDS


async def main(bootstrap: str, topic: str, limit: int) -> None:
    """Fetch until the limit."""
    progress = Progress(limit)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_FETCH_BYTES,
        max_poll_records=MAX_POLL_RECORDS,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            progress.add(len(records))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
