import gzip
import json
import random
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.programs import Program, environment_of, every, flowhawk
from tests.streams.topic_records import end_offset, read


@pytest.fixture
def environment(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Mapping[str, str]:
    create_topics(KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,)), topic_settings)
    return environment_of(kafka_broker.bootstrap, topic_settings)


def lines_of(broker: KafkaBroker, topics: TopicSettings) -> list[str]:
    records = read(broker.bootstrap, topics.flows.name)
    return [line for record in records for line in record.value.decode().split("\n")]


def test_after_kill_9_at_any_time_nothing_is_missing_and_nothing_comes_twice(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, environment: Mapping[str, str], tmp_path: Path
) -> None:
    chance = random.Random(int(environment.get("FAULT_SEED", "7")))  # noqa: S311 - the same every time
    paths = []
    for name in ("a.log", "b.log.gz"):
        lines = "".join(f"{name}-{number} {flow(end=NINE)}\n" for number in range(60_000)).encode()
        paths.append(tmp_path / name)
        paths[-1].write_bytes(gzip.compress(lines, 1) if name.endswith("gz") else lines)
    settings = tmp_path / "flowhawk.yaml"
    settings.write_text(f"sources: [{paths[0]}, {paths[1]}]\ningest: {{commit_ms: 5, transaction_bytes: 262144}}\n")
    killed = 0
    for attempt in range(4):
        before = end_offset(kafka_broker.bootstrap, topic_settings.flows.name)
        more = before + chance.randrange(1, 25)
        (folder := tmp_path / str(attempt)).mkdir()
        with Program("ingest", "--config", settings, environment=environment, folder=folder) as program:
            for _ in every(0.001, seconds=120):
                if program.process.poll() is not None:
                    break
                if end_offset(kafka_broker.bootstrap, topic_settings.flows.name) > more:
                    program.process.kill()
                    killed += 1
                    break
    done = flowhawk("ingest", "--config", settings, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert killed
    found = lines_of(kafka_broker, topic_settings)
    assert len(found) == 120_000
    assert len(set(found)) == 120_000


def test_after_kill_9_a_file_that_grew_and_was_rotated_meanwhile_is_neither_cut_nor_repeated(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, environment: Mapping[str, str], tmp_path: Path
) -> None:
    (logs := tmp_path / "logs").mkdir()
    path = logs / "a.log"
    settings = tmp_path / "flowhawk.yaml"
    settings.write_text(
        f"sources: ['follow://{logs}/?poll_ms=10']\ningest: {{commit_ms: 5, transaction_bytes: 262144}}\n"
    )
    written = 0
    for attempt in range(3):
        with path.open("a") as file:
            file.writelines(f"{number} {flow(end=NINE)}\n" for number in range(written, written + 20_000))
        written += 20_000
        before = end_offset(kafka_broker.bootstrap, topic_settings.flows.name)
        (folder := tmp_path / str(attempt)).mkdir()
        with Program("ingest", "--config", settings, environment=environment, folder=folder) as program:
            program.wait_until(lambda: end_offset(kafka_broker.bootstrap, topic_settings.flows.name) > before + 5)  # noqa: B023 - waited for at once
            program.process.kill()
        path.rename(logs / f"a.log.{attempt}")
    (folder := tmp_path / "last").mkdir()
    with Program("ingest", "--config", settings, environment=environment, folder=folder) as program:
        program.wait_until(lambda: len(lines_of(kafka_broker, topic_settings)) >= written)
        assert program.stop(signal.SIGTERM, seconds=60) == 0
    numbers = [int(line.split()[0]) for line in lines_of(kafka_broker, topic_settings)]
    assert sorted(numbers) == list(range(written))


def test_a_summary_is_printed_and_a_second_start_has_nothing_to_do(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{flow(port=number + 1)}\n" for number in range(500)))
    for expected in (500, 0):
        done = flowhawk("ingest", path, environment=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["records"] == expected


def test_what_cannot_be_read_makes_the_exit_status_1(environment: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\x00 broken")
    (tmp_path / "b.log").write_text(f"{flow()}\n")
    done = flowhawk("ingest", tmp_path / "a.gz", tmp_path / "b.log", environment=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / 'a.gz'}: stops being readable after ")
    assert {name: json.loads(done.stdout)[name] for name in ("records", "problems")} == {"records": 1, "problems": 1}


def test_a_folder_stands_for_its_files(environment: Mapping[str, str], tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.log").write_text(f"{flow(end=NINE + number)}\n")
    for expected in (40, 0):
        done = flowhawk("ingest", tmp_path, environment=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["records"] == expected


def test_nothing_to_ingest_is_a_mistake_in_the_settings(environment: Mapping[str, str]) -> None:
    done = flowhawk("ingest", environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is nothing to ingest" in done.stderr


def test_it_ends_in_order_when_told_to(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, environment: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{flow(port=number + 1)}\n" for number in range(500)))
    (folder := tmp_path / "run").mkdir()
    with Program("ingest", path, "generate://?minutes=100000", environment=environment, folder=folder) as program:
        program.wait_until(lambda: end_offset(kafka_broker.bootstrap, topic_settings.flows.name) > 5)
        assert program.stop(signal.SIGTERM, seconds=60) == 0
    summary = json.loads(program.output)
    header, *lines = sorted(lines_of(kafka_broker, topic_settings), reverse=True)
    assert header.startswith("version ")
    assert summary["read"] == summary["records"] == len(lines)
