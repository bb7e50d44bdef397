import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.streams.records import dialects

LINE = "2 123456789010 eni-1235b8ca123456789 192.0.2.7 10.0.0.5 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
SILENT = "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1418530010 1418530070 - NODATA"
OBJECT = {
    "version": 2,
    "account-id": "123456789010",
    "interface-id": "eni-1235b8ca123456789",
    "srcaddr": "192.0.2.7",
    "dstaddr": "10.0.0.5",
    "srcport": 20641,
    "dstport": 22,
    "protocol": 6,
    "packets": 20,
    "bytes": 4249,
    "start": 1418530010,
    "end": 1418530070,
    "action": "ACCEPT",
    "log-status": "OK",
}


def parse(*arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    program = [sys.executable, "-c", "from streams.cli import main; main()", "parse", *arguments]
    return subprocess.run(program, input=given, capture_output=True, check=False)


def objects(output: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_records_become_objects_and_refused_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text(f"{LINE}\nnonsense\n{SILENT}\n", encoding="ascii")
    done = parse(str(path))
    nothing = dict.fromkeys(OBJECT) | {name: OBJECT[name] for name in ("version", "account-id", "interface-id")}
    nothing |= {"start": 1418530010, "end": 1418530070, "log-status": "NODATA"}
    assert objects(done.stdout) == [OBJECT, nothing]
    assert list(objects(done.stdout)[0]) == list(OBJECT)
    assert done.stderr.decode() == f"{path}:2: wrong field count: 1 instead of 14\n"
    assert done.returncode == 0


def test_standard_input_and_a_format_of_ones_own() -> None:
    given = b"eni-1 192.0.2.7\neni-2 -\neni-3 192.0.2.300\n"
    done = parse("--format", "interface-id srcaddr", "-", given=given)
    assert objects(done.stdout) == [{"interface-id": "eni-1", "srcaddr": "192.0.2.7"}]
    assert done.stderr.decode().splitlines() == [
        "-:2: srcaddr is missing",
        "-:3: srcaddr 192.0.2.300 is not an address",
    ]


@pytest.mark.parametrize("name", dialects.WRITERS)
def test_every_dialect_is_printed_alike(name: str, tmp_path: Path) -> None:
    record = dict(zip(OBJECT, LINE.split(), strict=True))
    path = tmp_path / "flows"
    path.write_bytes(dialects.WRITERS[name]([record] * 3))
    done = parse(str(path))
    assert done.stderr == b""
    assert objects(done.stdout) == [OBJECT] * 3


def test_a_header_line_holds_for_all_of_its_file_and_no_other(tmp_path: Path) -> None:
    turned = [" ".join(reversed(OBJECT)), *[" ".join(reversed(LINE.split()))] * 30_000]
    paths = [tmp_path / "turned.log.gz", tmp_path / "plain.log"]
    paths[0].write_bytes(gzip.compress("\n".join(turned).encode()))
    paths[1].write_text(LINE, encoding="ascii")
    done = parse(*map(str, paths))
    assert done.stderr == b""
    assert objects(done.stdout) == [OBJECT] * 30_001


def test_only_refused_lines_are_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text("nonsense\n", encoding="ascii")
    assert parse(str(path)).returncode == 1
    path.write_text("", encoding="ascii")
    assert parse(str(path)).returncode == 0


def test_an_unreadable_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    path.write_text(LINE, encoding="ascii")
    done = parse(str(tmp_path / "missing.log"), str(path))
    assert done.returncode == 1
    assert objects(done.stdout) == [OBJECT]
    assert "missing.log: cannot be read" in done.stderr.decode()


def test_a_format_without_any_field_of_flow_logs_is_wrong_usage() -> None:
    assert parse("--format", "one two", "-").returncode == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flows.log"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(f"{LINE}\n".encode() * 10_000)
    limit = 1_500_000_000
    program = [sys.executable, "-c", "from streams.cli import main; main()", "parse", str(path)]
    with (tmp_path / "out").open("wb") as output:
        done = subprocess.run(
            program,
            stdout=output,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        )
    assert done.returncode == 0
    assert (tmp_path / "out").stat().st_size > path.stat().st_size
