"""What the documentation of Faust teaches: take event by event, add to a windowed table. `BOOTSTRAP TOPIC LIMIT`."""

import sys
from typing import Any

import faust

from benchmarks.progress import Progress
from streams.app import MAX_FETCH_BYTES, MAX_POLL_RECORDS


def application(bootstrap: str, topic: str, limit: int) -> faust.App:
    """Count the bytes that each host sent in each minute."""
    progress = Progress(limit)
    app = faust.App(
        f"textbook-{topic}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_partitions=1,
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        broker_max_poll_records=MAX_POLL_RECORDS,
    )
    sent = app.Table("sent", default=int).tumbling(60.0)

    @app.agent(app.topic(topic))
    async def count(lines: faust.StreamT[Any]) -> None:
        async for line in lines:
            fields = line.decode().split()
            sent[fields[3]] += int(fields[9])
            progress.add(1)

    return app


if __name__ == "__main__":
    faust.Worker(
        application(sys.argv[1], sys.argv[2], int(sys.argv[3])), loglevel="error", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()
