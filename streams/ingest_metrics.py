"""The metrics of an ingest: what was committed, and how far each place has been read."""

import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.declared_metrics import DECLARED, INGEST
from streams.ingest import Ingested
from streams.records import RecordSettings
from streams.registry import Registry
from streams.selection import Left
from streams.sources import Block, Source
from streams.sources.times import ends_of

_ASKED: Final = ("flowhawk_ingest_consumed_bytes_total", "flowhawk_ingest_parked_total", "flowhawk_ingest_waiting")
"""What sources are asked for when somebody asks for the metrics."""

_FAMILIES: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class IngestMetrics(Registry, Collector):
    """The metrics of one ingest; they are updated once a transaction.

    Parameters
    ----------
    sources
        What is read, by place; places may hold no secrets.
    records
        How lines are written, to tell up to when they were read.
    failed
        Places that could not be opened.
    """

    def __init__(self, sources: Mapping[str, Source], records: RecordSettings, *, failed: Iterable[str] = ()) -> None:
        build = "flowhawk_build_info"
        super().__init__(
            {build: DECLARED[build], **{name: each for name, each in INGEST.items() if name not in _ASKED}}
        )
        self._sources = sources
        self._places = {id(source): place for place, source in sources.items()}
        self._records = records
        self._counted = Counts[tuple[str, ...]]()
        self._lock = threading.Lock()
        self.registry.register(self)
        for name, (_, _, labels) in INGEST.items():
            for place in sources if labels == ("place",) and name not in _ASKED else ():
                self._metrics[name].labels(place)
        for place in failed:
            self.add("flowhawk_ingest_problems_total", 1, place)
        for reason in ("rule", "sample"):
            self.add("flowhawk_ingest_dropped_total", 0, reason)

    def committed(self, ingested: Ingested, left: Left, last: Mapping[int, Block], now: float) -> None:
        """Take note of a transaction.

        Parameters
        ----------
        ingested
            What has been committed in all.
        left
            What has been left out in all.
        last
            The last block of each source in the transaction, by the identity of the source.
        now
            The time, epoch seconds.
        """
        self._reach(ingested.read, "flowhawk_ingest_read_total")
        self._reach(ingested.records, "flowhawk_ingest_published_total")
        self._reach(ingested.too_large, "flowhawk_ingest_refused_total")
        self._reach(ingested.bytes, "flowhawk_ingest_bytes_total")
        self._reach(ingested.messages, "flowhawk_ingest_messages_total")
        self._reach(ingested.transactions, "flowhawk_ingest_transactions_total")
        self._reach(left.dropped, "flowhawk_ingest_dropped_total", "rule")
        self._reach(left.sampled_out, "flowhawk_ingest_dropped_total", "sample")
        self.put("flowhawk_ingest_commit_timestamp_seconds", now)
        for source, block in last.items():
            reached = ends_of(block, self._records).latest
            if reached:
                self.put("flowhawk_ingest_position_timestamp_seconds", reached, self._places[source])

    def collect(self) -> Iterator[Metric]:
        """Say how far sources have read, whenever somebody asks."""
        asked: Mapping[str, Callable[[Source], float]] = {
            "flowhawk_ingest_consumed_bytes_total": lambda source: source.consumed,
            "flowhawk_ingest_parked_total": lambda source: source.parked,
            "flowhawk_ingest_waiting": lambda source: source.waits,
        }
        for name in _ASKED:
            kind, meaning, labels = INGEST[name]
            family = _FAMILIES[kind](name, meaning, labels=labels)
            for place, source in self._sources.items():
                family.add_metric([place], float(asked[name](source)))
            yield family

    def problem(self, source: Source, count: int) -> None:
        """Add problems of a source."""
        self.add("flowhawk_ingest_problems_total", count, self._places[id(source)])

    def _reach(self, value: int, name: str, *labels: str) -> None:
        """Let a counter reach a value that grows by itself."""
        with self._lock:
            grown = value - self._counted[(name, *labels)]
            self._counted[(name, *labels)] = value
        self.add(name, max(grown, 0), *labels)
