"""What a running service lets others see: where it listens, and what it answers."""

import ipaddress
import re
import signal
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from streams.kafka_settings import TopicSettings
from tests.kafka.broker import KafkaBroker
from tests.streams.flow_lines import NINE, block, flow, scan
from tests.streams.programs import Program, environment_of, flowhawk, get, samples
from tests.streams.topic_records import write

LISTENING: Final = "0A"
UNCONNECTED: Final = "07"

PATHS: Final = (
    *("/", "/metrics", "/metrics/", "/-/healthy", "/-/ready", "/-/reload", "/-/", "/debug", "/state", "/hosts"),
    *(
        "/findings",
        "/config",
        "/-/config",
        "/stats/",
        "/graph",
        "/table/",
        "/tables/",
        "/router/",
        "/production_index/",
    ),
    *("/metrics?name[]=flowhawk_hosts", "/../etc/hostname", "/%2e%2e/", "/-/ready?host=10.0.0.5"),
)
"""What is served, what other services serve, Faust's own among them, and what nobody does."""

SEEN: Final = re.compile(r"203\.0\.113\.|10\.0\.0\.|198\.51\.100\.|eni-|123456789012|\bvpc-")
"""Addresses, interfaces and accounts of the records."""


class Socket(NamedTuple):
    """Something that listens, or takes datagrams of anybody."""

    kind: str
    address: str
    port: int


def open_sockets(pid: int) -> Iterator[Socket]:
    """Read from the kernel on what a process, and those below it, listens."""
    inodes = {
        found[1]
        for process in (pid, *below(pid))
        for descriptor in Path(f"/proc/{process}/fd").iterdir()
        if (found := re.fullmatch(r"socket:\[(\d+)\]", _link(descriptor)))
    }
    for kind, state in (("tcp", LISTENING), ("tcp6", LISTENING), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            _, local, _, is_in, *_ = line.split()
            if is_in == state and line.split()[9] in inodes:
                host, _, port = local.partition(":")
                yield Socket(kind, address(host), int(port, 16))


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return ""


def below(pid: int) -> list[int]:
    children = [
        int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()
    ]
    return [*children, *(deeper for child in children for deeper in below(child))]


def address(written: str) -> str:
    """Read an address as the kernel writes it: words of four bytes in its own order."""
    words = [bytes.fromhex(written[at : at + 8]) for at in range(0, len(written), 8)]
    ordered = [word[::-1] if sys.byteorder == "little" else word for word in words]
    return str(ipaddress.ip_address(b"".join(ordered)))


@pytest.mark.parametrize(
    ("written", "read"),
    [("0100007F", "127.0.0.1"), ("00000000", "0.0.0.0"), ("00000000000000000000000001000000", "::1")],  # noqa: S104 - read, not bound
)
def test_addresses_of_the_kernel_are_read(written: str, read: str) -> None:
    assert address(written) == read


def test_a_service_listens_on_loopback_alone_and_shows_nothing_of_hosts(
    kafka_broker: KafkaBroker, topic_settings: TopicSettings, tmp_path: Path
) -> None:
    environment = environment_of(kafka_broker.bootstrap, topic_settings)
    assert flowhawk("topics", "create", environment=environment).returncode == 0
    with Program("run", environment=environment, folder=tmp_path) as worker:
        address = worker.metrics_address()
        worker.wait_until(lambda: get(address, "/-/ready")[0] == 200)
        lines = [*scan(), flow(end=NINE + 1800)]
        write(kafka_broker.bootstrap, topic_settings.flows.name, [block(lines)])
        worker.wait_until(lambda: "203.0.113.9" in worker.output)
        worker.wait_until(lambda: samples(get(address, "/metrics")[1])["flowhawk_hosts"] > 0)

        assert set(open_sockets(worker.process.pid)) == {Socket("tcp", *address)}
        for method in ("GET", "POST", "HEAD", "PUT", "DELETE"):
            for path in PATHS:
                assert not SEEN.search(asked(address, method, path)), (method, path)
        assert worker.stop(signal.SIGTERM, seconds=10) == 0


def asked(address: tuple[str, int], method: str, path: str) -> str:
    """Ask for anything, and return all that comes: status, headers and body."""
    connection = HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return f"{answer.status} {answer.headers} {answer.read().decode()}"
    finally:
        connection.close()


def test_everything_in_one_process_listens_on_loopback_alone(tmp_path: Path) -> None:
    flows = tmp_path / "flows.log"
    flows.write_text("\n".join([*scan(), flow(end=NINE + 1800)]))
    environment = {"FLOWHAWK__HTTP__PORT": "0", "COLUMNS": "200"}
    with Program("up", "--stay", flows, environment=environment, folder=tmp_path) as program:
        program.metrics_address()
        found = list(open_sockets(program.process.pid))
        assert found
        assert [each for each in found if not ipaddress.ip_address(each.address).is_loopback] == []
        assert program.stop(signal.SIGINT, seconds=20) == 0
