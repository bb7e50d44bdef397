"""Who tells the sinks: a loop, a consumer group and a position for each."""

import asyncio
from collections.abc import Sequence

from streams.findings_reader import FindingsReader
from streams.kafka_settings import KafkaSettings
from streams.metrics import Metrics
from streams.sink_loop import SinkLoop
from streams.sinks import Sink


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
        self._loops = [
            SinkLoop(sink, FindingsReader(kafka, topic, group, replays=sink.replays), metrics)
            for sink in sinks
            for group in [f"{kafka.group_id}-{sink.name}" if durable else None]
        ]

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
