"""Flow logs into Kafka: files and S3, beside what reading alone and sending alone take, and the memory of it."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import compress
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from kafka import KafkaProducer

from benchmarks.contenders import alternate, compared
from benchmarks.measurement import Measurement
from benchmarks.processes import Run, figures, most_resident_bytes
from benchmarks.service import kafka
from benchmarks.sizes import size
from benchmarks.stub_s3 import StubS3
from benchmarks.traffic import create, joined, lines
from streams.allocation import keep_freed_memory
from streams.block_settings import BlockSettings
from streams.kafka_settings import KafkaSettings, Topic, TopicSettings
from streams.publish import Publisher
from streams.records import RecordSettings
from streams.sources import Source, source_at
from streams.sources.merged import MergedSource

READ: Final = "reading gzip only"
SEND: Final = "kafka-python alone, ready blocks"
PUBLISH: Final = "flowhawk publish, gzip"
PLAIN: Final = "flowhawk publish, plain text"
MERGED: Final = "flowhawk publish, gzip, four files merged"
FETCH: Final = "the stub of S3 alone, one request at a time"
READ_S3: Final = "reading S3 only"
PUBLISH_S3: Final = "flowhawk publish, S3"

_MEMBER_RECORDS: Final = 50_000
"""Records of an object, and of a member of a file."""

_MEGABYTE: Final = 1_000_000
_TOPIC: Final = "flows"


def measure() -> list[Measurement]:
    """Measure all in turn, then memory once: the question there is whether it grows."""
    with tempfile.TemporaryDirectory() as name, kafka(Path(name)) as broker:
        create(broker.bootstrap, _TOPIC)
        contest = _Contest(Path(name), broker.bootstrap)
        with contest.stub() as stub:
            runs = alternate(contest.contenders(stub))
        return [*compared(runs, [READ, SEND, FETCH, READ_S3]), *contest.memory()]


class _Contest:
    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._bootstrap = bootstrap
        members = [b"%b\n" % text for text in joined(lines(size("RECORDS")), _MEMBER_RECORDS)]
        self._records = size("RECORDS")
        self._members = [compress(text, 6) for text in members]
        self._plain = folder / "flows.log"
        self._plain.write_bytes(b"".join(members))
        self._gzip = folder / "flows.log.gz"
        self._gzip.write_bytes(b"".join(self._members))
        self._parts = [folder / f"part-{part}.log.gz" for part in range(4)]
        for part, path in enumerate(self._parts):
            path.write_bytes(b"".join(self._members[part::4]))

    @contextmanager
    def stub(self) -> Iterator[StubS3]:
        """Serve the members as objects."""
        objects = {f"AWSLogs/{number:04}.log.gz": member for number, member in enumerate(self._members)}
        with StubS3("flow-logs", objects) as stub:
            yield stub

    def contenders(self, stub: StubS3) -> dict[str, Callable[[], Run]]:
        """Say who competes."""
        bucket = f"s3://flow-logs/AWSLogs/?endpoint={stub.address}&region=eu-west-1"
        urls = [stub.address, *(f"/flow-logs/{key}" for key in stub.objects)]
        return {
            READ: lambda: self._run("read", str(self._gzip)),
            SEND: lambda: self._run("send", str(self._plain)),
            PUBLISH: lambda: self._run("publish", str(self._gzip)),
            PLAIN: lambda: self._run("publish", str(self._plain)),
            MERGED: lambda: self._run("publish", *map(str, self._parts)),
            FETCH: lambda: self._run("fetch", *urls),
            READ_S3: lambda: self._run("read", bucket),
            PUBLISH_S3: lambda: self._run("publish", bucket),
        }

    def memory(self) -> list[Measurement]:
        """Say how much memory it takes to publish as much as ever, and a tenth of that."""
        found = []
        for share, name in ((10, "a tenth of the records"), (1, "all records")):
            wanted = size("SOURCES_MEMORY_RECORDS") // share
            path = self._folder / "large.log.gz"
            with path.open("wb") as file:
                for number in range(wanted // _MEMBER_RECORDS):
                    file.write(self._members[number % len(self._members)])
            most = self._figures("publish", str(path))["most_megabytes"]
            found.append(Measurement(f"resident memory of publishing, the most, {name}", most, "MB"))
        return [*found, Measurement("all records", size("SOURCES_MEMORY_RECORDS"), "records")]

    def _run(self, work: str, *places: str) -> Run:
        found = self._figures(work, *places)
        records = found["records"] or self._records
        return Run(records, found["seconds"], found["cpu_seconds"])

    def _figures(self, work: str, *places: str) -> dict[str, Any]:
        return figures("sources", work, self._bootstrap, *places)


def main(work: str, bootstrap: str, *places: str) -> None:
    """Do one piece of work in this process, and print what it took."""
    keep_freed_memory()
    os.environ |= {"AWS_ACCESS_KEY_ID": "stub", "AWS_SECRET_ACCESS_KEY": "stub"}
    works = {"read": _read, "send": _send, "publish": _publish, "fetch": _fetch}
    prepared = works[work](bootstrap, places)
    cpu, clock = time.process_time(), time.monotonic()
    records = prepared()
    print(
        json.dumps(
            {
                "records": records,
                "seconds": time.monotonic() - clock,
                "cpu_seconds": time.process_time() - cpu,
                "most_megabytes": most_resident_bytes() / _MEGABYTE,
            }
        )
    )


def _source(places: tuple[str, ...]) -> Source:
    source = MergedSource([source_at(place) for place in places], RecordSettings())
    source.cut_into(BlockSettings())
    return source


def _read(_: str, places: tuple[str, ...]) -> Callable[[], int]:
    source = _source(places)
    return lambda: sum(block.lines for block in source.blocks())


def _send(bootstrap: str, places: tuple[str, ...]) -> Callable[[], int]:
    blocks = list(_source(places).blocks())
    producer = KafkaProducer(
        bootstrap_servers=[bootstrap],
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
        batch_size=512 << 10,
        metrics_enabled=False,
    )

    def send() -> int:
        for block in blocks:
            producer.send(_TOPIC, block.value, headers=list(block.headers.items()))
        producer.flush()
        return sum(block.lines for block in blocks)

    return send


def _publish(bootstrap: str, places: tuple[str, ...]) -> Callable[[], int]:
    settings = KafkaSettings(bootstrap_servers=(bootstrap,))
    topic: Topic = TopicSettings().flows
    source = _source(places)
    publisher = Publisher(settings, topic, records=RecordSettings())

    def publish() -> int:
        with publisher:
            publisher.publish(source)
            return publisher.finish().records

    return publish


def _fetch(_: str, places: tuple[str, ...]) -> Callable[[], int]:
    address, *paths = places

    def fetch() -> int:
        for path in paths:
            with urlopen(f"{address}{path}") as answer:  # noqa: S310 - the stub
                answer.read()
        return 0

    return fetch


if __name__ == "__main__":
    main(*sys.argv[1:])
