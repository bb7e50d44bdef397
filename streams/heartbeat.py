"""A heartbeat that goes the way of the findings: through the stages, onto their topic, to each sink."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from streams.output import ProducerRecord

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

KEY: Final = b"flowhawk-heartbeat"
"""All heartbeats have it, so that compaction keeps one of them at most. No finding is called so."""

HEADER: Final = "flowhawk-heartbeat"


def heartbeat(topic: str, now: float) -> ProducerRecord:
    """Make a heartbeat: a message without a value, which is no finding to anybody.

    Parameters
    ----------
    topic
        The findings topic.
    now
        The time, epoch seconds.
    """
    return ProducerRecord(topic, None, KEY, headers={HEADER: f"{now:.3f}".encode()})


def last_heartbeat(records: Iterable["ConsumerRecord[bytes, bytes]"]) -> float | None:
    """Return when the last heartbeat among messages was made, epoch seconds; None where there is none."""
    times = [
        float(value)
        for record in records
        if record.key == KEY and record.value is None
        for name, value in record.headers
        if name == HEADER
    ]
    return max(times, default=None)
