"""Who hears of findings: one module a sink."""

from streams.sinks.contract import Delivery, Sink, Surroundings

__all__ = ["Delivery", "Sink", "Surroundings"]
