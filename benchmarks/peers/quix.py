"""Quix Streams: the bytes that each host sent in each minute of event time. `BOOTSTRAP TOPIC LIMIT`.

Runs with the Python of the peers, where Flowhawk is not installed.
"""

import sys
from typing import Any

from quixstreams import Application

from benchmarks.progress import Progress

FETCH_BYTES = 4 << 20
"""As the service asks for."""


def main(bootstrap: str, topic: str, limit: int) -> None:
    """Count until the limit."""
    progress = Progress(limit)
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"quix-{topic}",
        auto_offset_reset="earliest",
        consumer_extra_config={"max.partition.fetch.bytes": FETCH_BYTES, "fetch.wait.max.ms": 50},
        on_message_processed=lambda _topic, _partition, _offset: progress.add(1),
        loglevel="ERROR",
    )
    lines = app.dataframe(app.topic(topic, value_deserializer="bytes", timestamp_extractor=_end))
    hosts = lines.apply(bytes.split).group_by(_host, name="host", key_serializer="bytes", key_deserializer="bytes")
    hosts.apply(_bytes).tumbling_window(60_000, grace_ms=900_000).sum().final()
    app.run()


def _end(line: bytes, _headers: Any, _timestamp: int, _kind: Any) -> int:
    return int(line.rsplit(b" ", 3)[1]) * 1000


def _host(fields: list[bytes]) -> bytes:
    return fields[3]


def _bytes(fields: list[bytes]) -> int:
    return int(fields[9])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
