"""A hundred thousand findings at once, through Kafka and a worker, into a real Alertmanager."""

from pathlib import Path
from typing import Final

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.monitoring.servers import AlertmanagerServer, Received
from tests.monitoring.timeline import quick_alertmanager
from tests.streams.found import findings
from tests.streams.programs import Program, environment_of, flowhawk, get, samples
from tests.streams.topic_records import write

FLOOD: Final = 100_000
OPEN: Final = 2_000
"""As many alerts as are open at once by default; five times as many wait."""

GROWTH_BYTES: Final = 100 << 20
"""What a worker may need beyond what it has before; kept as objects, the flood would take several times as much."""


def flood() -> tuple[list[bytes], list[bytes]]:
    """Make findings about as many hosts, and their keys."""
    written = findings()[0].model_dump_json()
    host = findings()[0].entity
    names = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}".encode() for number in range(FLOOD)]
    before, after = (part.encode() for part in written.split(f'"{findings()[0].id}"'))
    text = [before.replace(host.encode(), name) + b'"' + name + b'"' + after for name in names]
    return text, names


def test_a_flood_of_findings_keeps_memory_bounded_and_alertmanager_alive(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    environment = environment_of(kafka_broker.bootstrap, topic_settings) | {"FLOWHAWK__SINKS__TERMINAL": "false"}
    assert flowhawk("topics", "create", environment=environment).returncode == 0
    (tmp_path / "server").mkdir()
    with Received() as somebody, AlertmanagerServer(tmp_path / "server", quick_alertmanager(somebody.url)) as server:
        environment["FLOWHAWK__SINKS__ALERTMANAGER__URLS"] = server.url
        environment["FLOWHAWK__SINKS__ALERTMANAGER__RESEND_SECONDS"] = "600"
        with Program("run", environment=environment, folder=tmp_path) as worker:
            address = worker.metrics_address()

            def value(name: str) -> float:
                return sum(
                    each
                    for sample, each in samples(get(address, "/metrics")[1]).items()
                    if sample.split("{")[0] == name
                )

            worker.wait_until(lambda: get(address, "/-/ready")[0] == 200)
            before = value("process_resident_memory_bytes")
            most = [before]
            values, keys = flood()
            write(kafka_broker.bootstrap, topic_settings.findings.name, values, keys=keys)

            def is_through() -> bool:
                most.append(value("process_resident_memory_bytes"))
                return value("flowhawk_sink_delivered_total") == FLOOD

            worker.wait_until(is_through)
            assert max(most) - before < GROWTH_BYTES
            told = value("flowhawk_alerts_open") + value("flowhawk_alerts_waiting")
            assert told + value("flowhawk_alerts_untold_total") == FLOOD
            assert value("flowhawk_alerts_open") <= OPEN
            worker.wait_until(lambda: any("FlowhawkFindingsSurge" in each["groupKey"] for each in somebody.bodies))
            assert server.answers()
            assert len(server.alerts()) <= OPEN + 1
            assert value("flowhawk_alertmanager_dropped_total") == value("flowhawk_alertmanager_errors_total") == 0
            figures = [round(each / 1e6) for each in (before, max(most), sum(map(len, values)))]
        print(f"{figures} MB: before, at most, and all findings")  # noqa: T201 - a figure
