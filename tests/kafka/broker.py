"""A real Kafka broker: one KRaft node out of Maven artifacts, on loopback, with ports and data of its own."""

import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

USER: Final = "flowhawk"
PASSWORD: Final = "correct horse"  # noqa: S105 - of a broker that lives as long as a test

_POM: Final = Path(__file__).with_name("pom.xml")
_TARGET: Final = _POM.parent / "target"
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
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
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
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=100
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""


class BrokerError(RuntimeError):
    """The broker, or what it is made of, could not be had; the text holds the end of its log."""


def missing_programs() -> list[str]:
    """Name what has to be installed before a broker can run; empty when nothing is missing."""
    needed = ["java"] if _libraries_are_complete() else ["java", "mvn"]
    return [name for name in needed if shutil.which(name) is None]


def libraries() -> Path:
    """Return the folder of the broker's jars, fetched by Maven the first time; safe in many processes at once.

    Raises
    ------
    BrokerError
        When Maven fails.
    """
    folder = _TARGET / "libs"
    _TARGET.mkdir(exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _libraries_are_complete():
            shutil.rmtree(folder, ignore_errors=True)
            command = [
                "mvn",
                "-q",
                "-B",
                "-f",
                str(_POM),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={folder}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BrokerError(f"Maven cannot fetch the broker:\n{(done.stdout + done.stderr)[-4000:]}")
            _stamp().write_text(_version())
    return folder


class KafkaBroker:
    """One broker. It survives `kill` and `stop`: `start` goes on with the same data on the same port.

    Parameters
    ----------
    folder
        An empty folder for its data, configuration and log.
    java_options
        Options of its Java runtime; unless given, it starts quickly and needs little memory.
    """

    def __init__(self, folder: Path, *, java_options: Sequence[str] = _JAVA_OPTIONS) -> None:
        self._folder = folder
        self._java_options = java_options
        self._libraries = libraries()
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Where it listens without login, host:port."""
        return f"127.0.0.1:{self._ports['plain']}"

    @property
    def sasl_bootstrap(self) -> str:
        """Where it listens for SASL_PLAINTEXT, host:port.

        With PLAIN and SCRAM-SHA-512 it knows `USER` with `PASSWORD`; with OAUTHBEARER it takes tokens that nobody has
        signed.
        """
        return f"127.0.0.1:{self._ports['sasl']}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises
        ------
        BrokerError
            When it ends instead, or does not answer in time.
        """
        if self._process is not None:
            raise BrokerError("the broker is started already")
        if not self._ports:
            self._format()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._configuration)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._wait_until_it_answers()
        return self

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

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    @property
    def _configuration(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _log(self) -> Path:
        return self._folder / "broker.log"

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise BrokerError("the broker is not running")
        return self._process

    def _java(self, *arguments: str) -> list[str]:
        return ["java", *self._java_options, "-cp", f"{self._libraries}/*", *arguments]

    def _format(self) -> None:
        plain, sasl, controller = _free_ports(3)
        self._configuration.write_text(
            _PROPERTIES.format(
                plain=plain, sasl=sasl, controller=controller, data=self._folder / "data", user=USER, password=PASSWORD
            )
        )
        command = self._java(
            *("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER_ID, "--config", str(self._configuration)),
            *("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"the broker's data folder cannot be formatted:\n{done.stdout + done.stderr}")
        self._ports = {"plain": plain, "sasl": sasl, "controller": controller}

    def _wait_until_it_answers(self) -> None:
        process = self._running()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise BrokerError(f"the broker ended with {process.returncode}:\n{self._end_of_log()}")
            if _accepts(self._ports["plain"]) and self._answers():
                return
            time.sleep(0.05)
        self.kill()
        raise BrokerError(f"the broker does not answer within {_START_SECONDS} s:\n{self._end_of_log()}")

    def _answers(self) -> bool:
        from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - its warnings are settled once pytest is configured
        from kafka.errors import KafkaError  # noqa: PLC0415

        try:
            with KafkaAdminClient(
                bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=10_000, reconnect_backoff_max_ms=100
            ) as admin:
                return any(not broker["is_fenced"] for broker in admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


def _version() -> str:
    return hashlib.sha256(_POM.read_bytes()).hexdigest()


def _stamp() -> Path:
    return _TARGET / "libs" / "complete"


def _libraries_are_complete() -> bool:
    return _stamp().is_file() and _stamp().read_text() == _version()


def _free_ports(count: int) -> list[int]:
    # Below the ports that the system gives to outgoing connections: there nobody takes the port of a broker that
    # is down for a moment. One range for each process keeps test runs on one machine apart.
    first = 12_000 + os.getpid() % 200 * 100
    free: list[int] = []
    while len(free) < count:
        port = first + secrets.randbelow(100)
        if port not in free and not _accepts(port) and _can_listen(port):
            free.append(port)
    return free


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
