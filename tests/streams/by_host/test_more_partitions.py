"""Other numbers of partitions of hosts, and the other topology, without losing what was learned."""

import json
import signal
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata

from detectors.statistics.baselines import Baselines
from streams import baseline_files
from streams.errors import FAILED
from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.settings import Settings
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.by_host.traffic import complete, detected, environment, spread, told, wait_until
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import Program, every, flowhawk
from tests.streams.topic_records import read

DAY = 24 * 3600
WEEK = NINE + 7 * DAY


def past() -> list[str]:
    """What two days show of hosts that send two megabytes every five minutes, and are refused now and then."""
    lines = []
    for second in range(0, 2 * DAY, 300):
        hosts = range(4)
        lines += [
            flow(f"10.0.{host}.7", f"198.51.100.{host}", end=NINE + second, size=2_000_000 + host) for host in hosts
        ]
        lines += [flow("203.0.113.9", f"10.0.{second % 4}.7", end=NINE + second, action="REJECT", port=22)]
    return lines


def upload(host: int, begin: int) -> str:
    """Write a flow that is too little for a host that nobody knows."""
    return flow(f"10.0.{host}.7", "203.0.113.77", end=begin, size=60_000_000)


class Workers:
    """Commands with the settings of a test, and the worker that it starts."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.environment = environment(settings) | {
            "FLOWHAWK__CHECKPOINTS__INTERVAL_SECONDS": "1",
            # One of the partitions of flows gets nothing.
            "FLOWHAWK__TIME__IDLE_SECONDS": "1",
        }

    def command(self, *arguments: str | Path, **changed: str) -> str:
        """Run a command, and return what it says to people; who ended without a word is missed only after a while."""
        for _ in every(1, seconds=60):
            done = flowhawk(*arguments, environment=self.environment | changed)
            if "or did a moment ago" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        return done.stderr

    def find(self, lines: list[str], **changed: str) -> dict[str, str]:
        """Let a worker have lines, all there is, and return the status of what it finds, by kind."""
        known = told(self.settings)
        with Program("run", environment=self.environment | changed, folder=self.folder) as worker:
            worker.wait_until(lambda: "took over" in worker.errors)
            spread(self.settings, lines)
            complete(self.settings)

            def found() -> dict[str, str]:
                return {each["kind"]: each["status"] for of, each in told(self.settings).items() if of not in known}

            wait_until(lambda: {*found().values()} == {"closed"}, lambda: (found(), worker.errors))
            assert worker.stop(signal.SIGTERM, seconds=15) == 0, worker.errors
            return found()

    def exported(self, name: str, **changed: str) -> Baselines:
        """Return the baselines that are stored."""
        self.command("baselines", "export", self.folder / name, **changed)
        return baseline_files.read(self.folder / name)


def more_partitions(address: str, topic: str, count: int) -> None:
    """Do as `kafka-topics.sh --alter --partitions`."""
    with KafkaAdminClient(bootstrap_servers=address) as admin:
        admin.create_partitions({topic: count})


def reset_to_latest(address: str, group: str, topic: str) -> None:
    """Do as `kafka-consumer-groups.sh --reset-offsets --to-latest` for a topic of one partition."""
    partition = TopicPartition(topic, 0)
    with KafkaConsumer(bootstrap_servers=address, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        consumer.commit({partition: OffsetAndMetadata(consumer.end_offsets([partition])[partition], "", -1)})


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two days teach."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "past.log").write_text("\n".join(past()))
    known = folder / "known.zst"
    assert flowhawk("detect", "--export-baselines", known, folder / "past.log").returncode == 0
    return known


def test_there_are_more_partitions_and_what_was_learned_stays(settings: Settings, tmp_path: Path, known: Path) -> None:
    topic = settings.topics.flows_by_host.name
    address = settings.kafka.bootstrap_servers[0]
    workers = Workers(settings, tmp_path)
    more_partitions(address, topic, 4)
    said = workers.command("baselines", "import", known)
    assert "divided among 4 partitions of hosts; windows stay as they are\n" in said
    assert workers.find([upload(1, WEEK)]) == {"exfiltration_burst": "closed"}
    before = workers.exported("before.zst")
    assert workers.command("baselines", "export", tmp_path / "again.zst").endswith(
        "4 partitions of hosts, all equally far\n"
    )
    assert before.hosts >= baseline_files.read(known).hosts

    more_partitions(address, topic, 8)
    refused = flowhawk("run", environment=workers.environment)
    assert refused.returncode == FAILED
    assert "docs/how-to/run-several-workers.md" in refused.stderr

    said = workers.command("baselines", "import", tmp_path / "before.zst")
    assert "divided among 8 partitions of hosts; windows begin anew\n" in said
    assert workers.exported("after.zst").exported().equals(before.exported())
    # What is usual for the hosts is known where they are now, findings go on, and nothing is told twice.
    lines = [upload(2, WEEK + 3 * 3600), *scan(end=WEEK + 3 * 3600)]
    assert workers.find(lines) == {"exfiltration_burst": "closed", "vertical_scan": "closed"}
    learned = workers.exported("last.zst")
    assert learned.hosts >= before.hosts


def test_what_one_topology_learned_is_taken_to_the_other(settings: Settings, tmp_path: Path, known: Path) -> None:
    workers = Workers(settings, tmp_path)
    direct = {"FLOWHAWK__TOPOLOGY": "direct"}
    workers.command("baselines", "import", known, **direct)
    there = workers.exported("direct.zst", **direct)
    workers.command("baselines", "import", tmp_path / "direct.zst")
    by_host = workers.exported("by-host.zst")
    assert by_host.exported().equals(there.exported())
    lines = [upload(host, WEEK + 60 * host) for host in range(3)]
    wanted = detected(lines, tmp_path, "--baselines", known)
    assert len(wanted) == 3
    assert workers.find(lines) == {"exfiltration_burst": "closed"}
    assert json.dumps(told(settings), sort_keys=True) == json.dumps(wanted, sort_keys=True)
    workers.exported("grown.zst")
    workers.command("baselines", "import", tmp_path / "grown.zst", **direct)
    back = workers.exported("back.zst", **direct)
    assert back.exported().equals(baseline_files.read(tmp_path / "grown.zst").exported())


def test_one_topology_goes_on_where_the_other_stopped(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path, known: Path
) -> None:
    hosts = topic_settings.flows_by_host.model_copy(update={"partitions": 4})
    topics = topic_settings.model_copy(update={"flows_by_host": hosts})
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=f"group-{topics.flows.name}")
    create_topics(kafka, topics, topology="by-host")
    workers = Workers(Settings(kafka=kafka, topics=topics, topology="by-host"), tmp_path)
    workers.command("baselines", "import", known)
    assert workers.find([upload(1, WEEK)]) == {"exfiltration_burst": "closed"}
    workers.exported("by-host.zst")
    before = read(kafka_broker.bootstrap, topics.findings.name)

    group = f"{kafka.group_id}-direct"
    reset_to_latest(kafka_broker.bootstrap, group, topics.flows.name)
    direct = {"FLOWHAWK__TOPOLOGY": "direct", "FLOWHAWK__KAFKA__GROUP_ID": group}
    workers.command("baselines", "import", tmp_path / "by-host.zst", **direct)
    lines = [upload(2, WEEK + 3 * 3600), *scan(end=WEEK + 3 * 3600)]
    assert workers.find(lines, **direct) == {"exfiltration_burst": "closed", "vertical_scan": "closed"}
    # What was found before is not found once more, as it would be if its records were read once more.
    after = read(kafka_broker.bootstrap, topics.findings.name)
    assert {record.key for record in after[len(before) :]}.isdisjoint({record.key for record in before})
