"""Findings to hand to sinks, made by the stages themselves."""

from collections.abc import Iterable

import numpy as np

from detectors.finding import Finding
from streams.pipeline import Batch, Outcome, Pipeline
from streams.records import Message
from streams.settings import Settings
from tests.streams.flow_lines import NINE, block, flow, scan


def batch(values: Iterable[bytes], *, begin: int = 0, source: str = "flows/0") -> Batch:
    """Make a batch of messages that follow each other from an offset on."""
    messages = [Message(value) for value in values]
    end = begin + len(messages)
    return Batch(source, messages, np.arange(begin, end), begin, end)


def process(lines: Iterable[str], settings: Settings | None = None) -> Outcome:
    """Run lines through new stages to their end, and sum up what became of them."""
    pipeline = Pipeline(settings or Settings())
    outcome = pipeline.process(batch([block(list(lines))]))
    outcome.findings += pipeline.finish("flows/0").findings
    return outcome


def findings(count: int = 1) -> list[Finding]:
    """Find scans by as many hosts of as many: of each the states open and closed, one behind the other."""
    attempts = [line for host in range(count) for line in scan(f"203.0.113.{host + 9}", f"10.0.1.{host + 1}")]
    return process([flow(end=NINE), *attempts]).findings
