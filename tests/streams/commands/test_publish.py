import gzip
import json
import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.records.contract import WATERMARK_HEADER
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, flow
from tests.streams.programs import FLOWHAWK, Program, environment_of, flowhawk
from tests.streams.topic_records import Record, read


def lines(count: int) -> list[str]:
    return [flow(port=1024 + index, end=NINE + index // 100) for index in range(count)]


def stored(path: Path, some: Sequence[str]) -> Path:
    text = "".join(f"{line}\n" for line in some).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


class Flows:
    """The flows topic of a test."""

    def __init__(self, broker: str, topics: TopicSettings) -> None:
        self.broker, self.name = broker, topics.flows.name
        self.environment = environment_of(broker, topics)
        create_topics(KafkaSettings(bootstrap_servers=(broker,)), topics)

    def records(self) -> list[Record]:
        return read(self.broker, self.name)

    def text(self) -> str:
        return b"\n".join(record.value for record in self.records()).decode()


@pytest.fixture
def flows(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> Flows:
    return Flows(kafka_broker.bootstrap, topic_settings)


def test_files_are_published_and_summed_up_in_one_line(flows: Flows, tmp_path: Path) -> None:
    published = lines(300)
    first, second = stored(tmp_path / "a.log", published[:100]), stored(tmp_path / "b.log.gz", published[100:])

    options = ("--complete", "--records-per-message", "10")
    done = flowhawk("publish", *options, first, second, environment=flows.environment)

    assert done.returncode == 0
    counted = json.loads(done.stdout)
    assert (counted["read"], counted["records"], counted["messages"], counted["problems"]) == (300, 300, 31, 0)
    (summary,) = done.stderr.splitlines()
    assert summary.startswith("published 300 records, ")
    assert f" in 31 messages to {flows.name} in " in summary
    assert summary.endswith(" records/s")
    assert flows.text().splitlines() == published
    assert WATERMARK_HEADER in flows.records()[-1].headers


def test_several_files_go_out_in_the_order_of_their_time(flows: Flows, tmp_path: Path) -> None:
    published = lines(6000)
    late, early = stored(tmp_path / "a.log", published[3000:]), stored(tmp_path / "b.log", published[:3000])

    assert flowhawk("publish", late, early, environment=flows.environment).returncode == 0

    assert flows.text().splitlines() == published


def test_standard_input_is_a_dash(flows: Flows) -> None:
    text = "\n".join(lines(50))
    assert flowhawk("publish", "-", environment=flows.environment, text=text).returncode == 0
    assert flows.text() == text


def test_what_cannot_be_read_is_named_and_the_rest_is_published(flows: Flows, tmp_path: Path) -> None:
    good, cut = stored(tmp_path / "good.log", lines(20)), stored(tmp_path / "cut.log.gz", lines(5000))
    cut.write_bytes(cut.read_bytes()[:-2000])
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(2 << 20))

    done = flowhawk("publish", "--complete", "absent.log", cut, good, binary, environment=flows.environment)

    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"] == 3
    absent, too_long, broken, summary, not_announced = done.stderr.splitlines()
    assert absent == "absent.log: cannot be read: No such file or directory"
    assert too_long == f"{binary}:1: is longer than 1 MiB; is this a flow log?"
    assert broken.startswith(f"{cut}: stops being readable after ")
    assert summary.startswith("published ")
    assert not_announced == "the end of the input is not announced, since not all of it was read"
    assert good.read_bytes().removesuffix(b"\n") in [record.value for record in flows.records()]
    assert not any(WATERMARK_HEADER in record.headers for record in flows.records())


def test_nothing_readable_is_nothing_published(flows: Flows) -> None:
    done = flowhawk("publish", "--complete", "absent.log", environment=flows.environment)
    assert done.returncode == 1
    assert done.stderr.startswith("absent.log: cannot be read: No such file or directory\npublished 0 records, ")
    assert flows.records() == []


def test_ctrl_c_keeps_what_was_sent_and_says_how_much(flows: Flows, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "\n".join(lines(3000)) + "\n"
    with (
        Program("publish", pipe, environment=flows.environment, folder=tmp_path) as program,
        program.feed(pipe) as live,
    ):
        live.write(text)
        live.flush()
        program.wait_until(lambda: bool(flows.records()))
        assert program.stop(signal.SIGINT, seconds=30) == 130

    (line,) = program.errors.splitlines()
    kept = flows.text()
    assert text.startswith(kept)
    records = kept.count("\n") + 1
    assert line.startswith(f"interrupted; published {records:,} records, ")


def test_a_dry_run_says_what_would_be_published_and_needs_no_kafka(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.log.gz", lines(300))
    config = tmp_path / "flowhawk.yaml"
    config.write_text("kafka: {bootstrap_servers: ['127.0.0.1:1']}\nselection: {drop: [{ports: [1024, 1025]}]}\n")
    done = flowhawk("publish", "--dry-run", "--config", config, path, tmp_path / "none.log")
    assert done.returncode == 1
    missing, summary = done.stderr.splitlines()
    assert missing.endswith("none.log: cannot be read: No such file or directory")
    assert summary.startswith("would publish 298 records, ")
    assert summary.endswith(" in 1 blocks; dropped 2, sampled out 0, not looked into 0")
    counted = json.loads(done.stdout)
    assert (counted["read"], counted["records"], counted["dropped"]) == (300, 298, 2)


def test_the_more_files_are_read_at_once_the_smaller_their_blocks(tmp_path: Path) -> None:
    """What all of them hold together stays the same, so that any number of files fits into memory."""
    for number in range(30):
        (tmp_path / f"{number}.log").write_text(f"{flow()}\n" * 2_000)
    config = tmp_path / "flowhawk.yaml"
    config.write_text("blocks: {records: 10000}")
    done = [flowhawk("publish", "--dry-run", "--config", config, tmp_path / name) for name in ("0.log", "*.log")]
    alone, together = (json.loads(each.stdout) for each in done)
    assert (alone["messages"], together["records"]) == (1, 60_000)
    assert together["messages"] > 30


def test_folders_and_patterns_stand_for_their_files(flows: Flows, tmp_path: Path) -> None:
    (tmp_path / "logs" / "below").mkdir(parents=True)
    published = lines(40)
    stored(tmp_path / "logs" / "a.log", published[:10])
    stored(tmp_path / "logs" / "below" / "b.log.gz", published[10:20])
    stored(tmp_path / "x-1.log", published[20:30])
    stored(tmp_path / "x-2.log", published[30:])
    places = (tmp_path / "logs", tmp_path / "x-?.log", tmp_path / "y*")
    done = flowhawk("publish", *places, environment=flows.environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"{tmp_path}/y*: there is no file"
    assert sorted(flows.text().splitlines()) == published


def test_what_an_earlier_run_has_sent_is_not_sent_again(flows: Flows, tmp_path: Path) -> None:
    published = lines(300)
    path = stored(tmp_path / "a.log", published[:100])
    for count in (100, 300, 300):
        stored(path, published[:count])
        done = flowhawk("publish", "--resume", path, environment=flows.environment)
        assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, 0)
        assert flows.text().splitlines() == published[:count]


def test_files_are_followed_through_a_rotation_and_over_an_end(flows: Flows, tmp_path: Path) -> None:
    published = lines(30)
    path = stored(tmp_path / "a.log", published[:10])
    (folder := tmp_path / "first").mkdir()
    with Program("publish", "--follow", path, environment=flows.environment, folder=folder) as program:
        program.wait_until(lambda: flows.text().count("\n") == 9)
        with path.open("a") as file:
            file.write("".join(f"{line}\n" for line in published[10:15]))
        program.wait_until(lambda: flows.text().count("\n") == 14)
        assert program.stop(signal.SIGTERM, seconds=30) == 0
        assert json.loads(program.output)["records"] == 15
    path.rename(tmp_path / "a.log.1")
    with (tmp_path / "a.log.1").open("a") as file:
        file.write("".join(f"{line}\n" for line in published[15:20]))
    stored(path, published[20:])
    (folder := tmp_path / "second").mkdir()
    with Program("publish", "--follow", path, environment=flows.environment, folder=folder) as program:
        program.wait_until(lambda: len(flows.text().splitlines()) == 30)
        assert program.stop(signal.SIGINT, seconds=30) == 0
    # All of them are of the same minute.
    assert sorted(flows.text().splitlines()) == published


def test_lines_on_a_pipe_wait_no_longer_than_the_settings_say(flows: Flows, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (
        Program("publish", pipe, environment=flows.environment, folder=tmp_path) as program,
        program.feed(pipe) as live,
    ):
        for count in (1, 2):
            live.write(f"{flow(port=count)}\n")
            live.flush()
            program.wait_until(lambda: len(flows.records()) == count)  # noqa: B023 - waited for at once


def test_progress_is_shown_on_a_terminal_alone(flows: Flows, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.log", lines(60_000))
    settings = {"FLOWHAWK__SELECTION__RECORDS_PER_SECOND": "50000", "TERM": "xterm", "COLUMNS": "100"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [FLOWHAWK, "publish", path],
        env=os.environ | flows.environment | settings,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):
            while some := os.read(ours, 4096):
                shown += some
        output, _ = process.communicate()
    os.close(ours)
    assert b"records/s" in shown
    assert b"%" in shown
    assert json.loads(output)["records"] == 60_000


@pytest.mark.parametrize("options", [(), ("--resume",)])
def test_messages_may_be_compressed_more(flows: Flows, tmp_path: Path, options: tuple[str, ...]) -> None:
    path = stored(tmp_path / "a.log", lines(200))
    settings = flows.environment | {"FLOWHAWK__BLOCKS__COMPRESSION": "zstd", "FLOWHAWK__BLOCKS__RECORDS": "70"}
    done = flowhawk("publish", *options, path, environment=settings)
    assert (done.returncode, json.loads(done.stdout)["messages"]) == (0, 3)
    assert flows.text().splitlines() == lines(200)


def test_an_end_cannot_be_announced_where_more_may_come() -> None:
    done = flowhawk("publish", "--follow", "--complete", "a.log")
    assert done.returncode == 2
    assert "--complete goes neither with --resume nor with --follow" in done.stderr
