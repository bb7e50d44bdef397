import signal
from pathlib import Path

import pytest

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.programs import Program, environment_of, flowhawk

DAY = 24 * 3600


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """What two days teach of a host that sends a megabyte a minute."""
    past, known = tmp_path / "past.log", tmp_path / "known.zst"
    past.write_text("\n".join(flow(end=NINE + second, size=1_000_000) for second in range(0, 2 * DAY, 60)))
    assert flowhawk("detect", "--export-baselines", known, past).returncode == 0
    return known


def test_what_is_imported_is_used_kept_and_exported_again(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path, known: Path
) -> None:
    environment = environment_of(kafka_broker.bootstrap, topic_settings)
    upload, again = tmp_path / "upload.log", tmp_path / "again.zst"
    # Too little for a host that nobody knows.
    upload.write_text(flow(destination="203.0.113.77", end=NINE + 7 * DAY, size=60_000_000))
    assert flowhawk("topics", "create", environment=environment).returncode == 0
    none = flowhawk("baselines", "export", again, environment=environment)
    assert (none.returncode, "holds no checkpoint" in none.stderr, again.exists()) == (1, True, False)

    done = flowhawk("baselines", "import", known, environment=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == f"{known}: 1 pasts of hosts; the next worker that starts has them\n"
    with Program("run", environment=environment, folder=tmp_path) as worker:
        assert flowhawk("publish", "--complete", upload, environment=environment).returncode == 0
        worker.wait_until(lambda: "exfiltration_burst" in worker.output)
        refused = flowhawk("baselines", "import", known, environment=environment)
        assert refused.returncode == 1
        assert "stop all of them" in refused.stderr
        assert worker.stop(signal.SIGTERM, seconds=15) == 0
    exported = flowhawk("baselines", "export", again, environment=environment)
    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", f"{again}: 1 pasts of hosts\n")
    assert flowhawk("detect", "--baselines", again, upload).stdout != ""
    assert flowhawk("baselines", "import", again, environment=environment).returncode == 0


def test_a_file_that_is_none_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "flows.log"
    file.write_text(flow())
    done = flowhawk("baselines", "import", file)
    assert done.returncode == 1
    assert done.stderr.startswith(f"flowhawk: {file}: holds no baselines, or is damaged: ")
