"""Metrics in a registry of their own, made as they are declared."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streams.declared_metrics import Kind

_MAKERS: Final = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


class Registry:
    """Metrics by their names, beside those of the process.

    Parameters
    ----------
    declared
        Kind, meaning and labels of each; `flowhawk_build_info` is among them.
    """

    def __init__(self, declared: Mapping[str, tuple[Kind, str, tuple[str, ...]]]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._metrics = {
            name: _MAKERS[kind](name, meaning, labels, registry=self.registry)
            for name, (kind, meaning, labels) in declared.items()
        }
        self.put("flowhawk_build_info", 1, version("flowhawk"), platform.python_version())

    def forget(self, name: str, *labels: str) -> None:
        """Take a series away, by the name of the metric and its labels; nothing happens where there is none."""
        self._metrics[name].remove(*labels)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Add to a counter by its name; 0 lets it begin."""
        counter = self._counter(name)
        (counter.labels(*labels) if labels else counter).inc(amount)

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge by its name."""
        gauge = self._gauge(name)
        (gauge.labels(*labels) if labels else gauge).set(value)

    def timing(self, name: str, *labels: str) -> Histogram:
        """Return a histogram by its name, and let it begin."""
        histogram = self._histogram(name)
        return histogram.labels(*labels) if labels else histogram

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Read one sample, 0 where there is none."""
        return self.registry.get_sample_value(name, dict(labels or {})) or 0.0

    def _counter(self, name: str) -> Counter:
        metric = self._metrics[name]
        assert isinstance(metric, Counter)  # noqa: S101 - narrows the type
        return metric

    def _gauge(self, name: str) -> Gauge:
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)  # noqa: S101 - narrows the type
        return metric

    def _histogram(self, name: str) -> Histogram:
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)  # noqa: S101 - narrows the type
        return metric
