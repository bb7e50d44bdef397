import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import FLOWHAWK, Program, flowhawk

ANY_PORT: Final[Mapping[str, str]] = {"FLOWHAWK__HTTP__PORT": "0"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "flows.log"
    path.write_text("\n".join([flow(end=NINE), *scan(), "garbage", *scan("203.0.113.8", end=NINE + 90)]) + "\n")
    return path


def test_findings_go_to_standard_output_the_summary_to_standard_error_and_all_states_to_a_file(
    tmp_path: Path, log: Path
) -> None:
    done = flowhawk("up", log, environment=ANY_PORT, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    sources = sorted(line.split()[4] for line in done.stdout.splitlines())
    assert sources == ["203.0.113.8", "203.0.113.9"]
    assert "41 in " in done.stderr
    assert "1 refused" in done.stderr
    assert "2: 2 vertical_scan" in done.stderr
    assert "http://127.0.0.1:" in done.stderr
    states = [json.loads(line) for line in (tmp_path / "var" / "findings.jsonl").read_text().splitlines()]
    assert sorted(state["source"] for state in states if state["status"] == "closed") == sources


def test_findings_are_those_of_detect(tmp_path: Path) -> None:
    log = tmp_path / "flows.log.gz"
    generated = flowhawk("generate", "--minutes", "12", "--rate", "1000", "--hosts", "40", "--output", log)
    assert generated.returncode == 0

    up = flowhawk("up", log, "--findings", tmp_path / "states.jsonl", environment=ANY_PORT)
    detect = flowhawk("detect", log)

    last = {json.loads(line)["id"]: line for line in (tmp_path / "states.jsonl").read_text().splitlines()}
    order = sorted(last.values(), key=lambda line: (json.loads(line)["first_seen"], json.loads(line)["id"]))
    assert order == detect.stdout.splitlines()
    assert len(order) == len(up.stdout.splitlines()) > 0


def test_ctrl_c_ends_it_cleanly_even_while_it_waits_for_a_pipe(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "run"
    os.mkfifo(pipe)
    folder.mkdir()
    lines = [*scan(), *(flow(end=NINE + second) for second in range(5000))]
    with Program("up", pipe, environment=ANY_PORT, folder=folder) as program, program.feed(pipe) as live:
        live.write("\n".join(lines) + "\n")
        live.flush()
        program.wait_until(lambda: "vertical_scan" in program.output)
        assert program.stop(signal.SIGINT, seconds=10) == 130

    assert "interrupted: what was not read by then is not counted" in program.errors
    assert "1: 1 vertical_scan" in program.errors
    assert "Traceback" not in program.errors
    assert "203.0.113.9" in (folder / "var" / "findings.jsonl").read_text()


def test_a_reader_that_leaves_does_not_keep_it_from_its_work(tmp_path: Path, log: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [FLOWHAWK, "up", str(log)],
            env=os.environ | ANY_PORT,
            cwd=tmp_path,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "2: 2 vertical_scan" in done.stderr
    assert len((tmp_path / "var" / "findings.jsonl").read_text().splitlines()) == 4


def test_a_port_in_use_is_one_line_that_names_the_setting(tmp_path: Path, log: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = flowhawk("up", log, environment={"FLOWHAWK__HTTP__PORT": port}, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"flowhawk: 127.0.0.1:{port} cannot be listened on for /metrics: Address already in use; ")
    assert "http.port" in line


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, log: Path) -> None:
    done = flowhawk("up", log, "absent.log", environment=ANY_PORT, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "flowhawk: absent.log: cannot be read: No such file or directory\n"


def test_a_place_for_findings_that_cannot_be_written_is_one_line(tmp_path: Path, log: Path) -> None:
    done = flowhawk("up", log, "--findings", log / "findings.jsonl", environment=ANY_PORT, folder=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"flowhawk: {log}/findings.jsonl: findings cannot be written there")


def test_an_unknown_key_is_named_with_the_nearest(tmp_path: Path, log: Path) -> None:
    config = tmp_path / "flowhawk.yaml"
    config.write_text("http: {prot: 9000}")
    done = flowhawk("up", "--config", config, log, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"flowhawk: {config}: http.prot is no setting; did you mean 'port'?\n"
