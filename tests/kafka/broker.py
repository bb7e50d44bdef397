"""A real Kafka broker: one KRaft node out of Maven artifacts, on loopback, with ports and data of its own."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kafka.libraries import BrokerError, libraries
from tests.kafka.ports import Ports, accepts

USER: Final = "flowhawk"
PASSWORD: Final = "correct horse"  # noqa: S105 - of a broker that lives as long as a test

_START_SECONDS: Final = 180
_STOP_SECONDS: Final = 20
_CLUSTER_ID: Final = "Zmxvd2hhd2stdGVzdC0wMQ"
_JAVA_OPTIONS: Final = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="{user}";
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={replication}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replication}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=100
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.lag.time.max.ms=3000
"""


class KafkaBroker:
    """One broker. It survives `kill` and `stop`: `start` goes on with the same data on the same port.

    Parameters
    ----------
    folder
        An empty folder for its data, configuration and log.
    number
        Its id among the brokers.
    brokers
        The ports of all brokers of its cluster, by id; unless given, it is alone. Topics have a copy on each, and take
        what most of them have.
    java_options
        Options of its Java runtime; unless given, it starts quickly and needs little memory.
    """

    def __init__(
        self,
        folder: Path,
        *,
        number: int = 1,
        brokers: Mapping[int, Ports] | None = None,
        java_options: Sequence[str] = _JAVA_OPTIONS,
    ) -> None:
        self.number = number
        self._folder = folder
        self._brokers = brokers or {number: Ports.free(1)[0]}
        self._java_options = java_options
        self._libraries = libraries()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Where it listens without login, host:port."""
        return f"127.0.0.1:{self._ports.plain}"

    @property
    def sasl_bootstrap(self) -> str:
        """Where it listens for SASL_PLAINTEXT, host:port.

        With PLAIN and SCRAM-SHA-512 it knows `USER` with `PASSWORD`; with OAUTHBEARER it takes tokens that nobody has
        signed.
        """
        return f"127.0.0.1:{self._ports.sasl}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended since, in whatever way."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises
        ------
        BrokerError
            When it ends instead, or does not answer in time.
        """
        self.launch()
        self.wait_until_it_answers()
        return self

    def launch(self) -> None:
        """Start it and do not wait: one of several answers only when most of them are there.

        Raises
        ------
        BrokerError
            When it runs already, or its data folder cannot be made.
        """
        if self.is_running:
            raise BrokerError(f"broker {self.number} is started already")
        if not (self._data / "meta.properties").exists():
            self._format()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._configuration)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def wait_until_it_answers(self) -> None:
        """Wait until it takes part in its cluster, by its own account.

        Raises
        ------
        BrokerError
            When it ends instead, or does not answer in time.
        """
        process = self._running()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise BrokerError(f"broker {self.number} ended with {process.returncode}:\n{self._end_of_log()}")
            if accepts(self._ports.plain) and self._takes_part():
                return
            time.sleep(0.05)
        self.kill()
        raise BrokerError(f"broker {self.number} does not answer within {_START_SECONDS} s:\n{self._end_of_log()}")

    def stop(self) -> None:
        """Let it end in order."""
        process = self._running()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a power cut of the process would: SIGKILL."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def metadata(self) -> dict[str, Any]:
        """Ask it what it knows of its cluster: the brokers that are up, and the partitions of all topics.

        Raises
        ------
        BrokerError
            When it does not answer, or does not take part in its cluster.
        """
        from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - its warnings are settled once pytest is configured
        from kafka.errors import KafkaError  # noqa: PLC0415
        from kafka.protocol.metadata import MetadataRequest  # noqa: PLC0415

        try:
            with KafkaAdminClient(
                bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=10_000, reconnect_backoff_max_ms=100
            ) as admin:
                # The client's own methods ask any broker, and another one may not know yet what this one knows.
                async def ask() -> dict[str, Any]:
                    request = MetadataRequest(topics=None, allow_auto_topic_creation=False)
                    response = await admin._manager.send(request, node_id=self.number)
                    found: dict[str, Any] = response.to_dict()
                    return found

                answer: dict[str, Any] = admin._manager.run(ask)
        except KafkaError as error:
            raise BrokerError(f"broker {self.number} does not say what it knows: {error!r}") from error
        return answer

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    @property
    def _ports(self) -> Ports:
        return self._brokers[self.number]

    @property
    def _configuration(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "broker.log"

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise BrokerError(f"broker {self.number} is not running")
        return self._process

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *self._java_options, "-cp", f"{self._libraries}/*", *arguments]

    def _format(self) -> None:
        voters = [f"{number}@127.0.0.1:{ports.controller}" for number, ports in self._brokers.items()]
        copies = len(self._brokers)
        self._configuration.write_text(
            _PROPERTIES.format(
                **self._ports._asdict(),
                number=self.number,
                voters=",".join(voters),
                data=self._data,
                user=USER,
                password=PASSWORD,
                replication=copies,
                in_sync=copies // 2 + 1,
            )
        )
        command = self._java(
            *("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID, "--config", str(self._configuration)),
            *("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"the data folder of broker {self.number} cannot be made:\n{done.stdout + done.stderr}")

    def _takes_part(self) -> bool:
        try:
            return self.number in {each["node_id"] for each in self.metadata()["brokers"]}
        except BrokerError:
            return False

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]
