"""`flowhawk generate` as a command."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from streams.commands.generate import command
from streams.errors import ServiceError
from streams.generate import Traffic
from streams.generate.chosen import chosen

SMALL = ["--minutes", "8", "--hosts", "40", "--rate", "300"]
TRAFFIC = Traffic(minutes=8, hosts=40, records_per_minute=300)


def test_it_writes_the_traffic_to_standard_output() -> None:
    result = CliRunner().invoke(command, SMALL)
    assert result.exit_code == 0
    assert result.stdout_bytes == b"".join(TRAFFIC.blocks())
    assert result.stderr == ""


def test_it_writes_a_file_and_its_labels(tmp_path: Path) -> None:
    flows, truth = tmp_path / "flows.log", tmp_path / "truth.jsonl"
    result = CliRunner().invoke(command, [*SMALL, "--output", str(flows), "--truth", str(truth)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert flows.read_bytes() == b"".join(TRAFFIC.blocks())
    labels = [json.loads(line) for line in truth.read_text().splitlines()]
    assert labels == [label.document() for label in TRAFFIC.truth()]
    assert {"kind", "source", "target", "start", "end", "expect", "note"} <= labels[0].keys()


def test_a_name_that_ends_in_gz_is_compressed_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log.gz", tmp_path / "second.log.gz"
    for path in (first, second):
        assert CliRunner().invoke(command, [*SMALL, "--output", str(path)]).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == b"".join(TRAFFIC.blocks())


def test_every_option_reaches_the_traffic() -> None:
    options = ["--seed", "9", "--start", "2026-02-01T00:00:00+00:00", "--version", "2", "--no-attacks"]
    asked = Traffic(seed=9, start=1_769_904_000, minutes=8, hosts=40, records_per_minute=300, version=2, attacks=False)
    result = CliRunner().invoke(command, [*SMALL, *options])
    assert result.stdout_bytes == b"".join(asked.blocks())


def test_attacks_and_the_way_of_logging_can_be_chosen() -> None:
    options = ["--attack", "vertical_scan:ports=20", "--lookalike", "crawler", "--aggregation", "600", "--ipv6", "0.5"]
    asked = Traffic(
        minutes=8,
        hosts=40,
        records_per_minute=300,
        aggregation=600,
        ipv6=0.5,
        episodes=chosen(["vertical_scan:ports=20"], ["crawler"]),
    )
    result = CliRunner().invoke(command, [*SMALL, *options])
    assert result.stdout_bytes == b"".join(asked.blocks())


def test_attacks_and_none_exclude_each_other() -> None:
    result = CliRunner().invoke(command, ["--attack", "slow_scan", "--no-attacks"])
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_a_time_without_a_zone_is_utc_and_epoch_seconds_are_taken_too() -> None:
    texts = [
        CliRunner().invoke(command, [*SMALL, "--start", moment]).stdout_bytes
        for moment in ("2026-01-05T09:00:00", "1767603600")
    ]
    assert texts == [b"".join(TRAFFIC.blocks())] * 2


def test_a_wrong_time_is_a_usage_error_that_says_what_to_write() -> None:
    result = CliRunner().invoke(command, ["--start", "yesterday"])
    assert result.exit_code == 2
    assert "2026-01-05T09:00:00Z" in result.stderr


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / "flows.log"
    error = CliRunner().invoke(command, [*SMALL, "--output", str(nowhere)]).exception
    assert isinstance(error, ServiceError)
    assert str(nowhere) in str(error)


def test_a_reader_that_stops_early_causes_no_complaint() -> None:
    program = "from streams.commands.generate import command; command()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline().startswith(b"version ")
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait() == 0
