import subprocess
import sys

import pytest

from benchmarks.processes import run, usage

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_what_a_process_started_counts_with_it() -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); print('done'); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = usage(process.pid)
        process.communicate(b"\n")
    assert used.cpu_seconds >= 0.29
    assert used.resident_bytes > 1_000_000


def test_nothing_is_used_by_a_process_that_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage(process.pid) == (0, 0)


def test_a_command_is_measured_whole() -> None:
    found = run([sys.executable, "-c", BUSY], records=30)
    assert found.cpu_seconds >= 0.29
    assert found.rate_of_a_core <= 30 / 0.29
    assert found.rate == 30 / found.seconds


def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3:\nno more"):
        run([sys.executable, "-c", "import sys; print('no more'); sys.exit(3)"], records=1)
