"""Ports of brokers, which stay theirs while a broker is down."""

import os
import secrets
import socket
from typing import NamedTuple, Self


class Ports(NamedTuple):
    """Where a broker listens on loopback."""

    plain: int
    sasl: int
    controller: int

    @classmethod
    def free(cls, brokers: int) -> list[Self]:
        """Find ports for so many brokers that nobody listens on."""
        ports = iter(_free_ports(3 * brokers))
        return [cls(*three) for three in zip(ports, ports, ports, strict=True)]


def accepts(port: int) -> bool:
    """Say whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    # Below the ports that the system gives to outgoing connections: there nobody takes the port of a broker that
    # is down for a moment. One range for each process keeps test runs on one machine apart.
    first = 12_000 + os.getpid() % 200 * 100
    free: list[int] = []
    while len(free) < count:
        port = first + secrets.randbelow(100)
        if port not in free and not accepts(port) and _can_listen(port):
            free.append(port)
    return free


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
