"""What is refused before anything is read, and commands that the topology does not concern."""

from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from streams.errors import SettingsError
from streams.settings import Settings, load
from tests.streams.by_host.traffic import environment
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import flowhawk


@pytest.mark.parametrize("topic", ["partials", "questions"])
def test_what_everybody_hears_must_be_one_partition(settings: Settings, topic: str) -> None:
    name = getattr(settings.topics, topic).name
    with KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers[0]) as admin:
        admin.create_partitions({name: 3})
    done = flowhawk("run", environment=environment(settings))
    assert done.returncode == 1
    assert f"{name} has 3 partitions where it must have one" in done.stderr
    assert "create it again with: flowhawk topics create" in done.stderr


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ("partials: {partitions: 2}", "partials.partitions is 2 and must be 1"),
        ("questions: {partitions: 4}", "questions.partitions is 4 and must be 1"),
        ("flows_by_host: {partitions: 300}", "flows_by_host.partitions is 300, above the 256 shards"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, topics: str, said: str) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text(f"topology: by-host\ntopics:\n  {topics}\n")
    with pytest.raises(SettingsError, match=said):
        load(path)


def test_check_config_names_the_topology_and_how_many_partitions_there_are(tmp_path: Path) -> None:
    path = tmp_path / "flowhawk.yaml"
    path.write_text("topology: by-host\ntopics: {flows: {partitions: 6}, flows_by_host: {partitions: 8}}\n")
    done = flowhawk("check-config", path)
    assert (done.returncode, done.stderr) == (0, "")
    for line in ("topology: by-host", "topics.flows.partitions: 6", "topics.flows_by_host.partitions: 8"):
        assert f"  {line}\n" in done.stdout


def test_up_runs_all_stages_in_its_one_process_whatever_the_topology(tmp_path: Path) -> None:
    log = tmp_path / "flows.log"
    log.write_text("\n".join([flow(end=NINE), *scan()]))
    done = flowhawk(
        "up", log, environment={"FLOWHAWK__HTTP__PORT": "0", "FLOWHAWK__TOPOLOGY": "by-host"}, folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "1: 1 vertical_scan" in done.stderr
