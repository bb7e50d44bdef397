import subprocess
import sys

import pytest

TOUCHED = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from streams.allocation import keep_freed_memory
    assert keep_freed_memory()
begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    batch = [np.ones(1 << 16) for _ in range(16)]
    del batch
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun)
"""


def fresh_pages(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", TOUCHED, way], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has these options")
def test_columns_that_were_freed_are_used_again_instead_of_fresh_pages() -> None:
    # 8 MB of pages: each time anew by default, once when kept.
    assert fresh_pages("kept") * 10 < fresh_pages("by default")


YOUNG = """
import gc, sys
if sys.argv[1] == "seldom":
    from streams.allocation import look_for_cycles_seldom
    look_for_cycles_seldom()
begun = sum(generation["collections"] for generation in gc.get_stats())
messages = [(number,) + (number, [number]) for number in range(20_000)]
print(sum(generation["collections"] for generation in gc.get_stats()) - begun)
"""


def collections(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", YOUNG, way], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_poll_of_many_small_messages_does_not_set_off_the_collector_of_cycles() -> None:
    assert collections("seldom") == 0
    assert collections("by default") > 0
