"""How long it takes from a record to what follows from it, while the service works at half of what it can do."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.measurement import Measurement, percentile
from benchmarks.progress import stretch
from benchmarks.service import kafka
from benchmarks.sizes import size
from benchmarks.steady import LINES, Arrivals, Load, Probes, at, templates
from benchmarks.traffic import create, producer, send
from benchmarks.worker import Worker, environment, topic_names

HOSTS: Final = 1_000
PORTS: Final = 40
"""Refused ports in a scan: more than twice of what a vertical scan needs."""

SHARES: Final = (0.5, 0.95, 0.99)

_PEAK_MESSAGES: Final = 2_000
_SCAN_SECONDS: Final = 0.5
_PROBE_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 120.0


class Scans:
    """Short scans, each by a source of its own in a message of its own, and when findings told of them.

    Parameters
    ----------
    count
        How many there are.
    """

    def __init__(self, count: int) -> None:
        self.sent: dict[str, float] = {}
        self.found: dict[str, float] = {}
        self._count = count
        self._next = 0.0

    def due(self, now: float) -> Iterator[bytes]:
        """Return the one that is due, if one is."""
        number = len(self.sent)
        if number < self._count and now >= self._next:
            self._next = now + _SCAN_SECONDS
            source = f"10.200.{number // 250}.{number % 250 + 1}"
            # Event time in whole seconds, rounded down: up, it could lie in the next pane.
            times = f"{int(now)} {int(now)}"
            yield "\n".join(
                f"2 123456789012 eni-0f0f0f0f {source} 10.100.0.9 50000 {port} 6 1 44 {times} REJECT OK"
                for port in range(1000, 1000 + PORTS)
            ).encode()
            self.sent[source] = time.time()

    def heard(self, value: bytes, now: float) -> None:
        """Take note of a finding."""
        source = json.loads(value).get("source") if value else None
        if source in self.sent:
            self.found.setdefault(source, now)

    @property
    def complete(self) -> bool:
        """Whether a finding told of every scan."""
        return len(self.sent) == self._count and len(self.found) == self._count

    def seconds(self) -> list[float]:
        """Say for each scan that was found how long it took from its records to the finding."""
        return [found - self.sent[source] for source, found in self.found.items()]


def measure() -> list[Measurement]:
    """Measure the peak, then the way of probes and scans at half of it."""
    with tempfile.TemporaryDirectory() as name, kafka(Path(name)) as broker:
        topics = topic_names("latency")
        create(broker.bootstrap, *topics.values())
        settings = environment(broker.bootstrap, "latency", topics)
        messages = templates(200_000, HOSTS)
        with Worker(settings, Path(name) / "worker.log") as worker:
            peak = _peak(worker, broker.bootstrap, topics["flows"], messages)
            probes, scans, load = _steady(broker.bootstrap, topics, messages, peak / 2)
    passing = [seen - sent for sent, seen in probes.seen]
    if not scans.complete:
        print(
            f"!!! ONLY {len(scans.found)} OF {len(scans.sent)} SCANS WERE FOUND IN TIME !!!",
            file=sys.stderr,
        )
    return [
        Measurement("peak load, 1,000 records a message", peak, "records/s"),
        Measurement("half load, as it was published", load, "records/s"),
        *_percentiles("publish to dead letter, a refused line", passing),
        Measurement("scans found", len(scans.found), f"of {len(scans.sent)}"),
        *_percentiles("publish to finding, a scan", scans.seconds()),
    ]


def _percentiles(name: str, seconds: list[float]) -> list[Measurement]:
    return [
        Measurement(f"{name}, p{share * 100:.0f} at half load", percentile(seconds, share), "s")
        for share in SHARES
        if seconds
    ]


def _peak(worker: Worker, bootstrap: str, topic: str, messages: list[bytes]) -> float:
    """Publish a backlog and see how fast it is worked off."""
    publisher = producer(bootstrap)
    for number in range(_PEAK_MESSAGES):
        send(publisher, topic, at(messages[number % len(messages)], time.time()))
    publisher.flush()
    samples = worker.samples(lambda metrics: metrics["flowhawk_messages_total"] >= _PEAK_MESSAGES, _PATIENCE_SECONDS)
    records, seconds, _ = stretch(list(samples))
    return records / seconds


def _steady(bootstrap: str, topics: dict[str, str], messages: list[bytes], rate: float) -> tuple[Probes, Scans, float]:
    scans, probes = Scans(size("LATENCY_SCANS")), Probes(_PROBE_SECONDS)
    findings, dead_letters = topics["findings"], topics["flows_dead_letter"]

    def heard(topic: str, value: bytes, now: float) -> None:
        (scans if topic == findings else probes).heard(value, now)

    def besides(now: float) -> Iterator[bytes]:
        yield from probes.due(now)
        yield from scans.due(now)

    with (
        Arrivals(bootstrap, [findings, dead_letters], heard),
        Load(bootstrap, topics["flows"], messages, max(rate, LINES), besides) as load,
    ):
        begun = time.monotonic()
        deadline = time.monotonic() + size("LATENCY_SCANS") * _SCAN_SECONDS + size("LATENCY_PATIENCE_SECONDS")
        while not scans.complete and time.monotonic() < deadline:
            time.sleep(0.1)
        published = load.published / (time.monotonic() - begun)
    return probes, scans, published
