import gzip
import json
import os
import signal
import time
from pathlib import Path

import pytest

from detectors.finding import Finding
from streams.detect import BATCH_BYTES
from streams.explain import Explanation
from tests.streams.flow_lines import NINE, flow, scan
from tests.streams.programs import Program, flowhawk


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "flows.log"
    path.write_text("\n".join([*scan("203.0.113.8", end=NINE + 700), flow(end=NINE + 800), *scan()]) + "\n")
    return path


def test_findings_are_json_lines_in_order_of_time(log: Path) -> None:
    done = flowhawk("detect", log)
    assert (done.returncode, done.stderr) == (0, "")
    findings = [Finding.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [(each.source, each.status) for each in findings] == [
        ("203.0.113.9", "closed"),
        ("203.0.113.8", "closed"),
    ]


def test_the_same_input_gives_the_same_bytes_plain_compressed_or_piped(tmp_path: Path, log: Path) -> None:
    compressed = tmp_path / "flows.log.gz"
    compressed.write_bytes(gzip.compress(log.read_bytes()))
    outputs = {
        flowhawk("detect", log).stdout,
        flowhawk("detect", compressed).stdout,
        flowhawk("detect", "-", text=log.read_text()).stdout,
    }
    assert len(outputs) == 1
    assert outputs != {""}


def test_refused_lines_are_named_on_standard_error_and_the_rest_counts(tmp_path: Path, log: Path) -> None:
    broken = tmp_path / "broken.log"
    broken.write_text(f"garbage\n{log.read_text()}more\n")
    done = flowhawk("detect", broken)
    assert done.returncode == 0
    assert done.stdout == flowhawk("detect", log).stdout
    assert [line.split(": ", 1)[0] for line in done.stderr.splitlines()] == [f"{broken}:1", f"{broken}:43"]


def test_records_out_of_order_count_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "flows.log"
    log.write_text("\n".join([flow(end=NINE + 3600), *scan()]) + "\n")
    done = flowhawk("detect", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["vertical_scan"]


def test_how_many_records_came_too_late_is_said_on_standard_error(tmp_path: Path) -> None:
    log = tmp_path / "flows.log"
    later = flow(end=NINE + 3600, size=40)
    # What is read at a time is put in order, so only what comes behind it can be late.
    log.write_text("\n".join([*[later] * (2 * BATCH_BYTES // len(later)), *scan()]) + "\n")
    done = flowhawk("detect", log)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "20 records are late: they end longer before a record further up in their file than "
        "time.allowed_lateness_seconds, and do not count\n"
    )


def test_own_networks_may_be_named_and_are_stronger_than_the_environment(tmp_path: Path) -> None:
    log = tmp_path / "flows.log"
    log.write_text("\n".join(scan("2001:db8::9", "2001:db8:1::5")))

    def direction(*arguments: str) -> str:
        done = flowhawk("detect", *arguments, log, environment={"FLOWHAWK__NETWORKS__INTERNAL": "192.0.2.0/24"})
        return str(json.loads(done.stdout)["direction"])

    assert direction("--internal", "2001:db8:1::/48") == "inbound"
    assert direction("--internal", "2001:db8:1::/48", "--internal", "2001:db8::/48") == "internal"


def test_settings_come_from_a_file(tmp_path: Path, log: Path) -> None:
    config = tmp_path / "flowhawk.yaml"
    config.write_text("detectors: {vertical_scan: {ports: 21}}")
    done = flowhawk("detect", "--config", config, log)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def told(*arguments: str | Path) -> list[tuple[str, str | None, bool]]:
    done = flowhawk("detect", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    findings = map(json.loads, done.stdout.splitlines())
    return [(each["source"], each["suppressed_by"], each["observed"]) for each in findings]


def test_what_is_suppressed_is_printed_on_request(tmp_path: Path, log: Path) -> None:
    config = tmp_path / "flowhawk.yaml"
    config.write_text("suppressions: [{name: ours, owner: me, reason: it scans, sources: [203.0.113.9]}]")
    assert told("--config", config, log) == [("203.0.113.8", None, False)]
    assert told("--config", config, "--suppressed", log) == [
        ("203.0.113.9", "ours", False),
        ("203.0.113.8", None, False),
    ]


def test_what_is_only_observed_is_printed_on_request(tmp_path: Path, log: Path) -> None:
    config = tmp_path / "flowhawk.yaml"
    config.write_text("modes: {vertical_scan: observe}")
    assert told("--config", config, log) == []
    assert told("--config", config, "--observed", log) == [("203.0.113.9", None, True), ("203.0.113.8", None, True)]


def test_what_is_usual_is_exported_and_begun_with_another_time(tmp_path: Path) -> None:
    past, upload, known = tmp_path / "past.log", tmp_path / "upload.log", tmp_path / "known.zst"
    day = 24 * 3600
    past.write_text("\n".join(flow(end=NINE + second, size=1_000_000) for second in range(0, 26 * 3600, 60)))
    # To nobody that it was sent to before.
    upload.write_text(flow(destination="203.0.113.77", end=NINE + 7 * day, size=60_000_000))
    done = flowhawk("detect", "--export-baselines", known, past)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert flowhawk("detect", upload).stdout == ""
    (finding,) = flowhawk("detect", "--baselines", known, upload).stdout.splitlines()
    assert json.loads(finding)["baseline"] == pytest.approx(1_000_000, rel=1 / 16)


def test_baselines_that_are_none_are_one_line(log: Path) -> None:
    done = flowhawk("detect", "--baselines", log, log)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"flowhawk: {log}: holds no baselines, or is damaged: ")
    assert len(done.stderr.splitlines()) == 1


def test_what_led_to_a_finding_is_told_to_people_and_to_programs(log: Path) -> None:
    first, second = (json.loads(line)["id"] for line in flowhawk("detect", log).stdout.splitlines())
    told = flowhawk("detect", "--explain", first[:10], log)
    assert (told.returncode, told.stderr) == (0, "")
    assert f"vertical_scan {first}" in told.stdout
    assert "203.0.113.9 tried 20 ports of 10.0.0.5" in told.stdout
    done = flowhawk("detect", "--explain", second, "--json", log)
    assert Explanation.model_validate_json(done.stdout).finding.source == "203.0.113.8"


def test_a_finding_that_is_not_there_is_answered_with_those_that_are(log: Path) -> None:
    done = flowhawk("detect", "--explain", "f00", log)
    assert (done.returncode, done.stdout) == (1, "")
    first, *others = done.stderr.splitlines()
    assert first == "flowhawk: there is no finding 'f00'; there are"
    assert [line.split()[1:3] for line in others] == [
        [json.loads(line)["id"], "vertical_scan:"] for line in flowhawk("detect", log).stdout.splitlines()
    ]


@pytest.mark.parametrize("arguments", [("--explain", "f00", "-"), ("--json", "flows.log")])
def test_what_cannot_be_explained_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = flowhawk("detect", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: --" in done.stderr


def test_a_file_that_is_not_there_is_one_line(log: Path) -> None:
    done = flowhawk("detect", log, "absent.log")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "flowhawk: absent.log: cannot be read: No such file or directory\n"


def test_a_file_that_breaks_off_is_named_after_the_findings_of_the_others(tmp_path: Path, log: Path) -> None:
    cut = tmp_path / "cut.log.gz"
    cut.write_bytes(gzip.compress(os.urandom(5000))[:-50])
    done = flowhawk("detect", cut, log)
    assert done.returncode == 1
    assert done.stdout == flowhawk("detect", log).stdout
    assert done.stderr.splitlines()[-1].startswith(f"flowhawk: {cut}: stops being readable after ")
    assert "Traceback" not in done.stderr


def test_no_file_is_wrong_usage() -> None:
    done = flowhawk("detect")
    assert done.returncode == 2
    assert "Missing argument 'FILE...'" in done.stderr


def test_ctrl_c_ends_it_at_once_with_one_line_even_while_it_waits_for_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Program("detect", pipe, environment={}, folder=tmp_path) as program, program.feed(pipe) as live:
        # More than it reads at a time, so that the stages have run before it waits.
        live.write("\n".join(["garbage", *[flow()] * (BATCH_BYTES * 5 // 4 // len(flow()))]))
        live.flush()
        program.wait_until(lambda: "wrong field count" in program.errors)
        time.sleep(0.3)
        assert program.stop(signal.SIGINT, seconds=10) == 130
    assert program.output == ""
    assert [line for line in program.errors.splitlines() if line][-1] == "flowhawk: interrupted"
    assert "Traceback" not in program.errors
