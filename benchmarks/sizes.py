"""How large the benchmarks are: each size has a default, which the environment may replace."""

import os
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "BENCH_"

DEFAULTS: Final[Mapping[str, tuple[int, str]]] = {
    "ROUNDS": (3, "Times that every contender runs, in turn with the others."),
    "DECODING_ROUNDS": (21, "Such rounds where records are decoded and nothing else."),
    "RECORDS": (1_000_000, "Records in a topic or a file that contenders read."),
    "MINUTES": (20, "Event time that they are spread over: each minute is a pane to close."),
    "BY_HOST_MINUTES": (2, "Event time of records for many workers: who needs several has more in every minute."),
    "HOSTS": (1_000, "Hosts in the network that they tell of."),
    "TEXTBOOK_RECORDS": (25_000, "Records that the textbook Faust program is given."),
    "QUIX_RECORDS": (50_000, "Records that Quix Streams is given."),
    "FLINK_RECORDS": (600_000, "Records that Flink is given, after a third of them to warm up."),
    "STATE_RECORDS": (1_000_000, "Records of which state is compared between topologies."),
    "HOSTS_RECORDS": (2_000_000, "Records for each number of hosts."),
    "HOSTS_MOST": (1_000_000, "The largest number of hosts."),
    "MEMORY_RECORDS": (20_000_000, "Records over which memory has to stay flat."),
    "SOURCES_MEMORY_RECORDS": (20_000_000, "Records in the largest file that is published."),
    "LATENCY_SCANS": (120, "Scans whose way to a finding is timed."),
    "LATENCY_PATIENCE_SECONDS": (90, "How long to wait for the findings of the last scans."),
    "RECOVERY_HOSTS": (100_000, "Hosts in the network whose worker is killed."),
    "RECOVERY_RATE": (20_000, "Records a second that arrive all the while."),
    "RECOVERY_PATIENCE_SECONDS": (90, "How long to wait until the new worker has caught up."),
    "PROFILE_RECORDS": (400_000, "Records in the profile."),
}
"""Default and meaning of each size, by its name in the environment behind `BENCH_`."""


def size(name: str) -> int:
    """Return a size.

    >>> size("ROUNDS") >= 1
    True
    """
    default, _ = DEFAULTS[name]
    return int(os.environ.get(PREFIX + name, default))
