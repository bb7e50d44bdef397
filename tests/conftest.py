"""What every test may ask for: a real Kafka broker and names of its own on it."""

import os
import secrets
import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.kafka.cluster import KafkaCluster
from tests.kafka.libraries import missing_programs

_NEEDS_BROKER = "needs a real Kafka broker"


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python reads its message schemas with functions that Python 3.11 and 3.12 call deprecated.
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    # It also drops sockets of connections that were refused without closing them.
    config.addinivalue_line("filterwarnings", r"ignore:unclosed <socket.*proto=6, laddr=\('0.0.0.0':ResourceWarning")

    # How long an example takes says more of the machine than of the code.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
    # Chosen here, so that all processes of a run choose the same.
    os.environ.setdefault("FAULT_SEED", str(secrets.randbelow(1_000_000) + 1))


def pytest_report_header() -> str:
    return f"FAULT_SEED={os.environ['FAULT_SEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"kafka_broker", "own_kafka_broker", "kafka_cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    without_broker = [report for report in reports if _NEEDS_BROKER in str(report.longrepr)]
    if without_broker:
        terminalreporter.write_line(
            f"!!! {len(without_broker)} TESTS ON A REAL KAFKA BROKER DID NOT RUN: {_what_is_missing()} !!!",
            red=True,
            bold=True,
        )


def _what_is_missing() -> str:
    return f"{' and '.join(missing_programs())} not found; on Debian: apt-get install default-jre-headless maven"


def _require_broker_programs() -> None:
    if not missing_programs():
        return
    reason = f"{_NEEDS_BROKER}: {_what_is_missing()}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Give the broker that the tests of a session share; nobody stops it."""
    _require_broker_programs()
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def own_kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Give a broker to a single test, which may stop, kill and restart it."""
    _require_broker_programs()
    with KafkaBroker(tmp_path_factory.mktemp("own-kafka")) as broker:
        yield broker


@pytest.fixture(scope="module")
def shared_kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Give the cluster that the tests of a module share, in whatever state the last one left it."""
    _require_broker_programs()
    with KafkaCluster(tmp_path_factory.mktemp("kafka-cluster")) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(shared_kafka_cluster: KafkaCluster) -> KafkaCluster:
    """Give three brokers, all running and in sync; a test may kill and start any of them."""
    shared_kafka_cluster.start(*shared_kafka_cluster.dead)
    shared_kafka_cluster.wait_until_in_sync()
    return shared_kafka_cluster


@pytest.fixture
def topic_names() -> Callable[[str], str]:
    """Give a function that turns a name into one that no other test has."""
    suffix = uuid.uuid4().hex[:12]
    return lambda name: f"{name}-{suffix}"


@pytest.fixture
def topic_settings(topic_names: Callable[[str], str]) -> TopicSettings:
    """Give the topics under names that no other test has."""
    usual = TopicSettings()
    return TopicSettings(
        **{
            field: getattr(usual, field).model_copy(update={"name": topic_names(getattr(usual, field).name)})
            for field in TopicSettings.model_fields
            if field != "create"
        }
    )
