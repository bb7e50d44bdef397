"""A worker that stands still ends itself."""

from pathlib import Path

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.streams.programs import Program, environment_of, every


def test_a_worker_whose_broker_stays_away_ends_with_a_line_that_says_why(
    own_kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    environment = environment_of(own_kafka_broker.bootstrap, topic_settings)
    environment |= {"FLOWHAWK__WATCHDOG__STALLED_SECONDS": "8"}
    with Program("run", environment=environment, folder=tmp_path) as worker:
        worker.wait_until(lambda: " took over " in worker.errors)
        own_kafka_broker.kill()
        for _ in every(0.1, seconds=40):
            if worker.process.poll() is not None:
                break
        assert worker.process.returncode == 70
        lines = [line for line in worker.errors.splitlines() if line.startswith("flowhawk: ")]
    assert len(lines) == 1
    assert "the watchdog found that nothing goes on: no record was read for" in lines[0]
    assert "and the broker does not say what is waiting" in lines[0]
    assert "Traceback" not in worker.errors


def test_a_worker_whose_broker_goes_away_while_it_starts_ends_with_a_line_that_says_why(
    own_kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    environment = environment_of(own_kafka_broker.bootstrap, topic_settings)
    environment |= {"FLOWHAWK__WATCHDOG__STALLED_SECONDS": "8"}
    with Program("run", environment=environment, folder=tmp_path) as worker:
        worker.wait_until(lambda: " starting " in worker.errors)
        own_kafka_broker.kill()
        for _ in every(0.1, seconds=60):
            if worker.process.poll() is not None:
                break
        assert worker.process.returncode == 70
        lines = [line for line in worker.errors.splitlines() if line.startswith("flowhawk: ")]
    assert len(lines) == 1
    assert "Traceback" not in worker.errors
