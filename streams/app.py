"""The Faust application: how it reaches Kafka, and nothing of what it does."""

from collections.abc import Callable
from typing import Any, Final

import faust
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from yarl import URL

from streams.kafka_settings import KafkaSettings, password, tls, tokens
from streams.sensor import Sensor
from streams.tokens import for_loops
from streams.transport import BatchingTransport, Fetched, Positions

MAX_POLL_RECORDS: Final = 40_000
"""Messages in one event at most; with one record a message that is about 100 ms of work."""

MAX_FETCH_BYTES: Final = 4 << 20
"""Bytes of one partition in one fetch at most, compressed as they are; a larger message comes on its own."""

MAX_EVENT_BYTES: Final = 12 << 20
"""Bytes of values in one event at most: a quarter of a second of work, which only a backlog brings together."""

METADATA_SECONDS: Final = 5
"""How old what is known of topics and brokers may become."""


class _DisklessApp(faust.App):
    def _create_directories(self) -> None:
        """Make none: nothing is kept on disk."""


def build(
    kafka: KafkaSettings,
    batched_topics: frozenset[str],
    positions: Positions | None = None,
    prepare: Callable[[Fetched], Any] = lambda _: None,
    rebalanced: Callable[[float], None] = lambda _: None,
) -> faust.App:
    """Make the application.

    Parameters
    ----------
    kafka
        How to reach the broker.
    batched_topics
        Topics whose events are batches, see `streams.transport`.
    positions
        Where to read on and how far to commit; else the group says.
    prepare
        What to begin with each event while the one before it is worked on.
    rebalanced
        Is told how long each rebalance took, seconds.

    Raises
    ------
    streams.errors.SettingsError
        When a file that the settings name cannot be read.
    """
    brokers = [URL(f"kafka://{server}") for server in kafka.bootstrap_servers]
    app = _DisklessApp(
        kafka.group_id,
        broker=brokers,
        broker_credentials=_credentials(kafka),
        monitor=Sensor(rebalanced),  # type: ignore[arg-type]  # what of it is used stands in for the monitor
        store="memory://",
        web_enabled=False,
        # Topics are created by `flowhawk topics create`, with the partitions that were asked for.
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        key_serializer="raw",
        value_serializer="raw",
        broker_max_poll_records=MAX_POLL_RECORDS,
        broker_commit_interval=1.0,
        broker_session_timeout=kafka.session_timeout_seconds,
        broker_heartbeat_interval=kafka.session_timeout_seconds / 5,
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        # Whoever shares the partitions out right after a broker's restart may see none of them, and looks again only
        # when it asks for metadata anew: every five minutes by default.
        consumer_metadata_max_age_ms=METADATA_SECONDS * 1000,
        producer_linger=0.005,
        producer_compression_type=None,
        # Faust waits 20 minutes by default before a send counts as failed.
        producer_request_timeout=30.0,
    )
    app.transport = BatchingTransport(
        brokers,
        app,
        topics=batched_topics,
        fetch_wait_ms=kafka.fetch_wait_ms,
        event_bytes=MAX_EVENT_BYTES,
        positions=positions or Positions(),
        prepare=prepare,
    )
    return app


def _credentials(kafka: KafkaSettings) -> Any:
    context = tls(kafka) if kafka.security_protocol.endswith("SSL") else None
    if kafka.has_tokens:
        return OAuthCredentials(oauth_cb=for_loops(tokens(kafka)), ssl_context=context)
    if kafka.sasl_mechanism is not None:
        return SASLCredentials(
            username=kafka.sasl_username,
            password=password(kafka),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
