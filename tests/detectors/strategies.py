"""Small random traffic among a few hosts."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from detectors.examples import START

HOSTS = ["10.0.0.1", "10.0.0.2", "fd00::3", "198.51.100.1", "203.0.113.2", "2001:db8::3"]
PORTS = [0, 22, 80, 443, 8080, 20_000, 40_000, 50_000, 65_535]
FLAGS = [None, 0, 1, 2, 3, 4, 6, 7, 16, 18, 19, 20, 22, 23]

quick = settings(max_examples=30, deadline=None)


@st.composite
def rows(draw: st.DrawFn, *, panes: int = 3, most: int = 30) -> list[dict[str, Any]]:
    """Draw records that end in a number of panes, few enough that they often meet."""
    hosts = st.sampled_from(draw(st.lists(st.sampled_from(HOSTS), min_size=2, max_size=4, unique=True)))
    record = st.fixed_dictionaries(
        {
            "source": hosts,
            "destination": hosts,
            "source_port": st.sampled_from(PORTS),
            "destination_port": st.sampled_from(PORTS),
            "protocol": st.sampled_from([6, 6, 6, 17, 1, 58]),
            "tcp_flags": st.sampled_from([*FLAGS, *[2] * 10]),
            "action": st.sampled_from(["ACCEPT", "ACCEPT", "REJECT"]),
            "log_status": st.sampled_from(["OK"] * 9 + ["NODATA"]),
            "packets": st.integers(1, 4),
            "bytes": st.integers(0, 1000) | st.integers(60_000, 2_000_000),
            "weight": st.sampled_from([1, 1, 10]),
            "direction": st.sampled_from([None, "ingress", "egress"]),
            "interface_id": st.sampled_from(["eni-1", "eni-2", None]),
            "end": st.integers(START, START + 60 * panes - 1),
        }
    )
    drawn: list[dict[str, Any]] = draw(st.lists(record, max_size=most))
    spans = draw(st.lists(st.integers(0, 900), min_size=len(drawn), max_size=len(drawn)))
    return [
        {**row, "start": row["end"] - span} if row["log_status"] == "OK" else {"end": row["end"], **_COVERAGE}
        for row, span in zip(drawn, spans, strict=True)
    ]


_COVERAGE = {
    "source": None,
    "destination": None,
    "source_port": None,
    "destination_port": None,
    "protocol": None,
    "packets": None,
    "bytes": None,
    "action": None,
    "log_status": "NODATA",
}
