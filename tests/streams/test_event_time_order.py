"""Backlogs of several accounts, read one after the other or at once, make nothing late at a real service."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.generate import Traffic
from streams.generate.traffic import START
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.programs import Program, environment_of, flowhawk, get, samples
from tests.streams.topic_records import end_offset, read

MINUTES = 180


@pytest.fixture
def environment(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Mapping[str, str]:
    create_topics(KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,)), topic_settings)
    return environment_of(kafka_broker.bootstrap, topic_settings)


def value(address: tuple[str, int], name: str) -> float:
    return samples(get(address, "/metrics")[1])[name]


def backlog(folder: Path, account: str, seed: int, rate: int) -> list[Path]:
    """Write three hours of an account, an hour to a file."""
    folder.joinpath(account).mkdir()
    hour = MINUTES // 3
    paths = []
    for number in range(3):
        traffic = Traffic(
            seed=seed, start=START + number * hour * 60, minutes=hour, hosts=40, records_per_minute=rate, version=2
        )
        paths.append(folder / account / f"{number}.log")
        with paths[-1].open("wb") as file:
            file.writelines(traffic.blocks())
    return paths


@pytest.mark.parametrize("command", ["ingest", "publish"])
def test_two_backlogs_make_nothing_late_and_what_was_read_is_what_is_counted(
    kafka_broker: KafkaBroker,
    topic_settings: TopicSettings,
    environment: Mapping[str, str],
    tmp_path: Path,
    command: str,
) -> None:
    # A quiet account beside a busy one: a block of the quiet one spans half an hour.
    paths = [*backlog(tmp_path, "busy", 1, 1500), *backlog(tmp_path, "quiet", 2, 30)]
    with paths[-1].open("a") as file:
        file.write("this is no record\n")
    headers = sum(path.read_bytes()[:1].isalpha() for path in paths)
    records = sum(path.read_bytes().count(b"\n") for path in paths) - headers
    done = flowhawk(command, *paths, environment=environment)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["read"] == summary["records"] == records
    messages = end_offset(kafka_broker.bootstrap, topic_settings.flows.name)
    (folder := tmp_path / "run").mkdir()
    with Program("run", environment=environment, folder=folder) as service:
        address = service.metrics_address()
        counted = ("flowhawk_records_total", "flowhawk_refused_total", "flowhawk_late_total")
        service.wait_until(lambda: sum(value(address, name) for name in counted) >= records)
        assert [value(address, name) for name in counted] == [records - 1, 1, 0]
    assert messages > len(paths)
    assert read(kafka_broker.bootstrap, topic_settings.flows_late.name) == []
