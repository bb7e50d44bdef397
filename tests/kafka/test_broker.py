import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.kafka.broker import KafkaBroker
from tests.kafka.libraries import BrokerError, missing_programs


def _write(broker: KafkaBroker, topic: str, value: bytes) -> None:
    with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        producer.send(topic, value, partition=0).get(timeout=30)


def _read(broker: KafkaBroker, topic: str) -> list[bytes]:
    with KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        values: list[bytes] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=500).values():
                values += [record.value for record in records]
        return values


def _create(broker: KafkaBroker, topic: str) -> None:
    with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)


def test_what_was_written_survives_kill_and_restart_on_the_same_address(own_kafka_broker: KafkaBroker) -> None:
    broker = own_kafka_broker
    address, first = broker.bootstrap, broker.pid
    _create(broker, "kept")
    _write(broker, "kept", b"before the kill")

    broker.kill()
    host, port = address.split(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
    broker.start()
    _write(broker, "kept", b"before the restart")
    second = broker.pid
    broker.restart()

    assert broker.bootstrap == address
    assert len({first, second, broker.pid}) == 3
    assert _read(broker, "kept") == [b"before the kill", b"before the restart"]


def test_one_that_ends_instead_of_answering_says_the_end_of_its_log(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path) as broker:
        broker.kill()
        mark = tmp_path / "data" / "meta.properties"
        mark.write_text(mark.read_text().replace("node.id=1", "node.id=2"))

        with pytest.raises(BrokerError, match=r"(?s)broker 1 ended with 1:\n.*node.id"):
            broker.start()
        assert not broker.is_running


def test_two_brokers_run_side_by_side(kafka_broker: KafkaBroker, own_kafka_broker: KafkaBroker) -> None:
    _create(own_kafka_broker, "only-here")

    with KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap) as admin:
        assert "only-here" not in admin.list_topics()


def test_topics_do_not_appear_by_being_asked_for(kafka_broker: KafkaBroker) -> None:
    with KafkaConsumer("never-created", bootstrap_servers=kafka_broker.bootstrap) as consumer:
        consumer.poll(timeout_ms=300)

    with KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap) as admin:
        assert "never-created" not in admin.list_topics()


def _run_one_test_without_java(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "do_not_appear", __file__]
    root = Path(__file__).parents[2]
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        command,
        cwd=root,
        env=kept | {"PATH": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_java_tests_are_skipped_with_one_loud_line(tmp_path: Path) -> None:
    done = _run_one_test_without_java(tmp_path)

    assert done.returncode == 0, done.stdout
    loud = [line for line in done.stdout.splitlines() if line.startswith("!!!")]
    assert len(loud) == 1
    assert "1 TESTS ON A REAL KAFKA BROKER DID NOT RUN: java" in loud[0]


def test_without_java_tests_fail_in_ci(tmp_path: Path) -> None:
    done = _run_one_test_without_java(tmp_path, CI="true")

    assert done.returncode == 1, done.stdout
    assert "needs a real Kafka broker: java" in done.stdout


def test_nothing_is_missing_where_the_broker_runs(kafka_broker: KafkaBroker) -> None:
    assert kafka_broker.pid > 0
    assert missing_programs() == []
