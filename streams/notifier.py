"""Who tells the sinks: a loop, a consumer group and a position for each."""

import asyncio
from collections.abc import Sequence

import structlog

from streams.findings_reader import FindingsReader
from streams.kafka_settings import KafkaSettings
from streams.kept_sinks import SinkChange
from streams.metrics import Metrics
from streams.sink_loop import SinkLoop
from streams.sinks import Sink

log = structlog.get_logger(__name__)


class Notifier:
    """Tells every sink of all findings; none of them waits for another, and detection waits for none.

    Parameters
    ----------
    kafka
        How to reach the broker, and the group of the workers: a sink's is called like it, a hyphen and the sink.
    topic
        The findings topic.
    sinks
        Who is told.
    metrics
        Where to count.
    durable
        Whether positions outlive the process.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, sinks: Sequence[Sink], metrics: Metrics, *, durable: bool
    ) -> None:
        metrics.sinks([sink.name for sink in sinks])
        self._kafka, self._topic, self._durable = kafka, topic, durable
        self._metrics = metrics
        self._loops = [self._loop(sink) for sink in sinks]

    @property
    def notified(self) -> int:
        """How many findings every sink is done with."""
        return min((loop.handled for loop in self._loops), default=0)

    def start(self) -> None:
        """Begin to tell them."""
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """Stop telling them, and close them."""
        await asyncio.gather(*(loop.stop() for loop in self._loops))

    async def change(self, change: SinkChange) -> None:
        """End some sinks and begin others, which read on where those of the same name were; all others go on."""
        leaving = [loop for loop in self._loops if loop.sink.name in change.ends]
        self._loops = [loop for loop in self._loops if loop not in leaving]
        for loop, error in zip(
            leaving, await asyncio.gather(*(each.stop() for each in leaving), return_exceptions=True), strict=True
        ):
            if isinstance(error, Exception):
                log.error("a sink did not end well", sink=loop.sink.name, error=repr(error))
            loop.sink.forget()
        self._metrics.forget_sinks(change.ends)
        self._metrics.sinks([sink.name for sink in change.begins])
        begun = [self._loop(sink) for sink in change.begins]
        self._loops += begun
        for loop in begun:
            loop.start()

    def _loop(self, sink: Sink) -> SinkLoop:
        group = f"{self._kafka.group_id}-{sink.name}" if self._durable else None
        return SinkLoop(sink, FindingsReader(self._kafka, self._topic, group, replays=sink.replays), self._metrics)
