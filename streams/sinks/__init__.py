"""Who hears of findings: one module a sink."""

from streams.sinks.contract import Delivery, Sink

__all__ = ["Delivery", "Sink"]
