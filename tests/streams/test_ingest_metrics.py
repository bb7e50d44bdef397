import gzip
import io
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from streams.declared_metrics import INGEST
from streams.ingest import Ingested
from streams.ingest_metrics import IngestMetrics
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.records import RecordSettings
from streams.selection import Left
from streams.sources import Block
from streams.sources.files import FileSource
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.programs import Program, check_metrics, environment_of, flowhawk, free_port, get, samples
from tests.streams.sources.troubled_s3 import BUCKET, Refused, serving
from tests.streams.topic_records import read

GOOD = "".join(f"{flow(port=number + 1)}\n" for number in range(4)).encode()


def parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


TROUBLES: Mapping[str, tuple[bytes | Refused, str]] = {
    "truncated": (gzip.compress(GOOD * 5000)[:-500], "stops being readable after "),
    "deleted": (Refused(404, "NoSuchKey"), "is not there any more"),
    "forbidden": (Refused(403, "AccessDenied"), "check the credentials, and that their policy allows this"),
    "elsewhere": (Refused(400, "AuthorizationHeaderMalformed"), "set region to that of the bucket"),
    "other-parquet": (parquet(pl.DataFrame({"name": ["a"], "age": [1]})), "of something else than flow logs"),
    "half-parquet": (parquet(pl.DataFrame({"srcaddr": ["a"], "dstaddr": ["b"]}))[:-9], "is no whole Parquet file"),
    "binary": (bytes(2 << 20), "is longer than 1 MiB; is this a flow log?"),
}
"""What may be wrong with an object, and what is said then."""


@pytest.fixture
def environment(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> dict[str, str]:
    create_topics(KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,)), topic_settings)
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_MAX_ATTEMPTS": "1"}
    return environment_of(kafka_broker.bootstrap, topic_settings) | credentials


def values(port: int) -> dict[str, float]:
    status, page = get(("127.0.0.1", port), "/metrics")
    assert status == 200
    check_metrics(page)
    return samples(page)


def test_every_metric_begins_at_zero_and_is_well_formed() -> None:
    metrics = IngestMetrics({}, RecordSettings(), failed=["s3://gone"])
    served = {metric.name for metric in metrics.registry.collect()}
    assert {name.removesuffix("_total") for name in INGEST} <= served
    assert metrics.registry.get_sample_value("flowhawk_ingest_problems_total", {"place": "s3://gone"}) == 1
    assert metrics.registry.get_sample_value("flowhawk_ingest_dropped_total", {"reason": "sample"}) == 0


def test_names_say_their_units_and_labels_have_an_end() -> None:
    for name, (kind, meaning, labels) in INGEST.items():
        assert name.startswith("flowhawk_ingest_")
        assert name.endswith("_total") == (kind == "counter")
        assert meaning.endswith(".")
        assert set(labels) <= {"place", "reason"}


def test_a_transaction_is_counted_and_says_up_to_when_places_are_published(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    source = FileSource(str(tmp_path / "a.log"))
    metrics = IngestMetrics({"a.log": source}, RecordSettings())
    last = Block(flow(end=NINE).encode(), {}, 1, "a.log", 9)
    for count in (3, 5):
        done = Ingested(read=count, records=count - 2, bytes=count * 100, messages=count, transactions=count)
        metrics.committed(done, Left(dropped=1, sampled_out=1), {id(source): last}, 1e9)
    value = metrics.registry.get_sample_value
    assert value("flowhawk_ingest_read_total") == 5
    assert value("flowhawk_ingest_published_total") == 3
    assert value("flowhawk_ingest_dropped_total", {"reason": "rule"}) == 1
    assert value("flowhawk_ingest_position_timestamp_seconds", {"place": "a.log"}) == NINE
    assert value("flowhawk_ingest_commit_timestamp_seconds") == 1e9


def test_what_is_wrong_with_objects_is_named_and_counted_and_the_rest_goes_on(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, environment: dict[str, str], tmp_path: Path
) -> None:
    objects = {name: body for name, (body, _) in TROUBLES.items()} | {"good-1": GOOD, "good-2": gzip.compress(GOOD)}
    port = free_port()
    environment["FLOWHAWK__INGEST__HTTP__PORT"] = str(port)
    with serving(objects) as address:
        # The endpoint goes on for ever, so that there is time to look.
        places = (f"s3://{BUCKET}/?endpoint={address}&region=eu-west-1", "http://127.0.0.1:0/", "s3://?region=x")
        with Program("ingest", *places, environment=environment, folder=tmp_path) as program:
            counted = f'flowhawk_ingest_problems_total{{place="s3://{BUCKET}/"}}'
            program.wait_until(lambda: "stops being readable" in program.errors)
            program.wait_until(lambda: values(port)[counted] == len(TROUBLES))
            program.wait_until(lambda: values(port)["flowhawk_ingest_published_total"] >= 8)
            found = values(port)
            assert get(("127.0.0.1", port), "/-/ready")[0] == 200
            assert program.stop(signal.SIGTERM, seconds=60) == 1
    errors = program.errors.splitlines()
    for name, (_, said) in TROUBLES.items():
        (line,) = (line for line in errors if line.startswith(f"s3://{BUCKET}/{name}:"))
        assert said in line
    summary = json.loads(program.output)
    assert summary["problems"] == len(TROUBLES) + 1
    assert found['flowhawk_ingest_problems_total{place="s3://"}'] == 1
    lines = [
        line for each in read(kafka_broker.bootstrap, topic_settings.flows.name) for line in each.value.split(b"\n")
    ]
    assert summary["read"] == summary["records"] == len(lines) == found["flowhawk_ingest_published_total"]
    for name in ("good-1", "good-2"):
        (each,) = (
            each
            for each in read(kafka_broker.bootstrap, topic_settings.flows.name)
            if each.headers["flowhawk-source"].decode().endswith(name)
        )
        assert each.value + b"\n" == GOOD


def test_where_no_place_can_be_opened_it_does_not_begin(environment: dict[str, str]) -> None:
    done = flowhawk("ingest", "absent-1.log", "absent-2.log", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "absent-2.log: cannot be read: No such file or directory" in done.stderr


def test_two_places_of_one_name_are_told_apart(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(GOOD)
    done = flowhawk("ingest", "a.log", "a.log", environment=environment, folder=tmp_path)
    assert done.returncode == 0
