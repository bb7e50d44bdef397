"""A broker inside the process: the mock cluster of librdkafka, real Kafka protocol over TCP on loopback.

It keeps a few megabytes of each partition in memory and nothing on disk, so whoever publishes to it must wait
for whoever reads (see `Pace`). It creates topics when they are first asked for.
"""

import threading
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException, Producer

from streams.errors import KafkaUnavailable

API_VERSION: Final = (2, 1)
"""What the mock cluster speaks; kafka-python must be told."""

AHEAD_BYTES: Final = 4 << 20
"""How far a publisher may run ahead of its reader. The broker drops what lies further back than about 5 MB."""

BURST_BYTES: Final = 2 << 20
"""How much is sent in one go. A fetch returns one batch of the producer: the larger it is, the larger the events."""

BATCH_BYTES: Final = BURST_BYTES + (256 << 10)
"""How large a batch may be: a burst ends with the message that fills it, and none is left over for another batch."""

LINGER_MS: Final = 50
"""A burst takes so long to send while decoding and the stages want the same processor."""


class EmbeddedBroker:
    """A broker that lives as long as the `with` block."""

    def __init__(self) -> None:
        self._cluster: Producer | None = None
        self.address = ""

    def __enter__(self) -> Self:
        """Start the broker; `address` says where it listens."""
        try:
            # The mock cluster replaces the brokers named here, but librdkafka wants some.
            self._cluster = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
            broker = next(iter(self._cluster.list_topics(timeout=10).brokers.values()))
        except KafkaException as error:
            raise KafkaUnavailable(f"the embedded broker does not start: {error}") from error
        self.address = f"{broker.host}:{broker.port}"
        return self

    def create(self, *topics: str) -> None:
        """Create topics, each with the broker's four partitions."""
        if self._cluster is None:
            raise KafkaUnavailable("the embedded broker is not running")
        for topic in topics:
            self._cluster.list_topics(topic, timeout=10)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the broker."""
        self._cluster = None


class Pace:
    """Lets a publisher run ahead of its reader only so far, and stop when told.

    Parameters
    ----------
    ahead_bytes
        How far it may run ahead.
    burst_bytes
        Once it has come so far, it waits until there is room for so much. Message by message, each would be a batch,
        and an event, of its own.
    """

    def __init__(self, ahead_bytes: int = AHEAD_BYTES, burst_bytes: int = BURST_BYTES) -> None:
        self._ahead_bytes = ahead_bytes
        self._burst_bytes = min(burst_bytes, ahead_bytes)
        self._full = False
        self._sent = 0
        self._consumed = 0
        self._stopped = False
        self._changed = threading.Condition()

    def admit(self, size: int) -> bool:
        """Wait until a message of `size` bytes may be sent; False when told to stop."""
        with self._changed:
            self._changed.wait_for(self._may_send)
            self._sent += size
            return not self._stopped

    def consumed(self, size: int) -> None:
        """Take note that the reader is done with so many bytes."""
        with self._changed:
            self._consumed += size
            self._changed.notify_all()

    def stop(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _may_send(self) -> bool:
        allowed = self._ahead_bytes - self._burst_bytes if self._full else self._ahead_bytes
        self._full = self._sent - self._consumed > allowed
        return self._stopped or not self._full
