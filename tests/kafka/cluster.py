"""Three real Kafka brokers that are one cluster: a topic has a copy on each, and takes what two of them have."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kafka.broker import KafkaBroker
from tests.kafka.libraries import BrokerError
from tests.kafka.ports import Ports

_BROKERS: Final = 3
_PATIENCE_SECONDS: Final = 120


class KafkaCluster:
    """Three brokers, each a controller as well, numbered from 1.

    It works while two of them run; with one alone, nothing is written and nothing decided.

    Parameters
    ----------
    folder
        An empty folder; each broker gets one of its own in it, with its log in `broker.log`.
    """

    def __init__(self, folder: Path) -> None:
        ports = dict(enumerate(Ports.free(_BROKERS), 1))
        self._brokers: dict[int, KafkaBroker] = {}
        for number in ports:
            own = folder / f"broker-{number}"
            own.mkdir()
            self._brokers[number] = KafkaBroker(own, number=number, brokers=ports)

    @property
    def bootstrap(self) -> str:
        """Where its brokers listen without login, whether they run or not: host:port, separated by commas."""
        return ",".join(broker.bootstrap for broker in self._brokers.values())

    @property
    def running(self) -> list[int]:
        """Numbers of the brokers that run."""
        return [number for number, broker in self._brokers.items() if broker.is_running]

    @property
    def dead(self) -> list[int]:
        """Numbers of the brokers that do not run."""
        return [number for number, broker in self._brokers.items() if not broker.is_running]

    def start(self, *numbers: int) -> None:
        """Start brokers, and wait until they answer; after a kill with the same data on the same ports.

        Raises
        ------
        BrokerError
            When one ends instead, or does not answer in time. It says the end of that broker's log.
        """
        for number in numbers:
            self._brokers[number].launch()
        for number in numbers:
            self._brokers[number].wait_until_it_answers()

    def kill(self, *numbers: int) -> None:
        """End brokers at once, as a power cut would: SIGKILL."""
        for number in numbers:
            self._brokers[number].kill()

    def leader(self, topic: str, partition: int = 0) -> int:
        """Tell which broker leads a partition.

        The leader of `__transaction_state` is the coordinator of all transactions, that of `__consumer_offsets` the
        coordinator of all groups: they have one partition here.

        Raises
        ------
        BrokerError
            When there is no such partition, or nobody leads it.
        """
        number = self.running[0]
        known = _partitions(self._brokers[number].metadata())
        leader = int(known.get(f"{topic}-{partition}", {}).get("leader_id", -1))
        if leader < 0:
            raise BrokerError(f"broker {number} knows no leader of {topic}-{partition}")
        return leader

    def wait_until_in_sync(self) -> None:
        """Wait until every broker says of every partition of every topic that all its copies are in sync.

        Raises
        ------
        BrokerError
            When a broker does not run, or that does not come true in time.
        """
        if self.dead:
            raise BrokerError(f"brokers {self.dead} do not run, and so cannot come in sync")
        self._wait_for("a copy is not in sync", _is_in_sync)

    def wait_until_noticed(self) -> None:
        """Wait until the brokers that run count on none that is dead, and one of them leads what they have copies of.

        Raises
        ------
        BrokerError
            When they do not notice in time; a single broker never does.
        """
        dead = set(self.dead)
        self._wait_for(f"brokers {self.dead} are counted on", lambda each: _does_without(dead, each))

    def __enter__(self) -> Self:
        try:
            self.start(*self._brokers)
        except BaseException:
            self.kill(*self.running)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Nobody reads their data any more, so they need not end in order.
        self.kill(*self.running)

    def _wait_for(self, otherwise: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until something holds for each partition, by what each broker that runs says of it."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        failing: list[str] = []
        while time.monotonic() < deadline:
            failing = [each for number in self.running for each in self._failing(number, holds)]
            if not failing:
                return
            time.sleep(0.1)
        raise BrokerError(f"{otherwise} after {_PATIENCE_SECONDS} s:\n" + "\n".join(failing))

    def _failing(self, number: int, holds: Callable[[dict[str, Any]], bool]) -> list[str]:
        try:
            partitions = _partitions(self._brokers[number].metadata())
        except BrokerError as error:
            return [str(error)]
        return [f"{name} as broker {number} knows it: {each}" for name, each in partitions.items() if not holds(each)]


def _partitions(metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{topic['name']}-{partition['partition_index']}": partition
        for topic in metadata["topics"]
        for partition in topic["partitions"]
    }


def _is_in_sync(partition: dict[str, Any]) -> bool:
    return partition["leader_id"] >= 0 and set(partition["isr_nodes"]) == set(partition["replica_nodes"])


def _does_without(dead: set[int], partition: dict[str, Any]) -> bool:
    # A partition whose only copies are on dead brokers has no leader, and gets none.
    is_led = partition["leader_id"] >= 0 or dead.issuperset(partition["replica_nodes"])
    return is_led and dead.isdisjoint(partition["isr_nodes"])
