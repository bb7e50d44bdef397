"""How long a worker is behind after `kill -9`: from the kill until what is published is worked off at once again."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.measurement import Measurement
from benchmarks.service import kafka
from benchmarks.sizes import size
from benchmarks.steady import LINES, Arrivals, Load, Probes, at, templates
from benchmarks.traffic import create, producer, send
from benchmarks.worker import Worker, WorkerError, environment, topic_names

CURRENT_SECONDS: Final = 1.0
"""A probe that is on the dead-letter topic within this time was not held up."""

RECORDS_OF_A_HOST: Final = 10
FEW_HOSTS: Final = 100
BEFORE_SECONDS: Final = 30.0
"""How long the load goes on before the kill: state is made durable from time to time."""

_PROBE_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 300.0
_TRACKED_SECONDS: Final = 11.0
"""Gauges follow every five seconds."""


def measure() -> list[Measurement]:
    """Kill a worker once a round, each time with a topic and state of its own."""
    rounds = [_kill() for _ in range(size("ROUNDS"))]
    before, after, seconds = (list(column) for column in zip(*rounds, strict=True))
    kept = [new / old for old, new in zip(before, after, strict=True)]
    if min(kept) < 0.9:
        print(
            "!!! THE NEW WORKER DOES NOT KNOW THE HOSTS OF THE OLD ONE: TIMES ARE OF A START WITHOUT STATE !!!",
            file=sys.stderr,
        )
    return [
        Measurement.median("kill -9 to caught up", "s", seconds),
        Measurement.median("addresses known before", "addresses", before),
        Measurement.median("addresses known after", "addresses", after),
        Measurement("load all the while", size("RECOVERY_RATE"), "records/s"),
    ]


def _kill() -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as name, kafka(Path(name)) as broker:
        folder, topics = Path(name), topic_names("recovery")
        create(broker.bootstrap, topics["flows"])
        settings = environment(broker.bootstrap, "recovery", topics)
        known = templates(size("RECOVERY_HOSTS") * RECORDS_OF_A_HOST, size("RECOVERY_HOSTS"))
        # Of few hosts, so that the new worker cannot learn of the others but from the state of the old one.
        messages = templates(LINES * 100, FEW_HOSTS)
        probes = Probes(_PROBE_SECONDS)
        with Worker(settings, folder / "first.log") as first:
            _build_up(first, broker.bootstrap, topics["flows"], known)
            with (
                Arrivals(
                    broker.bootstrap, [topics["flows_dead_letter"]], lambda _, value, now: probes.heard(value, now)
                ),
                Load(broker.bootstrap, topics["flows"], messages, size("RECOVERY_RATE"), probes.due),
            ):
                time.sleep(BEFORE_SECONDS)
                before = first.metrics()["flowhawk_hosts"]
                killed = time.time()
                first.kill()
                with Worker(settings, folder / "second.log") as second:
                    caught_up = _wait(lambda: current_again(probes.seen, killed), size("RECOVERY_PATIENCE_SECONDS"))
                    time.sleep(_TRACKED_SECONDS)
                    after = second.metrics()["flowhawk_hosts"]
    return before, after, caught_up - killed


def _build_up(worker: Worker, bootstrap: str, topic: str, messages: list[bytes]) -> None:
    """Let a worker get to know all hosts."""
    publisher = producer(bootstrap)
    for message in messages:
        send(publisher, topic, at(message, time.time()))
    publisher.flush()
    worker.wait(lambda metrics: metrics["flowhawk_messages_total"] >= len(messages), _PATIENCE_SECONDS)


def current_again(seen: list[tuple[float, float]], killed: float) -> float | None:
    """Say when the first probe that was sent after the kill arrived without being held up; None before that.

    Parameters
    ----------
    seen
        When probes were sent and seen, epoch seconds.
    killed
        When the worker was killed, epoch seconds.

    Examples
    --------
    >>> current_again([(9, 9.1), (10.1, 18), (17.5, 18.1), (18, 18.2)], killed=10)
    18.1
    """
    return next((arrived for sent, arrived in seen if sent > killed and arrived - sent < CURRENT_SECONDS), None)


def _wait(known: Callable[[], float | None], seconds: float) -> float:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := known()) is not None:
            return found
        time.sleep(_PROBE_SECONDS)
    raise WorkerError(f"the new worker has not caught up within {seconds:.0f} s")
