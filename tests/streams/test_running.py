"""The whole service on a real Kafka: one worker process from its start to SIGTERM, watched from outside."""

import json
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from detectors.addresses import written
from detectors.finding import Finding
from streams.formats import formats
from streams.kafka_settings import TopicSettings
from streams.records import Message, NetworkSettings, RecordSettings, decode
from tests.kafka.broker import KafkaBroker
from tests.streams.programs import (
    Program,
    check_metrics,
    environment_of,
    every,
    flowhawk,
    free_port,
    get,
    samples,
)
from tests.streams.topic_records import Record, committed_offset, end_offset, read
from tests.streams.web_server import ThreadedWebServer, serving

MALFORMED = ("certainly no flow", "2 123456789012 eni-1 nowhere")


@dataclass
class Run:
    """What one worker did, as seen from outside."""

    statuses: list[tuple[int, str]]
    metrics: str
    detected: list[str]
    refused: list[str]
    late_line: str
    flows: list[Record]
    findings: list[Record]
    dead_letters: list[Record]
    late: list[Record]
    exit_status: int
    committed: int | None
    end: int
    output: str
    errors: str
    posted: list[dict[str, Any]]


def topics() -> TopicSettings:
    usual, suffix = TopicSettings(), uuid.uuid4().hex[:12]
    names = ("flows", "flows_dead_letter", "flows_late", "findings", "state", "positions")
    return TopicSettings(
        **{name: getattr(usual, name).model_copy(update={"name": f"{name}-{suffix}"}) for name in names}
    )


def ready_statuses(program: Program, address: tuple[str, int]) -> Iterator[tuple[int, str]]:
    """Ask for readiness from the first answer on, until it is there."""
    for _ in every(0.02, seconds=60):
        assert program.process.poll() is None, program.errors
        try:
            status, text = get(address, "/-/ready")
        except ConnectionError:
            continue
        yield status, text
        if status == 200:
            return
    pytest.fail(f"never ready: {program.errors}")


@pytest.fixture(scope="module")
def run(kafka_broker: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    broker, names = kafka_broker.bootstrap, topics()
    port = free_port()
    environment = environment_of(broker, names) | {"FLOWHAWK__HTTP__PORT": str(port)}
    web = ThreadedWebServer()
    environment["FLOWHAWK__SINKS__WEBHOOK"] = json.dumps({"url": web.url, "format": "ocsf"})
    main, late = folder / "main.log", folder / "late.log"
    generated = flowhawk("generate", "--minutes", "30", "--rate", "2000", "--hosts", "60").stdout.splitlines()
    middle = len(generated) // 2
    main.write_text("\n".join([*generated[:middle], *MALFORMED, *generated[middle:]]) + "\n")
    late.write_text("\n".join(generated[:2]) + "\n")
    detected = flowhawk("detect", main, environment=environment)

    assert flowhawk("topics", "create", environment=environment).returncode == 0
    with serving(web), Program("run", environment=environment, folder=folder) as worker:
        statuses = list(ready_statuses(worker, ("127.0.0.1", port)))

        def count(name: str) -> float:
            found = samples(get(("127.0.0.1", port), "/metrics")[1])
            return sum(value for each, value in found.items() if each.partition("{")[0] == name)

        assert flowhawk("publish", main, environment=environment).returncode == 0
        worker.wait_until(lambda: count("flowhawk_records_total") == len(generated) - 1)
        assert flowhawk("publish", "--complete", late, environment=environment).returncode == 0
        worker.wait_until(lambda: count("flowhawk_messages_total") == end_offset(broker, names.flows.name))
        worker.wait_until(lambda: count("flowhawk_open_findings") == 0)
        worker.wait_until(lambda: len(posted(web)) >= len(read(broker, names.findings.name)))
        metrics = get(("127.0.0.1", port), "/metrics")[1]
        exit_status = worker.stop(signal.SIGTERM, seconds=10)
        return Run(
            statuses=statuses,
            metrics=metrics,
            detected=detected.stdout.splitlines(),
            refused=detected.stderr.splitlines(),
            late_line=generated[1],
            flows=read(broker, names.flows.name),
            findings=read(broker, names.findings.name),
            dead_letters=read(broker, names.flows_dead_letter.name),
            late=read(broker, names.flows_late.name),
            exit_status=exit_status,
            committed=committed_offset(broker, f"group-{names.flows.name}", names.flows.name),
            end=end_offset(broker, names.flows.name),
            output=worker.output,
            errors=worker.errors,
            posted=posted(web),
        )


def posted(web: ThreadedWebServer) -> list[dict[str, Any]]:
    return [each for body in web.bodies for each in json.loads(body)]


def test_the_findings_are_those_of_detect_to_the_letter(run: Run) -> None:
    last = {record.key: record.value.decode() for record in run.findings}
    standing = [each for each in last.values() if json.loads(each)["status"] not in {"retracted", "superseded"}]
    standing.sort(key=lambda each: (json.loads(each)["first_seen"], json.loads(each)["id"]))
    assert standing == run.detected
    assert len(standing) >= 2


def test_every_finding_is_keyed_by_its_id(run: Run) -> None:
    assert all(record.key == json.loads(record.value)["id"].encode() for record in run.findings)


def test_a_webhook_hears_of_every_state_in_its_format(run: Run) -> None:
    written = [formats()["ocsf"].written(Finding.model_validate_json(record.value)) for record in run.findings]
    assert run.posted == [json.loads(each) for each in written]


def test_findings_are_printed_once_each_as_a_line(run: Run) -> None:
    raised = {json.loads(record.value)["id"] for record in run.findings}
    lines = run.output.splitlines()
    assert len(lines) == len(raised)
    assert all(any(json.loads(each)["kind"] in line for line in lines) for each in run.detected)


def test_ready_is_503_with_a_reason_until_a_partition_is_assigned_and_restored(run: Run) -> None:
    *starting, ready = run.statuses
    assert ready == (200, "ready\n")
    assert starting
    assert {status for status, _ in starting} == {503}
    assert {text for _, text in starting} <= {
        "the service is starting\n",
        f"no partition of {run_topic(run)} is assigned\n",
        f"the state of {run_topic(run)}/0 is being restored\n",
    }


def run_topic(run: Run) -> str:
    return run.dead_letters[0].headers["flowhawk-topic"].decode()


def test_metrics_count_what_was_published(run: Run) -> None:
    found = samples(run.metrics)
    lines = b"\n".join(record.value for record in run.flows).splitlines()
    header_lines = 2
    late = 1
    assert found["flowhawk_refused_total"] == len(MALFORMED)
    assert found["flowhawk_late_total"] == late
    assert found["flowhawk_records_total"] == len(lines) - header_lines - len(MALFORMED) - late
    assert found["flowhawk_messages_total"] == len(run.flows)
    assert found["flowhawk_consumed_bytes_total"] == sum(len(record.value) for record in run.flows)
    raised = sum(value for name, value in found.items() if name.startswith("flowhawk_findings_total"))
    # Where a look came late, what it told of is superseded by what was seen earlier: that was never certain.
    certain = {record.key for record in run.findings if not json.loads(record.value)["provisional"]}
    assert raised == len(certain) == len(run.detected)


def test_metrics_are_sound_for_prometheus(run: Run) -> None:
    check_metrics(run.metrics)


def test_malformed_lines_are_dead_letters_that_say_why_and_where(run: Run) -> None:
    assert [letter.value.decode() for letter in run.dead_letters] == list(MALFORMED)
    for letter in run.dead_letters:
        origin = run.flows[int(letter.headers["flowhawk-offset"])]
        assert origin.value.split(b"\n")[int(letter.headers["flowhawk-line"]) - 1] == letter.value
        assert letter.headers["flowhawk-partition"] == b"0"
    reasons = [letter.headers["flowhawk-reason"].decode() for letter in run.dead_letters]
    assert reasons[0].startswith("wrong field count: 3 instead of ")
    assert [line.split(": ", 1)[1] for line in run.refused] == reasons


def test_a_late_record_can_be_decoded_again(run: Run) -> None:
    (late,) = run.late
    again = decode(Message(late.value, late.headers), RecordSettings(), NetworkSettings())
    frame = again.table.frame
    assert again.refused.is_empty()
    assert frame.height == 1
    fields = run.late_line.split()
    assert written(frame["source_high"][0], frame["source_low"][0]) in fields
    assert str(frame["end"][0]) in fields
    assert str(frame["bytes"][0]) in fields


def test_sigterm_stops_it_in_order_with_everything_committed(run: Run) -> None:
    assert run.exit_status == 0
    assert run.committed == run.end
    assert "Traceback" not in run.errors
    assert [line.split()[3] for line in run.errors.splitlines() if "streams.running" in line][-1] == "stopped"
