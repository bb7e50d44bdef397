import subprocess
import sys

import pytest

from benchmarks.progress import Sample, stretch


def test_neither_the_start_nor_the_wait_behind_the_end_counts() -> None:
    idle = [Sample(0, 0, 0), Sample(50, 0, 30)]
    busy = [Sample(60, 100, 35), Sample(61, 300, 36), Sample(62, 500, 37)]
    assert stretch([*idle, *busy, Sample(90, 500, 60)]) == (400, 2, 2)


@pytest.mark.parametrize("samples", [[], [Sample(0, 0, 0)], [Sample(0, 0, 0), Sample(1, 7, 1), Sample(2, 7, 1)]])
def test_a_contender_that_was_never_seen_at_work_has_no_rate(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="give it more records"):
        stretch(samples)


def test_progress_tells_the_first_and_the_last_count_and_ends_the_process() -> None:
    script = "from benchmarks.progress import Progress\np = Progress(1000)\nwhile True: p.add(1)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    counts = [int(line) for line in done.stdout.split()]
    assert (counts[0], counts[-1]) == (1, 1000)
    assert len(counts) < 1000
