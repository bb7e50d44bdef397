import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.streams.records import dialects, test_transit_gateway

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
    for done in (parse(str(path)), parse("-", given=path.read_bytes())):
        assert done.stderr == b""
        assert objects(done.stdout) == [OBJECT] * 3


def test_parquet_on_standard_input_is_printed_as_the_file_by_name_is(tmp_path: Path) -> None:
    records = [dict(zip(OBJECT, LINE.split(), strict=True)) | {"packets": str(row)} for row in range(-3, 3000)]
    path = tmp_path / "flows.parquet"
    path.write_bytes(dialects.parquet(records))
    named, given = parse(str(path)), parse("-", given=path.read_bytes())
    assert len(objects(named.stdout)) == 3000
    assert given.stdout == named.stdout
    assert named.stderr.decode().splitlines() == [
        f"{path}:{line}: packets {line - 4} is negative" for line in (1, 2, 3)
    ]
    assert given.stderr.decode() == named.stderr.decode().replace(str(path), "-")


@pytest.mark.parametrize("write", [test_transit_gateway.as_objects, test_transit_gateway.as_parquet])
def test_lines_objects_and_parquet_of_gateways_are_printed_alike(
    write: Callable[[Sequence[Mapping[str, str]]], bytes],
) -> None:
    records = [test_transit_gateway.RECORD, test_transit_gateway.LOST] * 3
    done = parse("-", given=write(records))
    assert done.stderr == b""
    lines = parse("-", given=b"\n".join(map(test_transit_gateway.line, records)))
    expected = [{name: value for name, value in each.items() if value is not None} for each in objects(lines.stdout)]
    assert expected[1]["packets-lost-blackhole"] == 6
    assert [
        {name: value for name, value in each.items() if value is not None} for each in objects(done.stdout)
    ] == expected


def test_damaged_parquet_on_standard_input_is_a_failure() -> None:
    done = parse("-", given=b"PAR1 and nothing of the kind")
    assert done.returncode == 1
    assert done.stderr.startswith(b"flowhawk: -: is not readable Parquet")


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


MEASURED = """
import sys
from pathlib import Path
from streams.cli import main
try:
    main()
finally:
    sys.stderr.write(Path("/proc/self/status").read_text())
"""


def most_memory(path: Path) -> int:
    """Return how many kilobytes parsing a file takes at most."""
    with path.with_suffix(".out").open("wb") as output:
        program = [sys.executable, "-c", MEASURED, "parse", str(path)]
        done = subprocess.run(program, stdout=output, stderr=subprocess.PIPE, text=True, check=True)
    assert path.with_suffix(".out").stat().st_size > path.stat().st_size
    return next(int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("VmHWM"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    paths = [tmp_path / "short.log", tmp_path / "long.log"]
    for path, times in zip(paths, (10, 200), strict=True):
        with path.open("wb") as file:
            for _ in range(times):
                file.write(f"{LINE}\n".encode() * 10_000)
    short, long = map(most_memory, paths)
    assert long < short + 50_000
